//! The example that protects a hyper client is short, and the README shows it as it runs.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

const EXAMPLE: &str = include_str!("../examples/protect_hyper.rs");
const README: &str = include_str!("../README.md");

fn protection() -> &'static str {
    let (_, rest) = EXAMPLE.split_once("// begin\n").unwrap();
    rest.split_once("// end\n").unwrap().0
}

#[test]
fn a_hyper_client_is_protected_in_thirty_lines() {
    let lines = protection().lines().filter(|line| !line.trim().is_empty()).count();
    assert!((1..=30).contains(&lines), "{lines}");
}

#[test]
fn the_readme_shows_it_as_it_runs() {
    assert!(README.contains(protection()));
}

/// The configuration that it shows can be read, and is the default where it does not say otherwise.
#[cfg(feature = "serde")]
#[test]
fn the_readmes_configuration_is_one() {
    use steadfast_resilience::policy::Options;
    use steadfast_resilience::{bulkhead, timeout};

    let (_, rest) = README.split_once("```toml\n").unwrap();
    let options: Options = toml::from_str(rest.split_once("```").unwrap().0).unwrap();
    assert_eq!(options.check(), Ok(()));
    let attempt = timeout::Attempt::Fixed(std::time::Duration::from_millis(100));
    let timeout = timeout::Options { attempt, ..timeout::Options::default() };
    let bulkhead = Some(bulkhead::Options::default());
    assert_eq!(options, Options { timeout: Some(timeout), bulkhead, ..Options::default() });
}
