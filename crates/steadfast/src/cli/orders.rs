//! `orders list|show|cancel`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::{Client, PublicArgs, query, segment};
use super::table::{Table, cell};
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List orders, newest first.
    #[command(
        after_help = "Example:\n  steadfast orders list --status awaiting_courier --zone default"
    )]
    List {
        /// Only those that stand here: placed, offered, assigned, delivered, …
        #[arg(long)]
        status: Option<String>,
        /// Only those of this zone.
        #[arg(long)]
        zone: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        server: PublicArgs,
    },
    /// Show an order, now or as it was.
    #[command(
        after_help = "Example:\n  steadfast orders show 0199c1a2-7d5e-7000-8000-000000000001 --at 3"
    )]
    Show {
        /// The order.
        id: String,
        /// As it was at a version, or at an RFC 3339 time.
        #[arg(long, value_name = "VERSION|TIME", conflicts_with = "events")]
        at: Option<String>,
        /// Its history instead.
        #[arg(long)]
        events: bool,
        #[command(flatten)]
        server: PublicArgs,
    },
    /// Cancel an order and undo what was done for it.
    #[command(
        after_help = "Example:\n  steadfast orders cancel 0199c1a2-7d5e-7000-8000-000000000001 --reason 'changed my mind'"
    )]
    Cancel {
        /// The order.
        id: String,
        /// Why; kept in its history.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        server: PublicArgs,
    },
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { status, zone, limit, cursor, server } => {
                let limit = Some(limit.to_string());
                let query = query(&[
                    ("status", status),
                    ("zone", zone),
                    ("limit", limit),
                    ("cursor", cursor),
                ]);
                let page = server.client()?.get(&format!("/orders{query}"))?;
                if out.json() {
                    return out.document(&page);
                }
                let columns = ["id", "status", "zone", "version", "placed_at"];
                super::table::print(out, &page, "orders", &columns)
            }
            Self::Show { id, at, events: true, server } => {
                debug_assert!(at.is_none(), "excluded by clap");
                let history = history(&server.client()?, &id)?;
                if out.json() {
                    return out.document(&history);
                }
                print_history(out, &history)
            }
            Self::Show { id, at, events: false, server } => {
                let query = query(&[("at", at)]);
                let order = server.client()?.get(&format!("/orders/{}{query}", segment(&id)))?;
                out.document(&order)
            }
            Self::Cancel { id, reason, server } => {
                let mut body = Map::new();
                body.extend(reason.map(|reason| ("reason".to_owned(), Value::String(reason))));
                let path = format!("/orders/{}/cancel", segment(&id));
                let order = server.client()?.post(&path, &Value::Object(body))?;
                out.document(&order)
            }
        }
    }
}

/// The whole history, page by page.
fn history(client: &Client, id: &str) -> Result<Value, Failure> {
    let mut events = Vec::new();
    let mut after = None;
    loop {
        let query = query(&[("after", after)]);
        let mut page = client.get(&format!("/orders/{}/events{query}", segment(id)))?;
        if let Some(more) = page["events"].as_array_mut() {
            events.append(more);
        }
        after = page["next_after"].as_u64().map(|after| after.to_string());
        if after.is_none() {
            return Ok(json!({ "events": events }));
        }
    }
}

fn print_history(out: &mut Out, history: &Value) -> Result<(), Failure> {
    let mut table = Table::new(&["VERSION", "AT", "WHAT", "DETAILS"]);
    for event in history["events"].as_array().into_iter().flatten() {
        let text = |field: &str| cell(&event[field]);
        table.row([text("version"), text("at"), text("type"), event["data"].to_string()]);
    }
    out.table(&table)
}
