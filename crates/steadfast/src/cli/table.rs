//! Aligned columns.

use serde_json::Value;

use super::{Failure, Out};

/// Rows of text under a heading.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row. Control characters of cells are shown, not obeyed: what comes from outside
    /// must not move the cursor.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let shown = |cell: String| {
            if cell.chars().any(char::is_control) { cell.escape_debug().to_string() } else { cell }
        };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    /// The text, two blanks between columns. Numbers are aligned to the right.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..columns)
            .map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let numeric =
            |cell: &String| cell.is_empty() || cell.replace(',', "").parse::<f64>().is_ok();
        let right: Vec<bool> =
            (0..columns).map(|column| cells(column).skip(1).all(numeric)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                line.push_str(&if right[column] {
                    format!("{pad}{cell}")
                } else {
                    format!("{cell}{pad}")
                });
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A JSON value as a cell: text without its quotes, nothing for `null`.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints a page of objects: these fields of them, and how to get the next page.
///
/// # Errors
/// Stdout cannot be written.
pub fn print(out: &mut Out, page: &Value, list: &str, fields: &[&str]) -> Result<(), Failure> {
    let titles: Vec<String> = fields.iter().map(|field| field.to_uppercase()).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut table = Table::new(&titles);
    let entries = page[list].as_array().map_or(&[][..], Vec::as_slice);
    for entry in entries {
        table.row(fields.iter().map(|field| cell(&entry[*field])));
    }
    if entries.is_empty() {
        anstream::eprintln!("none");
        return Ok(());
    }
    out.table(&table)?;
    if let Some(cursor) = page["next_cursor"].as_str() {
        anstream::eprintln!("there are more: --cursor {cursor}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_escapes_are_shown() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(["a".into(), "5".into()]);
        table.row(["\u{1b}[2J".into(), "12".into()]);
        assert_eq!(table.render(), "NAME        N\na           5\n\\u{1b}[2J  12\n");
    }
}
