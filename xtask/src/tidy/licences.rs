//! Rules about licences.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;
use super::floors::crates;

/// The licence of everything here.
const LICENCE: &str = "Apache-2.0 OR MIT";

/// Licence files, and a line that each must have.
const FILES: &[(&str, &str)] =
    &[("LICENSE-APACHE", "Apache License"), ("LICENSE-MIT", "Permission is hereby granted")];

/// Everything that breaks a rule about licences.
pub(super) fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, text) in FILES {
        let content = fs::read_to_string(root.join(name)).unwrap_or_default();
        if !content.contains(text) {
            let what = "is missing, or is not the licence that it is named after";
            findings.push(Finding::new(Path::new(name), 0, what));
        }
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    if !workspace.contains(&format!("license = \"{LICENCE}\"")) {
        findings.push(Finding::new(Path::new("Cargo.toml"), 0, format!("must say {LICENCE:?}")));
    }
    let mut manifests: Vec<PathBuf> = crates(root)?.into_iter().map(|(_, path)| path).collect();
    manifests.push(Path::new("xtask").join("Cargo.toml"));
    for manifest in manifests {
        let content = fs::read_to_string(root.join(&manifest)).unwrap_or_default();
        if !content.lines().any(|line| line.trim() == "license.workspace = true") {
            findings.push(Finding::new(&manifest, 0, "lacks `license.workspace = true`"));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("crates/a")).unwrap();
        fs::create_dir_all(root.join("xtask")).unwrap();
        fs::write(root.join("Cargo.toml"), "[workspace.package]\nlicense = \"MIT\"\n").unwrap();
        fs::write(root.join("crates/a/Cargo.toml"), "[package]\nname = \"a\"\n").unwrap();
        fs::write(root.join("xtask/Cargo.toml"), "[package]\nlicense.workspace = true\n").unwrap();
        fs::write(root.join("LICENSE-MIT"), "All rights reserved.\n").unwrap();
        let files: Vec<String> =
            check(root).unwrap().iter().map(|finding| finding.file.display().to_string()).collect();
        assert_eq!(files, ["LICENSE-APACHE", "LICENSE-MIT", "Cargo.toml", "crates/a/Cargo.toml"]);
    }
}
