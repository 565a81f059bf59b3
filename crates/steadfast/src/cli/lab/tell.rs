//! A run on the terminal: the verdict, a table, and what there is to look at.

use anstyle::{AnsiColor, Style};
use steadfast_lab::Verdict;
use steadfast_lab::report::terminal;
use steadfast_lab::run::{Mode, Report};

use crate::cli::{Failure, Out};

/// The width of a usual terminal window.
const COLUMNS: usize = 110;

fn colour(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Holds => AnsiColor::Green,
        Verdict::Violated => AnsiColor::Red,
        Verdict::Unknown => AnsiColor::Yellow,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

/// Prints what came of a run.
pub(super) fn tell(found: &Report, out: &mut Out) -> Result<(), Failure> {
    let style = colour(found.verdict);
    let (name, title) = (&found.experiment, &found.title);
    out.line(format!("{name}: {title}"))?;
    out.styled(format!("{style}{}{style:#}: {}", found.verdict, found.because))?;
    out.line("")?;
    out.line(terminal::table(found).fitting(COLUMNS))?;
    out.line("")?;
    for variant in &found.variants {
        for piece in variant.checks.iter().filter_map(|check| check.piece.as_ref()) {
            out.line(format!("{}: {}", variant.name, piece.what))?;
        }
        for note in &variant.observed.notes {
            out.line(format!("{}: {note}", variant.name))?;
        }
    }
    if let Some(campaign) = &found.campaign {
        for score in &campaign.variants {
            let seeds = score.holds + score.violated + score.unknown;
            let told = match (score.protected, score.seeds_to_detect) {
                (true, _) => format!("held under {} of {seeds} seeds", score.holds),
                (false, Some(mean)) => format!(
                    "caught under {} of {seeds} seeds; one is caught in {mean:.1} on average",
                    score.violated
                ),
                (false, None) => format!("caught under none of {seeds} seeds"),
            };
            out.line(format!("{}: {told}", score.name))?;
        }
        if !campaign.failed.is_empty() {
            let seeds: Vec<_> = campaign.failed.iter().map(ToString::to_string).collect();
            out.line(format!("not as it should be under the seeds {}", seeds.join(", ")))?;
        }
    }
    let speed = match found.mode {
        Mode::Simulated => format!(", {:.0} times as fast as real time", found.speed),
        Mode::Real => String::new(),
    };
    out.line(format!("took {:.1} s{speed}; again: {}", found.wall_s, found.command))
}
