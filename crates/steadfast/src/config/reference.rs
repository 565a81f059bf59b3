//! The reference page, and a file with every key at its value.

use std::fmt::Write;

use super::Loaded;
use super::settings::{Config, Item, Section};

const INTRODUCTION: &str = "\
# Configuration

One TOML file, named by `--config FILE` or `STEADFAST_CONFIG`. A key comes from a flag, or else
from the environment, or else from the file, or else it has its default. In the environment,
sections and keys are joined by two underscores: `STEADFAST_LIMITS__ORDER=400ms` is `limits.order`,
`STEADFAST__LISTEN=127.0.0.1:8080` is `listen`. Unknown keys are errors. Lengths of time and sizes
are written in words: `\"350ms\"`, `\"64MiB\"`.

`steadfast config print` shows what applies and where it comes from; `steadfast config check`
checks it and prints the tree of deadlines.

This page is generated from the code (`cargo xtask golden`).
";

/// The reference page, as Markdown: `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    heading(&mut page, "Top level", None, &[]);
    Config::default().visit("", &mut |item| match item {
        Item::Section { path, about } => {
            let title = format!("`[{path}]`");
            heading(&mut page, &title, Some(path.matches('.').count()), about);
        }
        Item::Value { path, about, allowed, value } => {
            let key = path.rsplit('.').next().unwrap_or_default();
            let default = value.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
            let about = about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
            // Writing to a string cannot fail.
            let _ = writeln!(page, "| `{key}` | {default} | {about} Must be {allowed}. |");
        }
    });
    // A section that has only sections has no table.
    page.replace(&format!("{TABLE}\n#"), "\n#")
}

const TABLE: &str = "\n| key | default | meaning |\n|---|---|---|\n";

fn heading(page: &mut String, title: &str, depth: Option<usize>, about: &[&str]) {
    let marks = "#".repeat(2 + depth.unwrap_or(0));
    let _ = writeln!(page, "\n{marks} {title}");
    if !about.is_empty() {
        page.push('\n');
        for line in about {
            let _ = writeln!(page, "{}", line.trim());
        }
    }
    page.push_str(TABLE);
}

/// What applies, as a TOML file, with the origin of each key that is not at its default.
pub fn print(loaded: &Loaded) -> String {
    let mut text = String::new();
    loaded.config.visit("", &mut |item| {
        let _ = match item {
            Item::Section { path, .. } => writeln!(text, "\n[{path}]"),
            Item::Value { path, value, .. } => {
                let key = path.rsplit('.').next().unwrap_or_default();
                let origin = loaded.origin(&path).filter(|origin| origin != "default");
                let origin = origin.map_or_else(String::new, |origin| format!("  # {origin}"));
                match value {
                    Some(value) => writeln!(text, "{key} = {value}{origin}"),
                    None => writeln!(text, "# {key} is not set"),
                }
            }
        };
    });
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load};
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[limits]\norder = \"400ms\"\n").unwrap();
        let first = load(&Flags::default(), Some(file.path()), std::iter::empty()).unwrap();
        let text = print(&first);
        assert!(text.contains("order = \"400ms\"  # "), "{text}");
        std::fs::write(file.path(), &text).unwrap();
        let second = load(&Flags::default(), Some(file.path()), std::iter::empty()).unwrap();
        assert_eq!(first.config, second.config);
    }

    #[test]
    fn golden_the_reference_page_is_up_to_date() {
        crate::golden::check("../../docs/configuration.md", &page());
    }
}
