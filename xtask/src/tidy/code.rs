//! Rules about Rust source.

use std::path::Path;

use super::Finding;
use super::lexer::code_only;

/// Longest source file, in lines. One concept, one module.
const LINES_MAX: usize = 600;

/// What reads a clock or waits on one; only the `time` crate may.
const CLOCKS: &[(&str, &str)] = &[
    ("Instant::now", "take a steadfast_time::Clock"),
    ("SystemTime::now", "take a steadfast_time::Clock"),
    ("Timestamp::now", "take a steadfast_time::Clock"),
    ("Zoned::now", "take a steadfast_time::Clock"),
    ("thread::sleep", "wait on a Clock, or on the thing itself"),
];

/// What ties a library to one runtime; those that are simulated must do without.
const RUNTIME: &[(&str, &str)] = &[
    ("tokio::time", "take a steadfast_time::Clock"),
    ("tokio::spawn", "return a future, and let the caller run it"),
    ("tokio::select!", "use futures::select_biased!, whose order is fixed"),
    ("Ids::from_entropy", "take the Ids from the caller"),
];

/// The crates that run under simulation.
const SIMULATED: &[&str] =
    &["fencing", "journal", "coordination", "messaging", "transactions", "dispatch"];

/// Where servers are talked to: over client libraries that live on a runtime anyway. A simulation
/// has the memory engine instead.
const ENGINES: &[&str] = &["embedded", "etcd", "postgres", "redis", "zookeeper"];

/// What is not finished.
const LEFTOVERS: &[(&str, &str)] = &[
    ("todo!", "do it, or open an issue"),
    ("unimplemented!", "implement it, or make it an error"),
    ("dbg!", "remove it"),
];

/// Everything that breaks a rule about Rust source.
pub(super) fn check(file: &Path, content: &str) -> Vec<Finding> {
    let code = code_only(content);
    let mut findings = Vec::new();
    if content.lines().count() > LINES_MAX {
        let what = format!("has more than {LINES_MAX} lines; split it by concept");
        findings.push(Finding::new(file, 0, what));
    }
    if !has_module_doc(content) {
        let what = "begins without a module doc; say with //! why it is there";
        findings.push(Finding::new(file, 1, what));
    }
    let exempt = tests_begin(file, content, &code);
    for (index, line) in code.lines().enumerate() {
        let mut stray = |words: &[(&str, &str)]| {
            for (word, instead) in words.iter().filter(|(word, _)| has_word(line, word)) {
                findings.push(Finding::new(file, index + 1, format!("{word}: {instead}")));
            }
        };
        stray(LEFTOVERS);
        if !in_crate(file, "time") && !clippy_is_told(content) {
            stray(CLOCKS);
        }
        let is_simulated = SIMULATED.iter().any(|name| in_crate(file, name)) && !is_engine(file);
        if index < exempt && is_simulated {
            stray(RUNTIME);
        }
    }
    findings.extend(allows_without_reason(file, content, &code));
    findings
}

/// Whether `word` stands in `line`, not as the end of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(before) && (word.ends_with('!') || !part(after))
    })
}

/// Whether the file is part of the sources of `crates/<name>`.
fn in_crate(file: &Path, name: &str) -> bool {
    file.starts_with(Path::new("crates").join(name).join("src"))
}

/// Whether the file is part of an engine over a server.
fn is_engine(file: &Path) -> bool {
    let engines = Path::new("crates/coordination/src/engine");
    ENGINES.iter().any(|engine| file.starts_with(engines.join(engine)))
}

/// Whether clippy has been given a reason to let this file call what it otherwise refuses. It
/// sees what is called, which words cannot show; so it has the last word.
fn clippy_is_told(content: &str) -> bool {
    content.contains("clippy::disallowed_methods")
}

/// The line from which on a file is tests (which run on a real runtime if they like).
fn tests_begin(file: &Path, content: &str, code: &str) -> usize {
    let named = file
        .components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "conformance");
    let named = named || file.file_stem().is_some_and(|stem| stem == "tests");
    if named || content.starts_with("#![cfg(test)]") {
        return 0;
    }
    code.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX)
}

fn has_module_doc(content: &str) -> bool {
    let mut lines = content.lines().map(str::trim);
    let documents = |line: &str| line.starts_with("//!") || line.starts_with("#![doc = ");
    lines.find(|line| !line.is_empty()).is_none_or(documents)
}

