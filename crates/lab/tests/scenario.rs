//! Mistakes in a scenario are refused with their line, and with what may have been meant.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

use steadfast_lab::{Error, Scenario};

const GOOD: &str = r#"name = "mine"
title = "Mine"
claim = "It holds."
system = "placement"
duration = "60s"

[[fault]]
kind = "kill"
node = "node-1"
at = "5s"
for = "2s"

[[bound]]
indicator = "moved_share.max"
at_most = "5%"

[[variant]]
name = "ring"
protected = true
settings = { placement = "ring" }
"#;

fn problems(text: &str) -> Vec<String> {
    match Scenario::parse(text, None) {
        Ok(_) => Vec::new(),
        Err(Error::Scenario(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

/// Replaces a line of the good one; the only problem must be there, and say this.
fn refused(line: &str, with: &str, expected: &[&str]) {
    assert!(GOOD.contains(line), "{line:?} is not in the scenario");
    let number = GOOD.lines().position(|it| it == line).unwrap() + 1;
    let problems = problems(&GOOD.replacen(line, with, 1));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = &problems[0];
    assert!(problem.starts_with(&format!("{number}:")), "line {number}: {problem}");
    for words in expected {
        assert!(problem.contains(words), "{words:?} is not in {problem:?}");
    }
}

#[test]
fn a_good_one_is_taken() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
}

#[test]
fn an_unknown_fault_is_refused_with_a_suggestion() {
    refused(
        "kind = \"kill\"",
        "kind = \"kil\"",
        &["unknown fault \"kil\"", "did you mean \"kill\"?"],
    );
    let expected = ["placement cannot be given \"pause\"", "it can be given kill"];
    refused("kind = \"kill\"", "kind = \"pause\"", &expected);
}

#[test]
fn a_node_that_is_not_there_is_refused() {
    let expected = ["there is no node \"nod-1\"", "did you mean \"node-1"];
    refused("node = \"node-1\"", "node = \"nod-1\"", &expected);
    refused("node = \"node-1\"", "node = \"worker-*\"", &["there is no node \"worker-*\""]);
}

#[test]
fn a_bound_without_its_unit_is_refused() {
    let line = "at_most = \"5%\"";
    refused(line, "at_most = 5", &["is a share", "has no unit", "\"5%\""]);
    refused(line, "at_most = \"5ms\"", &["is a share, not a length of time"]);
    refused(line, "at_most = \"five\"", &["is not a quantity"]);
}

#[test]
fn times_need_units_too() {
    let expected = ["expected a length of time such as \"350ms\"", "is a unit missing?"];
    refused("at = \"5s\"", "at = 5", &expected);
    refused("duration = \"60s\"", "duration = \"25h\"", &["at most 24h"]);
}

#[test]
fn unknown_words_are_refused_wherever_they_stand() {
    refused("system = \"placement\"", "system = \"placemnt\"", &["did you mean \"placement\"?"]);
    let indicator = "indicator = \"moved_share.max\"";
    refused(indicator, "indicator = \"moved_share\"", &["did you mean \"moved_share.max\"?"]);
    refused("for = \"2s\"", "fro = \"2s\"", &["unknown key \"fro\"", "did you mean \"for\"?"]);
    let settings = "settings = { placement = \"ring\" }";
    refused(settings, "settings = { placment = \"ring\" }", &["did you mean \"placement\"?"]);
    refused(settings, "settings = { placement = \"rung\" }", &["did you mean \"ring\"?"]);
}

#[test]
fn what_claims_nothing_is_refused() {
    let text = GOOD.replace("protected = true", "protected = false");
    assert!(problems(&text)[0].contains("none is protected"), "{:?}", problems(&text));
    let text = GOOD.replace("at_most = \"5%\"\n", "");
    assert!(problems(&text)[0].contains("it bounds nothing"), "{:?}", problems(&text));
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let text = GOOD.replace("title = \"Mine\"", "title = Mine\"");
    let problems = problems(&text);
    assert!(problems[0].starts_with("2:"), "{problems:?}");
}

#[test]
fn all_problems_are_shown_at_once_in_order() {
    let text = GOOD
        .replace("kind = \"kill\"", "kind = \"kil\"")
        .replace("at_most = \"5%\"", "at_most = 5")
        .replace("title = \"Mine\"\n", "");
    let lines: Vec<usize> =
        problems(&text).iter().map(|it| it.split(':').next().unwrap().parse().unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Scenario::load(std::path::Path::new("no/such/file.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.toml: "), "{error}");
    let folder = Scenario::load(std::path::Path::new(".")).unwrap_err().to_string();
    assert!(folder.starts_with(".: "), "{folder}");
}
