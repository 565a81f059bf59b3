//! `dead-letters list|show|replay|discard`

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value};

use super::client::{AdminArgs, query, segment};
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the messages that are parked, by key and in their order.
    #[command(after_help = "Example:\n  steadfast dead-letters list")]
    List {
        /// Only those of this consumer.
        #[arg(long)]
        consumer: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Show a message with its payload.
    #[command(
        after_help = "Example:\n  steadfast dead-letters show orders/0199c1a2-7d5e-7000-8000-000000000001/00000000000000000002"
    )]
    Show {
        /// Its place, as the list shows it.
        place: String,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Handle parked messages again, in their order, at a bounded rate.
    #[command(
        after_help = "Example:\n  steadfast dead-letters replay --key orders/0199c1a2-7d5e-7000-8000-000000000001 --rate 10"
    )]
    Replay {
        /// Only those of this consumer.
        #[arg(long)]
        consumer: Option<String>,
        /// Only those of this key.
        #[arg(long, value_name = "TOPIC/ID")]
        key: Option<String>,
        /// How many a second at most.
        #[arg(long, value_name = "PER_SECOND")]
        rate: Option<u32>,
        #[command(flatten)]
        server: AdminArgs,
    },
    /// Give a message up for good.
    #[command(
        after_help = "Example:\n  steadfast dead-letters discard orders/0199c1a2-7d5e-7000-8000-000000000001/00000000000000000002 \\\n    --reason 'sent twice by a test'"
    )]
    Discard {
        /// Its place, as the list shows it.
        place: String,
        /// Why; kept.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: AdminArgs,
    },
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { consumer, limit, cursor, server } => {
                let limit = Some(limit.to_string());
                let query = query(&[("consumer", consumer), ("limit", limit), ("cursor", cursor)]);
                let page = server.client()?.get(&format!("/dead-letters{query}"))?;
                if out.json() {
                    return out.document(&page);
                }
                let columns = ["place", "event_type", "attempts", "last_failure", "reason"];
                super::table::print(out, &page, "dead_letters", &columns)
            }
            Self::Show { place, server } => {
                let letter = server.client()?.get(&path(&place))?;
                out.document(&letter)
            }
            Self::Replay { consumer, key, rate, server } => {
                let mut body = Map::new();
                body.extend(consumer.map(|consumer| ("consumer".to_owned(), consumer.into())));
                body.extend(key.map(|key| ("key".to_owned(), key.into())));
                body.extend(rate.map(|rate| ("per_second".to_owned(), rate.into())));
                // At a bounded rate a replay takes as long as it takes.
                let client = server.client()?.patient();
                let replayed = client.post("/dead-letters/replay", &Value::Object(body))?;
                out.document(&replayed)
            }
            Self::Discard { place, reason, server } => {
                let path = format!("{}{}", path(&place), query(&[("reason", Some(reason))]));
                let discarded = server.client()?.call(Method::DELETE, &path, None)?;
                out.document(&discarded)
            }
        }
    }
}

/// A letter's place has slashes, which stay; everything else in it is data.
fn path(place: &str) -> String {
    let segments: Vec<String> = place.split('/').map(segment).collect();
    format!("/dead-letters/{}", segments.join("/"))
}