/// Attributes that silence a lint must say why: by `reason = "…"`, or in a comment beside them.
fn allows_without_reason(file: &Path, content: &str, code: &str) -> Vec<Finding> {
    let lines: Vec<&str> = content.lines().collect();
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("allow(").chain(code.match_indices("expect(")) {
        let before = code[..at].trim_end();
        if !before.ends_with("#[") && !before.ends_with("#![") {
            continue;
        }
        let line = code[..at].matches('\n').count();
        // Brackets in literals are blanks by now.
        let end = code[at..].find(")]").map_or(code.len(), |length| at + length);
        let last = code[..end].matches('\n').count();
        // Comments are blanks in `code`, so what stands there is looked up in the source.
        let reason =
            code[at..end].split([',', '(']).any(|part| part.trim_start().starts_with("reason"));
        let comment = |index: usize| lines.get(index).is_some_and(|line| line.contains("//"));
        let above = line > 0 && comment_only(lines[line - 1]);
        if !(reason || above || (line..=last).any(comment)) {
            let what = "silences a lint without a reason; add `reason = \"…\"`";
            findings.push(Finding::new(file, line + 1, what));
        }
    }
    findings
}

/// Whether a line is a comment about the code; a doc comment is about the item.
fn comment_only(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") && !line.starts_with("//!") && !line.starts_with("///")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings in a file that has a module doc.
    fn found(file: &str, source: &str) -> Vec<String> {
        let source = format!("//! Why.\n{source}");
        check(Path::new(file), &source).iter().map(ToString::to_string).collect()
    }

    const DISPATCH: &str = "crates/dispatch/src/x.rs";

    #[test]
    fn clocks_are_found_outside_the_time_crate_only() {
        for call in ["std::time::Instant::now()", "SystemTime::now()", "std::thread::sleep(d)"] {
            let line = format!("fn f() {{ let a = {call}; }}");
            assert_eq!(found(DISPATCH, &line).len(), 1, "{call}");
            assert_eq!(found("crates/time/src/clock.rs", &line), [""; 0], "{call}");
        }
        assert_eq!(found(DISPATCH, "// Instant::now() is refused\n"), [""; 0]);
        assert_eq!(found(DISPATCH, "const A: &str = \"Instant::now()\";"), [""; 0]);
        assert_eq!(found(DISPATCH, "MyInstant::now();"), [""; 0]);
        let told = "#![expect(clippy::disallowed_methods, reason = \"why\")]\nInstant::now();";
        assert_eq!(found(DISPATCH, told), [""; 0], "clippy has the last word");
    }

    #[test]
    fn a_runtime_is_found_in_simulated_crates_but_not_in_their_tests() {
        let spawn = "fn f() { tokio::spawn(x); }";
        let expected =
            format!("{DISPATCH}:2: tokio::spawn: return a future, and let the caller run it");
        assert_eq!(found(DISPATCH, spawn), [expected]);
        assert_eq!(found("crates/api/src/x.rs", spawn), [""; 0]);
        assert_eq!(found("crates/dispatch/src/x/tests.rs", spawn), [""; 0]);
        let engines = "crates/coordination/src/engine";
        assert_eq!(found(&format!("{engines}/etcd/link.rs"), spawn), [""; 0]);
        assert_eq!(found(&format!("{engines}/memory/net.rs"), spawn).len(), 1);
        assert_eq!(found(DISPATCH, &format!("#[cfg(test)]\nmod tests {{ {spawn} }}")), [""; 0]);
    }

    #[test]
    fn leftovers_are_found() {
        for leftover in ["todo!()", "unimplemented!(\"later\")", "dbg!(x)"] {
            assert_eq!(found("xtask/src/x.rs", &format!("fn f() {{ {leftover}; }}")).len(), 1);
        }
        assert_eq!(found("xtask/src/x.rs", "// todo!() is refused"), [""; 0]);
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        let bad = ["#[allow(dead_code)]\nfn f() {}", "#![expect(\n    clippy::unwrap_used\n)]"];
        for source in bad {
            assert_eq!(found(DISPATCH, source).len(), 1, "{source}");
        }
        let good = [
            "#[allow(dead_code, reason = \"used by macros\")]\nfn f() {}",
            "#[expect(\n    dead_code,\n    reason = \"why\"\n)]\nfn f() {}",
            "// Used by macros.\n#[allow(dead_code)]\nfn f() {}",
            "#[allow(dead_code)] // used by macros\nfn f() {}",
            "fn f() { x.expect(\"y\"); allow(z); }",
        ];
        for source in good {
            assert_eq!(found(DISPATCH, source), [""; 0], "{source}");
        }
    }

    #[test]
    fn a_file_needs_a_doc_and_an_end() {
        let plain = check(Path::new("x.rs"), "use std::io;\n");
        assert!(plain[0].what.contains("module doc"), "{plain:?}");
        let long = format!("//! Why.\n{}", "fn f() {}\n".repeat(LINES_MAX));
        assert!(check(Path::new("x.rs"), &long)[0].what.contains("lines"));
        assert_eq!(check(Path::new("x.rs"), ""), []);
    }
}
