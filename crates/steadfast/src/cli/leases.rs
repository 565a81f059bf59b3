//! `leases list|show|release`

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, IntoDeserializer};
use serde_json::{Value, json};
use steadfast_api::admin::{self, LeaseAdmin, ListLeases, Release};
use steadfast_time::Clock;

use super::client::{AdminArgs, query, segment};
use super::table::{Table, cell};
use super::{Failure, Out};
use crate::config::value::Coordination;
use crate::platform::{LeaseOffice, connect};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what is held: by whom, under which token, and how many wait for it.
    #[command(after_help = "\
Examples:
  steadfast leases list --prefix zone/
  steadfast leases list --url etcd://127.0.0.1:2379     without a platform")]
    List {
        /// Only names that begin with this.
        #[arg(long)]
        prefix: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Show who holds something and who waits for it, in the order of their turns.
    #[command(after_help = "Example:\n  steadfast leases show zone/default")]
    Show {
        /// What is held.
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Take something away from its holder. The next in line has it at once, under a higher token,
    /// and what the holder still writes is refused.
    #[command(after_help = "\
Examples:
  steadfast leases release zone/default                    looks, asks, and then does it
  steadfast leases release zone/default --token 41 --yes   only if it is still held under 41")]
    Release {
        /// What is held.
        name: String,
        /// The holder's fencing token; refused if it is not the holder's any more [default: the
        /// one that is found when looking].
        #[arg(long, value_name = "TOKEN")]
        token: Option<u64>,
        /// Do not ask. Needed where nobody can be asked.
        #[arg(long)]
        yes: bool,
        /// Who decides it; goes to the log.
        #[arg(
            long,
            value_name = "NAME",
            env = "USER",
            hide_env = true,
            default_value = "operator"
        )]
        by: String,
        #[command(flatten)]
        at: At,
    },
}

/// Whom to ask. `--token` is a lease's token here, so the listener's has a name of its own.
#[derive(Debug, Args)]
pub struct At {
    /// The server's admin address.
    #[arg(
        long,
        value_name = "URL",
        env = "STEADFAST_ADMIN",
        default_value = "http://127.0.0.1:7071",
        hide_env_values = true
    )]
    admin: String,
    /// Its bearer token, if it wants one.
    #[arg(long, value_name = "BEARER", env = "STEADFAST_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// A coordination engine to ask instead, such as unix:///run/steadfast/coordination.sock.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if (1..=500).contains(&limit) => Ok(limit),
        _ => Err("must be a whole number from 1 to 500".to_owned()),
    }
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { prefix, limit, cursor, at } => {
                let page = at.open()?.list(prefix, cursor, limit)?;
                if out.json() {
                    return out.document(&page);
                }
                let columns = ["name", "holder", "token", "mode", "waiting", "session"];
                super::table::print(out, &page, "leases", &columns)
            }
            Self::Show { name, at } => {
                let lease = at.open()?.get(&name)?;
                if out.json() { out.document(&lease) } else { show(out, &lease) }
            }
            Self::Release { name, token, yes, by, at } => {
                if !yes && !can_ask() {
                    let why = "nobody can be asked here; say --yes to take it away";
                    return Err(Failure::Usage(why.to_owned()));
                }
                let desk = at.open()?;
                let token = match token {
                    Some(token) if yes => token,
                    token => desk.look(&name, token)?.asked(&name, yes)?,
                };
                let done = desk.release(&name, Release { token: Some(token), by })?;
                if out.json() { out.document(&done) } else { report(out, &name, &done) }
            }
        }
    }
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The address of an engine, as the configuration would take it.
fn engine(url: &str) -> Result<String, Failure> {
    let reader: StrDeserializer<'_, de::value::Error> = url.into_deserializer();
    match Coordination::deserialize(reader) {
        Ok(Coordination::Server(url)) => Ok(url),
        Ok(Coordination::Embedded) => Err(Failure::Usage(
            "--url: name the socket where the embedded engine is served, as unix:///path"
                .to_owned(),
        )),
        Err(error) => Err(Failure::Usage(format!("--url: {error}"))),
    }
}

/// The platform's listener, or an engine.
enum Desk {
    Listener(super::Client),
    Engine(tokio::runtime::Runtime, LeaseOffice),
}

/// Whose entry would be taken out.
struct Found {
    holder: String,
    token: u64,
}

impl At {
    fn open(self) -> Result<Desk, Failure> {
        let Some(url) = self.url else {
            let Self { admin, admin_token, .. } = self;
            return Ok(Desk::Listener(AdminArgs { admin, token: admin_token }.client()?));
        };
        let url = engine(&url)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
        let engine = runtime.block_on(connect(&url, Clock::system()));
        let engine = engine.map_err(|error| Failure::of(&error))?;
        Ok(Desk::Engine(runtime, LeaseOffice::new(engine)))
    }
}

