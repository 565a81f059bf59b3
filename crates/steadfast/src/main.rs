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

/// A tenth of the platform's time went into the system's allocator, which does not like what one
/// thread allocates and another frees: each write does that. mimalloc (MIT) was made for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
