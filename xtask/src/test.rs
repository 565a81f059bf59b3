//! All tests of the workspace, and what was left out, and how they went.
//!
//! One call of cargo, with all features, runs everything once: unit tests, the programs in
//! `tests/`, examples (built), and the examples in docs and READMEs. A test that leaves something
//! out prints a line that starts with `left out:`; these are gathered, so that a green run does
//! not look like more than it is.
//!
//! The servers that tests of engines ask are started first, and stopped afterwards unless they
//! ran before ([`crate::services`]). Where one cannot be had, its tests are left out; in an
//! automatic build (`CI=true`), that is a failure.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::services::kind::Kind;
use crate::services::{self, Session};

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
    no_services: bool,
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
                "--no-services" => options.no_services = true,
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
    /// What was left out, and by how many tests.
    left_out: BTreeMap<String, u64>,
}

impl Totals {
    /// Adds what a line of a test program's output says, if it says how it went.
    fn add(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix(LEFT_OUT) {
            self.leave_out(what.to_owned());
        } else if let Some((test, why)) = ignored(line) {
            self.leave_out(format!("{test}: {why}"));
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

    fn leave_out(&mut self, what: String) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// How many tests were left out for want of a server, by the variable that they look for.
    fn without(&self, variable: &str) -> u64 {
        let what = format!("{variable} is not set");
        self.left_out.get(&what).copied().unwrap_or(0)
    }
}

/// The tests that were left out for want of a server, each kind with its reason.
fn without_servers(totals: &Totals, session: Option<&Session>) -> Vec<String> {
    let missing = session.map(|session| session.missing.as_slice()).unwrap_or_default();
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let reason = missing.iter().find(|missing| missing.kind == kind);
        let variables = kind.variables(&[]);
        let tests: u64 = variables.iter().map(|(name, _)| totals.without(name)).sum();
        if tests == 0 && reason.is_none() {
            continue;
        }
        let why = match (reason, session) {
            (Some(missing), _) => missing.why.as_str(),
            (None, None) => "no services were wanted",
            (None, Some(_)) => "its variable was taken away",
        };
        lines.push(format!("{tests} tests that ask {}: {why}", kind.name()));
    }
    lines
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
/// Cargo did not start, or the servers could not be started or stopped at all.
pub fn run(root: &Path, options: &Options) -> io::Result<bool> {
    let session = if options.no_services { None } else { Some(Session::begin(root)?) };
    let result = run_with(root, options, session.as_ref());
    let ended = session.map_or(Ok(()), Session::end);
    let passed = result?;
    ended.map(|()| passed)
}

fn run_with(root: &Path, options: &Options, session: Option<&Session>) -> io::Result<bool> {
    let mut cargo = crate::cargo();
    cargo.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    let (to_cargo, to_tests) = options.split();
    // What passing tests print says what they left out; that is gathered, and the rest not shown.
    cargo.args(to_cargo).args(["--", "--show-output"]).args(to_tests);
    cargo.current_dir(root).stdout(Stdio::piped());
    if let Some(seeds) = options.seeds {
        cargo.env(SEEDS, seeds.to_string());
    }
    for (name, value) in session.iter().flat_map(|session| &session.variables) {
        cargo.env(name, value);
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
        totals.leave_out(format!("the recorded days, because {DATA} does not say where they are"));
    }
    println!();
    for (what, tests) in &totals.left_out {
        match tests {
            1 => println!("{LEFT_OUT}{what}"),
            _ => println!("{LEFT_OUT}{what} ({tests} tests)"),
        }
    }
    let without_servers = without_servers(&totals, session);
    for line in &without_servers {
        println!("{LEFT_OUT}{line}");
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if !status.success() && totals.failed == 0 {
        eprintln!("error: cargo test did not succeed although no test failed; see above");
    }
    let incomplete = services::in_ci() && !without_servers.is_empty();
    if incomplete {
        eprintln!("error: an automatic build leaves no server out (CI is set); see above");
    }
    Ok(status.success() && !incomplete)
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
        let left_out = [("b: a part of c", 1), ("d: ignored, without a reason", 1), ("day-4", 2)];
        let left_out = left_out.map(|(what, tests)| (what.to_owned(), tests)).into();
        assert_eq!(totals, Totals { passed: 8, failed: 2, left_out });
    }

    #[test]
    fn tests_without_their_server_are_counted_with_the_reason() {
        let mut totals = Totals::default();
        assert_eq!(without_servers(&totals, None), [""; 0]);
        for line in [
            "left out: STEADFAST_REDIS is not set",
            "left out: STEADFAST_REDLOCK is not set",
            "left out: STEADFAST_REDIS is not set",
            "left out: STEADFAST_ETCD_CLUSTER is not set",
        ] {
            totals.add(line);
        }
        assert_eq!(
            without_servers(&totals, None),
            [
                "1 tests that ask etcd-cluster: no services were wanted",
                "3 tests that ask redis: no services were wanted",
            ]
        );
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
        let rest = vec!["-p".into(), "x".into()];
        assert_eq!(options, Options { seeds: Some(50), no_services: false, rest });
        assert_eq!(options.split(), (&options.rest[..], &[][..]));
        let options = Options::parse(&["--", "-p", "x", "--", "--nocapture"]).unwrap();
        assert_eq!(options.split().1, ["--nocapture"]);
        assert!(Options::parse(&["--no-services"]).unwrap().no_services);
        for words in [&["--seeds"][..], &["--seeds", "many"], &["--seeds", "0"], &["--fast"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
