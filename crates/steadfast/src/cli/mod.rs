//! The command line.
//!
//! Data goes to stdout, everything else to stderr, so that output can be piped; with `--json`
//! stdout is one JSON document. Exit codes: 0 done, 1 failed, 2 used wrongly (which includes a
//! configuration that is wrong), 3 not found out. Each command is a module with its arguments and
//! what it does.

mod args;
mod bench;
mod check;
mod client;
mod config;
mod coordinator;
mod dead_letters;
mod doctor;
mod failure;
mod journal;
mod lab;
mod leases;
mod orders;
mod output;
mod policies;
mod replay;
mod sagas;
mod table;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use client::Client;
pub use failure::Failure;
pub use output::Out;

const EXAMPLES: &str = "\
Examples:
  steadfast up --demo            the whole platform, with a small city that lives
  steadfast orders list          what is under way
  steadfast bench orders         how many orders a second this machine carries

Exit codes: 0 done, 1 failed, 2 used wrongly, 3 not found out. Data goes to stdout, all else to
stderr.";

/// Takes orders and dispatches couriers, exactly once.
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole platform in this process.
    Up(up::Args),
    /// Run the embedded coordination engine alone, for the processes of this machine.
    Coordinator(coordinator::Args),
    /// Run a recorded day through the real dispatch code, in simulated time.
    Replay(replay::Args),
    /// Measure this machine.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Find out whether a history of operations is what a model allows.
    Check(check::Args),
    /// Look after a journal.
    #[command(subcommand)]
    Journal(journal::Command),
    /// Look at orders, and cancel them.
    #[command(subcommand)]
    Orders(orders::Command),
    /// Look at sagas off the happy path, and help them.
    #[command(subcommand)]
    Sagas(sagas::Command),
    /// Look at messages that could not be handled, and replay or discard them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// See who holds what, and take it away from them.
    #[command(subcommand)]
    Leases(leases::Command),
    /// See what stands between the parts: circuits, budgets, indicators.
    #[command(subcommand)]
    Policies(policies::Command),
    /// Run experiments: a guarantee with its protection and without.
    #[command(subcommand)]
    Lab(lab::Command),
    /// Show and check the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  steadfast completions bash > ~/.local/share/bash-completion/completions/steadfast"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Measure this machine's disk and clock.
    Doctor(doctor::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; usage errors are, with code 2.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let mut out = Out::new(cli.json);
    let result = run(cli.command, &mut out).and_then(|()| out.finish());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command, out: &mut Out) -> Result<(), Failure> {
    match command {
        Command::Up(args) => args.run(out),
        Command::Coordinator(args) => args.run(out),
        Command::Replay(args) => args.run(out),
        Command::Bench(command) => command.run(out),
        Command::Check(args) => args.run(out),
        Command::Journal(command) => command.run(out),
        Command::Orders(command) => command.run(out),
        Command::Sagas(command) => command.run(out),
        Command::DeadLetters(command) => command.run(out),
        Command::Leases(command) => command.run(out),
        Command::Policies(command) => command.run(out),
        Command::Lab(command) => command.run(out),
        Command::Config(command) => command.run(out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "steadfast", &mut script);
            out.raw(&script)
        }
        Command::Doctor(args) => args.run(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
