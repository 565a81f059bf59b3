//! What customers and couriers share: where the server is, and what they have been told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::http::{Client, Reply};

/// The city is a square with sides of this many metres.
pub const SIDE: u32 = 4_000;

/// Zones from west to east.
pub const ZONES: [(&str, u32, u32); 2] = [("west", 0, SIDE / 2), ("east", SIDE / 2, SIDE)];

/// Orders in dispatch at once, per zone: few, so that the limit is reached.
pub const ZONE_CAPACITY: u32 = 10;

/// A customer's order and the answer to it, the same each time.
#[derive(Clone, Debug)]
pub struct Answered {
    pub request: Value,
    pub id: String,
    pub body: Vec<u8>,
}

/// Everything that somebody outside has been told.
#[derive(Default)]
pub struct Told {
    /// By key.
    pub placed: BTreeMap<String, Answered>,
    /// Order, courier.
    pub accepted: BTreeSet<(String, String)>,
    pub delivered: BTreeSet<String>,
    pub cancelled: BTreeSet<String>,
}

pub struct City {
    server: watch::Sender<Option<SocketAddr>>,
    trouble: watch::Sender<bool>,
    told: Mutex<Told>,
    problems: Mutex<Vec<String>>,
    /// Orders that each courier can hold.
    pub capacity: BTreeMap<String, u32>,
    /// Orders that are known to have ended.
    ended: Mutex<BTreeSet<String>>,
    pub replays: AtomicU64,
    pub reuses: AtomicU64,
    pub broken: AtomicU64,
}

impl City {
    pub fn new(couriers: usize) -> Self {
        let capacity = (0..couriers).map(|number| {
            let capacity = 1 + u32::try_from(number).unwrap() % 3;
            (format!("courier-{number}"), capacity)
        });
        Self {
            server: watch::Sender::new(None),
            trouble: watch::Sender::new(true),
            told: Mutex::default(),
            problems: Mutex::default(),
            capacity: capacity.collect(),
            ended: Mutex::default(),
            replays: AtomicU64::default(),
            reuses: AtomicU64::default(),
            broken: AtomicU64::default(),
        }
    }

    pub fn opens(&self, at: SocketAddr) {
        self.server.send_replace(Some(at));
    }

    pub fn closes(&self) {
        self.server.send_replace(None);
    }

    /// No new orders, and couriers take what they are offered.
    pub fn end_trouble(&self) {
        self.trouble.send_replace(false);
    }

    pub fn is_troubled(&self) -> bool {
        *self.trouble.borrow()
    }

    /// A connection to the server, once there is one.
    pub async fn connect(&self) -> Client {
        let mut server = self.server.subscribe();
        let address = server.wait_for(Option::is_some).await.unwrap().unwrap();
        Client::new(address)
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// What must not be.
    pub fn problem(&self, what: String) {
        let mut problems = self.problems.lock().unwrap();
        // The first few are what counts.
        if problems.len() < 20 {
            problems.push(what);
        }
    }

    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap().clone()
    }

    /// An answer that decides something. A broken connection and a server that cannot do it now
    /// leave it open, and whoever asked asks again; what may not be said is a problem.
    pub fn decided(
        &self,
        what: &str,
        reply: std::io::Result<Reply>,
        may_be: &[u16],
    ) -> Option<Reply> {
        match reply {
            Err(_) => {
                self.broken.fetch_add(1, Relaxed);
                None
            }
            Ok(reply) if matches!(reply.status, 503 | 504) => None,
            Ok(reply) => {
                if !may_be.contains(&reply.status) {
                    self.problem(format!("{what}: {} {}", reply.status, reply.text()));
                }
                Some(reply)
            }
        }
    }

    /// Orders that have not come to their end, with what the server says of them.
    pub async fn unfinished(&self, server: SocketAddr) -> Vec<String> {
        let ids: Vec<String> =
            self.told().placed.values().map(|answered| answered.id.clone()).collect();
        let mut client = Client::new(server);
        let mut open = Vec::new();
        for id in ids {
            if self.ended.lock().unwrap().contains(&id) {
                continue;
            }
            match client.get(&format!("/orders/{id}")).await {
                Ok(reply) if has_ended(&reply.json()) => {
                    self.ended.lock().unwrap().insert(id);
                }
                Ok(reply) => open.push(reply.text()),
                Err(error) => open.push(format!("{id}: {error}")),
            }
        }
        open
    }
}

fn has_ended(order: &Value) -> bool {
    match order["status"].as_str() {
        Some("delivered") => order["payment"]["state"] == "captured",
        Some("rejected" | "cancelled") => true,
        _ => false,
    }
}

/// Somewhere in the city.
pub fn place(rng: &mut Rng) -> Value {
    json!({ "x": rng.u32(..SIDE), "y": rng.u32(..SIDE) })
}