impl Desk {
    fn list(
        &self,
        prefix: Option<String>,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Value, Failure> {
        match self {
            Self::Listener(client) => {
                let limit = Some(limit.to_string());
                let query = query(&[("prefix", prefix), ("limit", limit), ("cursor", cursor)]);
                client.get(&format!("/leases{query}"))
            }
            Self::Engine(runtime, office) => {
                let page = runtime.block_on(office.list(ListLeases { prefix, cursor, limit }));
                let page = page.map_err(refused)?;
                Ok(json!({ "leases": page.entries, "next_cursor": page.next_cursor }))
            }
        }
    }

    fn get(&self, name: &str) -> Result<Value, Failure> {
        match self {
            Self::Listener(client) => client.get(&format!("/leases/{}", segment(name))),
            Self::Engine(runtime, office) => {
                runtime.block_on(office.get(name.to_owned())).map_err(refused)
            }
        }
    }

    fn release(&self, name: &str, release: Release) -> Result<Value, Failure> {
        match self {
            Self::Listener(client) => {
                let body = json!({ "token": release.token, "by": release.by });
                client.post(&format!("/leases/{}/release", segment(name)), &body)
            }
            Self::Engine(runtime, office) => {
                runtime.block_on(office.release(name.to_owned(), release)).map_err(refused)
            }
        }
    }

    /// Whose entry it is, before anything is done.
    fn look(&self, name: &str, token: Option<u64>) -> Result<Found, Failure> {
        let lease = self.get(name)?;
        let queue = lease["queue"].as_array().map_or(&[][..], Vec::as_slice);
        let holders: Vec<&Value> = queue.iter().filter(|entry| entry["holds"] == true).collect();
        let found = match token {
            Some(token) => holders.iter().find(|entry| entry["token"] == token),
            None => holders.first().filter(|_| holders.len() == 1),
        };
        let who = |entry: &Value| format!("{} (token {})", cell(&entry["value"]), entry["token"]);
        let found = found.ok_or_else(|| {
            let all: Vec<String> = holders.iter().map(|entry| who(entry)).collect();
            let whose = token.map_or("say whose with --token".to_owned(), |token| {
                format!("not held under token {token} any more")
            });
            Failure::failed(format!("{name}: {whose}; held by {}", all.join(", ")))
        })?;
        let token = found["token"].as_u64().unwrap_or_default();
        Ok(Found { holder: who(found), token })
    }
}

impl Found {
    /// The token, once the user wants it.
    fn asked(self, name: &str, yes: bool) -> Result<u64, Failure> {
        if yes {
            return Ok(self.token);
        }
        anstream::eprint!("{name} is held by {}. Take it away? [y/N] ", self.holder);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::failed)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(self.token),
            _ => Err(Failure::failed("nothing was changed")),
        }
    }
}

/// An office's refusal, said as the listener would.
fn refused(error: admin::Error) -> Failure {
    match error {
        admin::Error::NotFound(_) => Failure::failed(format!("{error} (lease_not_found)")),
        admin::Error::State(_) => Failure::failed(format!("{error} (lease_state)")),
        admin::Error::Invalid { .. } => Failure::failed(format!("{error} (invalid_request)")),
        admin::Error::Unavailable(_) => Failure::failed(error),
    }
}

/// Who holds it, and the queue as a table.
fn show(out: &mut Out, lease: &Value) -> Result<(), Failure> {
    let mut table = Table::new(&["TURN", "TOKEN", "MODE", "SESSION", "WHO"]);
    let queue = lease["queue"].as_array().into_iter().flatten();
    for entry in queue {
        let turn = if entry["holds"] == true { "holds" } else { "waits" };
        let rest = ["token", "mode", "session", "value"].map(|field| cell(&entry[field]));
        table.row([turn.to_owned()].into_iter().chain(rest));
    }
    out.line(cell(&lease["name"]))?;
    out.table(&table)?;
    if lease["more"] == true {
        anstream::eprintln!("there are more");
    }
    Ok(())
}

fn report(out: &mut Out, name: &str, done: &Value) -> Result<(), Failure> {
    let (from, now) = (&done["released"], &done["now"]);
    let was = format!("{} (token {})", cell(&from["value"]), cell(&from["token"]));
    out.line(format!("{name} was taken from {was}"))?;
    match now.as_object() {
        Some(_) => out.line(format!(
            "now held by {} (token {}), {} waiting",
            cell(&now["holder"]),
            cell(&now["token"]),
            cell(&now["waiting"]),
        )),
        None => out.line("nobody holds it now"),
    }
}
