//! The `steadfast` binary: command line, configuration, wiring.
//!
//! It is the one place that names engines. Everything else takes its journal, its bus, its
//! coordinator and its providers from here.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod config;
mod demo;
#[cfg(test)]
mod golden;
mod platform;
mod replay;
mod runtime;

fn main() -> std::process::ExitCode {
    cli::main()
}
