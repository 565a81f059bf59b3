//! Rules about any text.

use std::path::Path;

use super::Finding;

/// Endings of files that people write. Generated output and data are as they are.
const WRITTEN: &[&str] = &["rs", "toml", "md", "yml", "yaml", "sh", "sql"];

/// How a path begins that exists on somebody's machine only. (In pieces, so that this file does
/// not find itself.)
const MACHINES: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("C:\\", "Users"),
];

/// Everything that breaks a rule about text.
pub(super) fn check(file: &Path, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let extension = file.extension().and_then(|extension| extension.to_str());
    let written =
        extension.is_some_and(|extension| WRITTEN.contains(&extension)) || file.starts_with(".ci");
    // Not `lines()`, which takes away a carriage return.
    for (index, line) in content.split('\n').enumerate() {
        let mut add = |what: &str| findings.push(Finding::new(file, index + 1, what));
        if written && line.contains('\t') {
            add("has a tab; use blanks");
        }
        if written && line.ends_with([' ', '\r']) {
            add("ends with a blank");
        }
        if let Some(machine) = MACHINES.iter().find(|machine| names_path(line, machine)) {
            add(&format!("names a path of somebody's machine: {machine}…"));
        }
    }
    if written && !content.is_empty() && !content.ends_with('\n') {
        findings.push(Finding::new(
            file,
            content.lines().count(),
            "does not end with a line break",
        ));
    }
    if written && content.ends_with("\n\n") {
        findings.push(Finding::new(file, content.lines().count(), "ends with empty lines"));
    }
    findings
}

/// Whether a path starts with `machine`, and is not only part of another path or of a URL.
fn names_path(line: &str, machine: &str) -> bool {
    line.match_indices(machine).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, content: &str) -> Vec<usize> {
        check(Path::new(file), content).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn tabs_and_blanks_at_line_ends_are_found() {
        assert_eq!(found("x.rs", "a\n\tb\n"), [2]);
        assert_eq!(found("x.md", "a \n"), [1]);
        assert_eq!(found("x.toml", "a\r\n"), [1]);
        assert_eq!(found("x.sh", "a"), [1]);
        assert_eq!(found("x.sh", "a\n\n"), [2]);
        assert_eq!(found("x.txt", "\ta \n"), [] as [usize; 0], "data is as it is");
    }

    #[test]
    fn paths_of_a_machine_are_found_and_others_are_not() {
        for machine in MACHINES {
            assert_eq!(found("x.txt", &format!("see {machine}ana/x\n")), [1], "{machine}");
        }
        let fine = format!("https://example.org{}x ~{0}y\n", MACHINES[0]);
        assert_eq!(found("x.md", &fine), [] as [usize; 0]);
    }
}
