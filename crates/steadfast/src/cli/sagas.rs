//! `sagas list|show|retry|skip|resolve`

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{AdminArgs, query, segment};
use super::table::{Table, cell};
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the sagas that may need somebody; those that go well are not listed.
    #[command(after_help = "Example:\n  steadfast sagas list --status stuck")]
    List {
        /// Only those that stand here.
        #[arg(long)]
        status: Option<Status>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Show a saga with its history.
    #[command(after_help = "Example:\n  steadfast sagas show 0199c1a2-7d5e-7000-8000-000000000001")]
    Show {
        /// The saga; an order's saga has the order's id.
        id: String,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Make the next attempt now.
    #[command(
        after_help = "Example:\n  steadfast sagas retry 0199c1a2-7d5e-7000-8000-000000000001 --by ana"
    )]
    Retry {
        /// The saga.
        id: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Go on without the step that the saga is at.
    #[command(
        after_help = "Example:\n  steadfast sagas skip 0199c1a2-7d5e-7000-8000-000000000001 capture-payment \\\n    --reason 'paid in cash'"
    )]
    Skip {
        /// The saga.
        id: String,
        /// The step that it is at; refused when it is at another.
        step: String,
        /// Why; kept in the history.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Record what became of a step whose outcome is unknown.
    #[command(
        after_help = "Example:\n  steadfast sagas resolve 0199c1a2-7d5e-7000-8000-000000000001 authorize-payment \\\n    not-done --reason 'the bank has no record of it'"
    )]
    Resolve {
        /// The saga.
        id: String,
        /// The step that it is at; refused when it is at another.
        step: String,
        /// What became of it.
        finding: Finding,
        /// How that was found out; kept in the history.
        #[arg(long)]
        reason: String,
        /// With `done`: what the step would have returned, as JSON.
        #[arg(long, value_name = "JSON")]
        result: Option<String>,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        server: AdminArgs,
    },
}

/// Who decides.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// Who decides it; kept in the history.
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true, default_value = "operator")]
    by: String,
}

/// Where a saga that is listed stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Status {
    /// Goes on by itself only once a minute.
    Stuck,
    /// Asks again what became of a call.
    Unknown,
    /// Undoes what was done.
    Compensating,
    /// Tries a step again.
    Retrying,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Finding {
    /// Its effect stands.
    Done,
    /// It has had no effect.
    NotDone,
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { status, limit, cursor, server } => {
                let status = status.and_then(|status| status.to_possible_value());
                let status = status.map(|value| value.get_name().to_owned());
                let limit = Some(limit.to_string());
                let query = query(&[("status", status), ("limit", limit), ("cursor", cursor)]);
                let page = server.client()?.get(&format!("/sagas{query}"))?;
                if out.json() {
                    return out.document(&page);
                }
                let columns = ["id", "status", "step", "attempts", "retry_at", "problem"];
                super::table::print(out, &page, "sagas", &columns)
            }
            Self::Show { id, server } => {
                let saga = server.client()?.get(&format!("/sagas/{}", segment(&id)))?;
                if out.json() { out.document(&saga) } else { show(out, &saga) }
            }
            Self::Retry { id, who, server } => {
                let body = json!({ "by": who.by });
                out.document(&server.client()?.post(&path(&id, "retry"), &body)?)
            }
            Self::Skip { id, step, reason, who, server } => {
                let body = json!({ "step": step, "by": who.by, "reason": reason });
                out.document(&server.client()?.post(&path(&id, "skip"), &body)?)
            }
            Self::Resolve { id, step, finding, reason, result, who, server } => {
                let finding = match finding {
                    Finding::Done => "done",
                    Finding::NotDone => "not_done",
                };
                let mut body =
                    json!({ "step": step, "by": who.by, "reason": reason, "finding": finding });
                if let Some(result) = result {
                    body["result"] = serde_json::from_str(&result).map_err(|error| {
                        Failure::Usage(format!("--result: {result:?} is not JSON: {error}"))
                    })?;
                }
                out.document(&server.client()?.post(&path(&id, "resolve"), &body)?)
            }
        }
    }
}

fn path(id: &str, action: &str) -> String {
    format!("/sagas/{}/{action}", segment(id))
}

/// The saga's fields, and its history as a table.
fn show(out: &mut Out, saga: &Value) -> Result<(), Failure> {
    for (name, value) in saga.as_object().into_iter().flatten() {
        if !value.is_array() && !value.is_null() {
            out.line(format!("{name:<10}  {}", cell(value)))?;
        }
    }
    let mut table = Table::new(&["VERSION", "AT", "WHAT"]);
    for entry in saga["history"].as_array().into_iter().flatten() {
        let events = entry["events"].as_array().into_iter().flatten();
        let events: Vec<String> = events.map(cell).collect();
        table.row([cell(&entry["version"]), cell(&entry["at"]), events.join("  ")]);
    }
    out.line("")?;
    out.table(&table)
}
