//! A run as a table of text.

use std::fmt;

use super::words;
use crate::run::{Campaign, Report, Score};

/// How wide a terminal is unless something else is known.
const COLUMNS: usize = 100;

/// Cells in rows; each row has as many as there are columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The columns' names.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// One row for each variant: its name, whether it is protected, what came of it, whether that is as
/// expected, then each model and each indicator that something is asked of: `3.2 % ≤ 5 %`.
#[must_use]
pub fn table(report: &Report) -> Table {
    let variants = &report.variants;
    let checks = words::checks(variants.iter().map(|variant| &variant.checks));
    let bounds = words::bounds(variants.iter().map(|variant| &variant.bounds));
    let fixed = ["variant", "protected", "verdict", "as expected"];
    let mut head: Vec<String> = fixed.map(str::to_owned).to_vec();
    head.extend(checks.iter().map(|(model, _)| model.to_string()));
    // One column for an indicator, however many bounds it has.
    let mut indicators: Vec<&str> = Vec::new();
    for bound in &bounds {
        if !indicators.contains(&bound.indicator) {
            indicators.push(bound.indicator);
        }
    }
    head.extend(indicators.iter().map(|&name| name.to_owned()));
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let row = |(place, variant): (usize, &crate::run::VariantReport)| {
        let mut row = vec![
            variant.name.clone(),
            yes(variant.protected),
            words::outcome_of(variant).to_owned(),
            yes(variant.as_expected),
        ];
        row.extend(checks.iter().map(|(_, cells)| match cells[place] {
            Some(check) => check.verdict.to_string(),
            None => "-".to_owned(),
        }));
        row.extend(indicators.iter().map(|&name| {
            let asked: Vec<String> = bounds
                .iter()
                .filter(|bound| bound.indicator == name)
                .filter_map(|bound| bound.cells[place])
                .map(words::relation)
                .collect();
            match (asked.is_empty(), variant.indicators.get(name)) {
                (false, _) => asked.join(", "),
                (true, Some(value)) => value.to_string(),
                (true, None) => "-".to_owned(),
            }
        }));
        row
    };
    let rows = variants.iter().enumerate().map(row).collect();
    Table { head, rows }
}

/// The verdict with its reason, the table, and the command that repeats the run; for a terminal of
/// so many columns.
#[must_use]
pub fn text_within(report: &Report, columns: usize) -> String {
    let engine = report.engine.as_deref().map(|at| format!(", {}", words::engine(at)));
    let mut text = format!(
        "{} ({}{}, seed {}): {}: {}\n\n{}\n",
        report.experiment,
        words::mode(report.mode),
        engine.unwrap_or_default(),
        report.seed,
        report.verdict,
        report.because,
        table(report).fitting(columns),
    );
    if let Some(campaign) = &report.campaign {
        text.push_str(&format!("\nOver {} seeds:\n\n{}\n", campaign.seeds, scores(campaign)));
    }
    text.push_str(&format!("\nAgain: {}\n", report.command));
    text
}

/// The same for a terminal of the usual width.
#[must_use]
pub fn text(report: &Report) -> String {
    text_within(report, COLUMNS)
}

/// The score over many seeds: a row for each variant.
#[must_use]
pub fn scores(campaign: &Campaign) -> Table {
    let head = ["variant", "protected", "holds", "violated", "unknown", "seeds to detect"];
    let row = |score: &Score| {
        vec![
            score.name.clone(),
            if score.protected { "yes" } else { "no" }.to_owned(),
            score.holds.to_string(),
            score.violated.to_string(),
            score.unknown.to_string(),
            score.seeds_to_detect.map_or_else(|| "-".to_owned(), |seeds| format!("{seeds:.2}")),
        ]
    };
    let rows = campaign.variants.iter().map(row).collect();
    Table { head: head.map(str::to_owned).to_vec(), rows }
}

impl Table {
    /// How wide it is when it is shown, in characters.
    #[must_use]
    pub fn width(&self) -> usize {
        self.widths().iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)
    }

    /// Rows as columns: narrower when there are few variants and much to say about each.
    #[must_use]
    pub fn turned(&self) -> Self {
        let mut columns = self.head.iter().enumerate().map(|(at, name)| {
            let cells = self.rows.iter().map(|row| row.get(at).cloned().unwrap_or_default());
            std::iter::once(name.clone()).chain(cells).collect()
        });
        let head = columns.next().unwrap_or_default();
        Self { head, rows: columns.collect() }
    }

    /// As it is, or turned when that is too wide and turning it helps.
    #[must_use]
    pub fn fitting(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let turned = self.turned();
        if turned.width() < self.width() { turned } else { self }
    }

    /// The width of each column.
    #[must_use]
    pub fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.head.iter().map(|cell| cell.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let lines = std::iter::once(&self.head).chain(&self.rows);
        for (number, cells) in lines.enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let mut line = String::new();
            for (cell, &width) in cells.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}
