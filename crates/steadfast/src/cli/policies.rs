//! `policies list|show|force`

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{AdminArgs, segment};
use super::table::cell;
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what stands between the parts: circuits, budgets, calls.
    #[command(after_help = "Example:\n  steadfast policies list")]
    List {
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Show a policy with what it decided lately, newest first.
    #[command(after_help = "Example:\n  steadfast policies show stock")]
    Show {
        /// The policy, named after what it guards.
        name: String,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Open or close a circuit by hand, or leave it to itself again.
    #[command(after_help = "Example:\n  steadfast policies force payment open --by ana")]
    Force {
        /// The policy.
        name: String,
        /// What the circuit is to be.
        state: State,
        /// Who decides it; goes to the log.
        #[arg(long, default_value = "operator")]
        by: String,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Show the indicators and the error budgets.
    #[command(after_help = "Example:\n  steadfast policies slo")]
    Slo {
        #[command(flatten)]
        server: AdminArgs,
    },
}

/// What a circuit can be forced to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// No call goes through.
    Open,
    /// Every call goes through, whatever comes of it.
    Closed,
    /// As the calls say.
    Auto,
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { server } => {
                let page = server.client()?.get("/policies")?;
                if out.json() {
                    return out.document(&page);
                }
                let columns = [
                    "name", "breaker", "calls", "failures", "timeouts", "refusals", "retries",
                    "hedges",
                ];
                super::table::print(out, &page, "policies", &columns)
            }
            Self::Show { name, server } => {
                let policy = server.client()?.get(&format!("/policies/{}", segment(&name)))?;
                if out.json() { out.document(&policy) } else { show(out, &policy) }
            }
            Self::Force { name, state, by, server } => {
                let state = match state {
                    State::Open => "open",
                    State::Closed => "closed",
                    State::Auto => "auto",
                };
                let path = format!("/policies/{}/breaker", segment(&name));
                let body = json!({ "state": state, "by": by });
                let policy = server.client()?.post(&path, &body)?;
                if out.json() { out.document(&policy) } else { show(out, &policy) }
            }
            Self::Slo { server } => {
                let report = server.client()?.get("/slo")?;
                if out.json() {
                    return out.document(&report);
                }
                let columns = ["indicator", "of", "bound", "last_5m", "last_30d", "met"];
                super::table::print(out, &report, "indicators", &columns)?;
                out.line("")?;
                let columns = ["of", "target", "left", "burn_rate", "good", "bad"];
                super::table::print(out, &report, "error_budgets", &columns)
            }
        }
    }
}

/// The policy's fields, and its decisions line by line.
fn show(out: &mut Out, policy: &Value) -> Result<(), Failure> {
    for (name, value) in policy.as_object().into_iter().flatten() {
        if !value.is_array() && !value.is_null() {
            out.line(format!("{name:<17}  {}", cell(value)))?;
        }
    }
    for (title, list) in [("changes of state", "changes"), ("decisions, newest first", "decisions")]
    {
        let entries: Vec<&Value> = policy[list].as_array().into_iter().flatten().collect();
        if !entries.is_empty() {
            out.line(format!("\n{title}"))?;
        }
        for entry in entries {
            let ago = entry["ago_s"].as_f64().unwrap_or_default();
            let times = entry["times"].as_u64().filter(|times| *times > 1);
            let times = times.map(|times| format!("  ({times} times)")).unwrap_or_default();
            out.line(format!("{ago:>8.1} s ago  {}{times}", cell(&entry["what"])))?;
        }
    }
    Ok(())
}
