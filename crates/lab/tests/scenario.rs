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
fn what_is_empty_is_missing() {
    refused("kind = \"kill\"", "kind = \"\"", &["kind: is empty"]);
    refused("node = \"node-1\"", "node = \"\"", &["node: is empty"]);
    refused("system = \"placement\"", "system = \"\"", &["system: is empty"]);
    refused("name = \"mine\"", "name = \"\"", &["name: is empty"]);
    refused("name = \"ring\"", "name = \"\"", &["name: is empty"]);
}

#[test]
fn a_name_is_a_word_that_a_file_can_be_called() {
    for wrong in ["../x", "a/b", "-x", "A", "a b", ".", "\u{e4}"] {
        let name = format!("name = \"{wrong}\"");
        refused("name = \"mine\"", &name, &["is no name"]);
        refused("name = \"ring\"", &name, &["is no name"]);
    }
}

#[test]
fn a_fault_that_would_hit_nobody_is_refused() {
    refused("at = \"5s\"", "at = \"60s\"", &["at: ", "the trial is over after 60 s"]);
    refused("for = \"2s\"", "for = \"0s\"", &["for: must be longer than nothing"]);
    let drawn = "kind = \"kill\"\nnode = \"node-*\"\nevery = \"5s\"";
    let with = |more: &str| problems(&format!("{GOOD}[[faults]]\n{drawn}\n{more}"));
    assert_eq!(with("for = \"1s\""), Vec::<String>::new());
    let only = |more: &str, words: &str| {
        let problems = with(more);
        assert!(problems.len() == 1 && problems[0].contains(words), "{more}: {problems:?}");
    };
    only("for = \"0s\"", "for: must be longer than nothing");
    only("for = \"1s\"\nsince = \"60s\"", "since: the trial is over after 60 s");
    only("for = \"1s\"\nsince = \"30s\"\nuntil = \"20s\"", "since: none would begin");
}

#[test]
fn a_fault_that_changes_nothing_is_refused() {
    let lock = GOOD
        .replace("\"placement\"", "\"lock\"")
        .replace("placement = \"ring\"", "fence = \"full\"")
        .replace("\"moved_share.max\"", "\"stale_leader_write.count\"")
        .replace("\"5%\"", "0");
    let with = |fault: &str| problems(&lock.replace("kind = \"kill\"\nnode = \"node-1\"", fault));
    let between = "from = \"worker-1\"\nto = \"coordinator\"";
    assert_eq!(with(&format!("kind = \"link\"\n{between}\nloss = \"1%\"")), Vec::<String>::new());
    let only = |fault: &str, words: &str| {
        let problems = with(fault);
        assert!(problems.len() == 1 && problems[0].contains(words), "{fault}: {problems:?}");
    };
    only(&format!("kind = \"link\"\n{between}"), "changes nothing; give it delay");
    only(&format!("kind = \"link\"\n{between}\nloss = \"0%\""), "changes nothing");
    only("kind = \"clock\"\nnode = \"worker-1\"", "changes nothing; give it jump");
    let itself = "from = \"worker-1\"\nto = \"worker-1\"";
    only(&format!("kind = \"partition\"\n{itself}"), "to: it is the same node");
    // More than a clock can add up, and less than a wire can carry.
    let delay = "delay = \"18446744073709000000s\"";
    only(&format!("kind = \"link\"\n{between}\n{delay}"), "delay: must be at most 24h");
    let bandwidth = "bandwidth = \"0.000000000000000000001/s\"";
    only(&format!("kind = \"link\"\n{between}\n{bandwidth}"), "bandwidth: must be at least 1/s");
}

#[test]
fn more_faults_than_there_can_be_are_refused() {
    let drawn = "[[faults]]\nkind = \"kill\"\nnode = \"node-*\"\nevery = \"1ms\"\nfor = \"1ms\"\n";
    let many = problems(&format!("{GOOD}{drawn}"));
    assert!(many.len() == 1 && many[0].contains("every: "), "{many:?}");
    assert!(many[0].contains("60000 faults") && many[0].contains("10000"), "{many:?}");
    let fault = "[[fault]]\nkind = \"kill\"\nnode = \"node-*\"\n";
    let many = problems(&format!("{GOOD}{}", fault.repeat(10_000)));
    assert!(many.len() == 1 && many[0].contains("10001 faults"), "{many:?}");
}

#[test]
fn a_variant_of_which_nothing_is_asked_is_refused() {
    let twin = "[[variant]]\nname = \"modulo\"\nprotected = false\n\
                settings = { placement = \"modulo\" }\n";
    let both = format!("{GOOD}{twin}");
    assert_eq!(problems(&both), Vec::<String>::new());
    for (asked, not) in [("ring", "modulo"), ("modulo", "ring")] {
        let text = both.replace("\"5%\"", &format!("\"5%\"\nonly = [\"{asked}\"]"));
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(&format!("nothing is asked of {not:?}")), "{problems:?}");
    }
    let none = problems(&both.replace("\"5%\"", "\"5%\"\nonly = []"));
    assert!(none[0].contains("only: names no variant"), "{none:?}");
}

