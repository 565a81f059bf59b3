//! All tests of the workspace, and what was left out, and how they went.
//!
//! One call of cargo, with all features, runs everything once: unit tests, the programs in
//! `tests/`, examples (built), and the examples in docs and READMEs. A test that leaves something
//! out prints a line that starts with `left out:`; these are gathered, so that a green run does
//! not look like more than it is.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// How many seeds the simulations try; read by their tests.
const SEEDS: &str = "STEADFAST_SEEDS";

/// Where the recorded days are; read by the tests that replay them.
const DATA: &str = "STEADFAST_DATA";

/// How a test says that it has not looked at something.
const LEFT_OUT: &str = "left out: ";

/// What is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    seeds: Option<u64>,
    rest: Vec<String>,
}

impl Options {
    /// Reads the words after `test`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match *word {
                "--seeds" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    let number = number.filter(|number| *number > 0);
                    options.seeds = Some(number.ok_or("--seeds needs a number above zero")?);
                }
                "--" => options.rest.extend(words.by_ref().map(|word| (*word).to_owned())),
                other => return Err(format!("test: {other:?} is not understood")),
            }
        }
        Ok(options)
    }

    /// What goes to cargo, and what goes to the test programs: the words after another `--`.
    fn split(&self) -> (&[String], &[String]) {
        match self.rest.iter().position(|word| word == "--") {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (&self.rest, &[]),
        }
    }
}

/// All test programs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    left_out: BTreeSet<String>,
}

impl Totals {
    /// Adds what a line of a test program's output says, if it says how it went.
    fn add(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix(LEFT_OUT) {
            self.left_out.insert(what.to_owned());
        } else if let Some((test, why)) = ignored(line) {
            self.left_out.insert(format!("{test}: {why}"));
        }
        let Some(summary) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |what: &str| {
            let mut parts = summary.split(['.', ';']).map(str::trim);
            let number = parts.find_map(|part| part.strip_suffix(what));
            number.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// Whether a line belongs to the part in which a test program shows what its passing tests have
/// printed, given whether the line before did.
fn is_output(line: &str, before: bool) -> bool {
    let ends = line == "failures:" || line.starts_with("test result: ");
    line == "successes:" || before && !ends
}

/// The name of an ignored test, and the reason that its attribute gives.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (test, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some((test, rest.strip_prefix(", ").unwrap_or("ignored, without a reason")))
}

/// Runs all tests; says whether all passed.
///
/// # Errors
/// Cargo did not start.
pub fn run(root: &Path, options: &Options) -> io::Result<bool> {
    let mut cargo = crate::cargo();
    cargo.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    let (to_cargo, to_tests) = options.split();
    // What passing tests print says what they left out; that is gathered, and the rest not shown.
    cargo.args(to_cargo).args(["--", "--show-output"]).args(to_tests);
    cargo.current_dir(root).stdout(Stdio::piped());
    if let Some(seeds) = options.seeds {
        cargo.env(SEEDS, seeds.to_string());
    }
    let mut child = cargo.spawn()?;
    let (mut totals, mut hidden) = (Totals::default(), false);
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            totals.add(&line);
            hidden = is_output(&line, hidden);
            if !hidden {
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    if std::env::var_os(DATA).is_none() {
        let what = format!("the recorded days, because {DATA} does not say where they are");
        totals.left_out.insert(what);
    }
    println!();
    for what in &totals.left_out {
        println!("{LEFT_OUT}{what}");
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if !status.success() && totals.failed == 0 {
        eprintln!("error: cargo test did not succeed although no test failed; see above");
    }
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up_and_other_lines_are_not() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a ... FAILED",
            "test b ... ignored, a part of c",
            "test d ... ignored",
            "left out: day-4",
            "left out: day-4",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s",
        ] {
            totals.add(line);
        }
        let left_out = ["b: a part of c", "d: ignored, without a reason", "day-4"];
        let left_out = left_out.map(str::to_owned).into();
        assert_eq!(totals, Totals { passed: 8, failed: 2, left_out });
    }

    #[test]
    fn what_passing_tests_print_is_hidden_and_failures_are_not() {
        let lines = ["test a ... ok", "successes:", "x", "successes:", "    a", "failures:", "y"];
        let mut hidden = false;
        let shown = lines.into_iter().filter(|line| {
            hidden = is_output(line, hidden);
            !hidden
        });
        assert_eq!(shown.collect::<Vec<_>>(), ["test a ... ok", "failures:", "y"]);
        assert!(!is_output("test result: ok. 1 passed", true));
    }

    #[test]
    fn the_words_are_understood_or_refused() {
        let options = Options::parse(&["--seeds", "50", "--", "-p", "x"]).unwrap();
        assert_eq!(options, Options { seeds: Some(50), rest: vec!["-p".into(), "x".into()] });
        assert_eq!(options.split(), (&options.rest[..], &[][..]));
        let options = Options::parse(&["--", "-p", "x", "--", "--nocapture"]).unwrap();
        assert_eq!(options.split().1, ["--nocapture"]);
        for words in [&["--seeds"][..], &["--seeds", "many"], &["--seeds", "0"], &["--fast"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
