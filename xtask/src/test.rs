//! All tests of the workspace, and one line that says how they went.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// How many seeds the simulations try; read by their tests.
const SEEDS: &str = "STEADFAST_SEEDS";

/// Where the recorded days are; read by the tests that replay them.
const DATA: &str = "STEADFAST_DATA";

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
}

/// Counts of all test programs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Totals {
    /// Adds what a line of a test program's output says, if it is its summary.
    fn add(&mut self, line: &str) {
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
        self.ignored += count("ignored");
    }
}

/// Runs all tests; says whether all passed.
///
/// # Errors
/// Cargo did not start.
pub fn run(root: &Path, options: &Options) -> io::Result<bool> {
    let mut cargo = crate::cargo();
    cargo.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    cargo.args(&options.rest).current_dir(root).stdout(Stdio::piped());
    if let Some(seeds) = options.seeds {
        cargo.env(SEEDS, seeds.to_string());
    }
    let mut child = cargo.spawn()?;
    let mut totals = Totals::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            totals.add(&line);
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if std::env::var_os(DATA).is_none() {
        println!("left out: the recorded days, because {DATA} does not say where they are");
    }
    if totals.ignored > 0 {
        println!("left out: {} tests that are marked as ignored", totals.ignored);
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
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s",
        ] {
            totals.add(line);
        }
        assert_eq!(totals, Totals { passed: 8, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_words_are_understood_or_refused() {
        let options = Options::parse(&["--seeds", "50", "--", "-p", "x"]).unwrap();
        assert_eq!(options, Options { seeds: Some(50), rest: vec!["-p".into(), "x".into()] });
        for words in [&["--seeds"][..], &["--seeds", "many"], &["--seeds", "0"], &["--fast"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