#[test]
fn a_bound_that_cannot_be_broken_or_kept_is_refused() {
    let count = GOOD.replace("moved_share.max", "moved.count");
    let count = if problems(&count).iter().any(|it| it.contains("no indicator")) {
        GOOD.replace("\"placement\"\nduration", "\"lock\"\nduration")
            .replace(
                "[[fault]]\nkind = \"kill\"\nnode = \"node-1\"\nat = \"5s\"\nfor = \"2s\"\n",
                "",
            )
            .replace("placement = \"ring\"", "fence = \"full\"")
            .replace("moved_share.max", "stale_leader_write.count")
    } else {
        count
    };
    let with = |bound: &str| problems(&count.replace("at_most = \"5%\"", bound));
    assert_eq!(with("at_most = 0"), Vec::<String>::new());
    for (bound, words) in [
        ("at_most = nan", "not a number"),
        ("at_most = inf", "not a number"),
        ("at_most = -1", "negative"),
        ("at_most = -0.5", "negative"),
        ("at_least = 0", "bounds nothing"),
        ("at_least = 5\nat_most = 4", "nothing is both"),
    ] {
        let problems = with(bound);
        assert!(problems.len() == 1 && problems[0].contains(words), "{bound}: {problems:?}");
    }
}

#[test]
fn a_real_trial_has_a_length_too() {
    let with = |length: &str| {
        problems(&GOOD.replace("\"60s\"", &format!("\"60s\"\nreal_duration = {length}")))
    };
    assert_eq!(with("\"30s\""), Vec::<String>::new());
    assert!(with("\"0s\"")[0].contains("real_duration: must be longer than nothing"));
    assert!(with("\"25h\"")[0].contains("at most 24h"));
    assert!(with("\"3s\"")[0].contains("scale_faults"), "{:?}", with("\"3s\""));
}

#[test]
fn a_file_full_of_mistakes_shows_the_first_ones_soon() {
    let keys: String = (0..60_000).map(|number| format!("key{number} = 1\n")).collect();
    let problems = problems(&format!("{keys}{GOOD}"));
    assert_eq!(problems.len(), 101);
    assert!(problems[0].starts_with("1:1: unknown key"), "{}", problems[0]);
    assert!(problems[100].contains("59900 more"), "{}", problems[100]);
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let (arrays, tables) = ("[".repeat(100_000), "{ a = ".repeat(50_000));
    let path = vec!["a"; 200_000].join(".");
    for wrong in [format!("x = {arrays}"), format!("x = {tables}"), format!("{path} = 1")] {
        assert_eq!(problems(&format!("{wrong}\n{GOOD}")).len(), 1);
    }
}

/// Whatever a file is changed into, it is a scenario or has a problem with a place.
#[test]
fn no_change_of_a_scenario_makes_its_reader_fail() {
    // xorshift64*: the same changes each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    };
    let words = [
        "\"",
        "'",
        "=",
        "[",
        "]",
        "[[",
        "{",
        "}",
        "\n",
        "#",
        "-",
        ".",
        "0",
        "9999999999999999999",
        "nan",
        "-inf",
        "1e400",
        "\"\"",
        "\"5%\"",
        "\"-1s\"",
        "\"*\"",
        "true",
        "[]",
        "\u{0}",
        "\u{e4}",
        "\u{1f980}",
        "1979-05-27",
        "kind",
        "only = []",
        "\"99999999999999999999h\"",
    ];
    for (name, text) in steadfast_lab::experiment::ALL {
        for _ in 0..200 {
            let mut letters: Vec<char> = text.chars().collect();
            for _ in 0..=draw(3) {
                let at = draw(letters.len());
                let end = (at + draw(12)).min(letters.len());
                let word = words[draw(words.len())];
                match draw(3) {
                    0 => drop(letters.drain(at..end)),
                    1 => drop(letters.splice(at..at, word.chars())),
                    _ => drop(letters.splice(at..end, word.chars())),
                }
            }
            let changed: String = letters.into_iter().collect();
            if let Err(error) = Scenario::parse(&changed, None) {
                assert!(!error.to_string().is_empty(), "{name}: no reason for\n{changed}");
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Scenario::load(std::path::Path::new("no/such/file.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.toml: "), "{error}");
    let folder = Scenario::load(std::path::Path::new(".")).unwrap_err().to_string();
    assert!(folder.starts_with(".: "), "{folder}");
}

#[test]
fn a_file_without_an_end_is_no_scenario() {
    let path = std::path::Path::new("/dev/zero");
    if path.exists() {
        let error = Scenario::load(path).unwrap_err().to_string();
        assert!(error.starts_with("/dev/zero: ") && error.contains("at most"), "{error}");
    }
}

#[test]
fn the_documentation_shows_a_scenario_that_is_taken() {
    let page = include_str!("../../../docs/lab.md");
    let (_, after) = page.split_once("```toml\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    assert_eq!(problems(example), Vec::<String>::new());
    // And all of it is read: a word of it that is wrong is found.
    assert_eq!(problems(&example.replace("every =", "evry =")).len(), 2);
}
