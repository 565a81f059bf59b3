//! The project's own chores: `cargo xtask <chore>`.
//!
//! | chore | does |
//! |---|---|
//! | `test [--seeds N] [--no-services] [-- ARGS]` | all tests of the workspace, with all features |
//! | `services up\|down\|status` | the servers that tests of engines ask |
//! | `loom` | the lock-free parts under every interleaving |
//! | `tidy` | checks the repository's own rules |
//! | `golden` | writes the golden files anew |
#![forbid(unsafe_code)]

mod golden;
mod loom;
mod services;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <chore>

Chores:
  test [--seeds N] [--no-services] [-- ARGS]
                run all tests of the workspace, with the servers that they need; ARGS go to
                `cargo test`
  services up [--only LIST]
                start PostgreSQL, etcd (one node and three), ZooKeeper and five Redis nodes
  services down [--only LIST]
                stop them and remove their data
  services status [--only LIST] [--json]
                show each, and whether it answers
                LIST: of postgres, etcd, etcd-cluster, zookeeper, redis; with commas
  loom          run the lock-free parts under every interleaving
  tidy          check the repository's own rules
  golden        write the golden files anew, then look at `git diff`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let result = match arguments.as_slice() {
        ["test", rest @ ..] => match test::Options::parse(rest) {
            Ok(options) => test::run(&root, &options),
            Err(problem) => return usage(&problem),
        },
        ["services", rest @ ..] => match services::Options::parse(rest) {
            Ok(options) => services::run(&root, &options),
            Err(problem) => return usage(&problem),
        },
        ["loom"] => loom::run(&root),
        ["tidy"] => tidy::run(&root),
        ["golden"] => golden::run(&root),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] => return usage("name a chore"),
        [other, ..] => {
            return usage(&format!("there is no chore {other:?}, or not with these words"));
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprint!("error: {problem}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The workspace's directory.
fn root() -> PathBuf {
    // Cargo tells where this crate is; the workspace is above it.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The cargo that runs this.
fn cargo() -> std::process::Command {
    std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
