//! Who may depend on whom.
//!
//! Imports go downward only: a crate depends on crates of lower floors, never on its own floor
//! or above. Tests may look up (a dev-dependency is not part of the house). The domain names no
//! engine and no HTTP.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Finding;

/// The floor of each crate, as ARCHITECTURE.md has it.
const FLOORS: &[(&str, u8)] = &[
    ("time", 1),
    ("fencing", 1),
    ("resilience", 2),
    ("journal", 2),
    ("coordination", 2),
    ("messaging", 3),
    ("slo", 3),
    ("transactions", 4),
    ("dispatch", 5),
    ("providers", 6),
    ("api", 6),
    ("lab", 7),
    ("steadfast", 8),
];

/// Crates that know no engine and no HTTP, and what they therefore must not depend on.
const DOMAIN: &[&str] = &["time", "fencing", "messaging", "transactions", "dispatch"];
const ENGINES: &[&str] =
    &["rusqlite", "tokio-postgres", "rdkafka", "redis", "etcd-client", "axum", "hyper", "http"];

/// Every manifest that breaks a rule.
pub(super) fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, manifest) in crates(root)? {
        let content = fs::read_to_string(root.join(&manifest))?;
        findings.extend(manifest_findings(&name, &manifest, &content));
    }
    Ok(findings)
}

/// The crates' folders and manifests, in a fixed order.
pub(super) fn crates(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let manifest = Path::new("crates").join(&name).join("Cargo.toml");
        if root.join(&manifest).is_file() {
            found.push((name, manifest));
        }
    }
    found.sort();
    Ok(found)
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn manifest_findings(name: &str, manifest: &Path, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line: usize, what: String| findings.push(Finding::new(manifest, line, what));
    let table = match content.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            add(0, format!("cannot be read: {}", error.message()));
            return findings;
        }
    };
    let Some(own) = floor(name) else {
        add(0, format!("{name} has no floor; give it one in xtask/src/tidy/floors.rs"));
        return findings;
    };
    for dependency in dependencies(&table) {
        let line = line_of(content, &dependency);
        if let Some(other) = dependency.strip_prefix("steadfast-") {
            match floor(other) {
                Some(floor) if floor < own => {}
                Some(floor) => add(
                    line,
                    format!(
                        "{name} (floor {own}) must not depend on {other} (floor {floor}): imports go \
                     downward only"
                    ),
                ),
                None => add(line, format!("{other} has no floor")),
            }
        }
        if DOMAIN.contains(&name) && ENGINES.contains(&dependency.as_str()) {
            add(
                line,
                format!("{name} must not depend on {dependency}: it knows no engine and no HTTP"),
            );
        }
    }
    findings
}

/// The names of what is built into the crate, for any target.
fn dependencies(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut take = |table: Option<&Value>| {
        names.extend(table.and_then(Value::as_table).into_iter().flat_map(|t| t.keys().cloned()));
    };
    take(table.get("dependencies"));
    for target in table.get("target").and_then(Value::as_table).into_iter().flat_map(|t| t.values())
    {
        take(target.get("dependencies"));
    }
    names
}

fn line_of(content: &str, dependency: &str) -> usize {
    let starts = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    content.lines().position(starts).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, manifest: &str) -> Vec<String> {
        let findings = manifest_findings(name, Path::new("Cargo.toml"), manifest);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_import_that_climbs_is_found() {
        let up = "[dependencies]\nsteadfast-dispatch.workspace = true\n";
        assert!(found("journal", up)[0].contains("imports go downward only"));
        assert!(found("dispatch", up)[0].contains("floor 5"), "its own floor is not lower");
        assert!(found("api", up).is_empty());
        let target = "[target.'cfg(unix)'.dependencies]\nsteadfast-api = \"1\"\n";
        assert_eq!(found("messaging", target).len(), 1);
        let tests = "[dev-dependencies]\nsteadfast-providers.workspace = true\n";
        assert!(found("dispatch", tests).is_empty());
    }

    #[test]
    fn an_engine_in_the_domain_is_found() {
        let engine = "[dependencies]\nrusqlite.workspace = true\n";
        assert!(found("dispatch", engine)[0].contains("no engine"));
        assert!(found("journal", engine).is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert!(found("cellar", "[dependencies]\n")[0].contains("no floor"));
        let unknown = "[dependencies]\nsteadfast-cellar = \"1\"\n";
        assert!(found("api", unknown)[0].contains("no floor"));
        assert!(found("api", "not toml")[0].contains("cannot be read"));
    }
}
