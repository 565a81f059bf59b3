//! `config print|check|reference`

use clap::Subcommand;
use serde_json::json;

use super::args::ServerArgs;
use super::{Failure, Out};
use crate::config::{budget, reference};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every key with its value, and where it comes from if it is not the default.
    #[command(
        after_help = "Example:\n  steadfast config print --config steadfast.toml > effective.toml"
    )]
    Print(ServerArgs),
    /// Check the configuration and print the tree of deadlines.
    #[command(after_help = "Example:\n  STEADFAST_LIMITS__ORDER=300ms steadfast config check")]
    Check(ServerArgs),
    /// Print the reference page, as Markdown.
    Reference,
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Print(args) => {
                let loaded = args.load()?;
                if out.json() {
                    out.document(&loaded.config)
                } else {
                    out.raw(reference::print(&loaded).as_bytes())
                }
            }
            Self::Check(args) => {
                // What is asked for is the check, so its "no" is a result and not a wrong use.
                let loaded = args.load().map_err(Failure::failed)?;
                let tree = budget::tree(&loaded.config);
                if out.json() {
                    out.document(&json!({ "valid": true, "budget": budget::document(&tree) }))
                } else {
                    out.raw(tree.render().as_bytes())?;
                    out.line("The configuration is valid, and the deadlines add up.")
                }
            }
            Self::Reference => out.raw(reference::page().as_bytes()),
        }
    }
}
