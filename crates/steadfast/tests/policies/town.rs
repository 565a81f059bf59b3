//! People who order, and one courier who takes and delivers everything.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_time::Clock;

use crate::support::http::Client;
use crate::support::process::{Home, Server};
use crate::support::{BENTO, millis, pause};

/// Longer than any of these tests lets anything take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Town {
    client: Client,
    /// All orders that were accepted.
    pub orders: Vec<String>,
}

impl Town {
    pub fn new(server: &Server) -> Self {
        Self { client: server.client(), orders: Vec::new() }
    }

    pub async fn order(&mut self, count: usize) {
        for _ in 0..count {
            let key = format!("order-{}", self.orders.len());
            let placed = self.client.place(&key, BENTO.as_bytes()).await.unwrap();
            assert_eq!(placed.status, 201, "{}", placed.text());
            self.orders.push(placed.json()["id"].as_str().unwrap().to_owned());
        }
    }

    pub async fn look(&mut self, order: &str) -> Value {
        let reply = self.client.get(&format!("/orders/{order}")).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// How many orders have each status.
    pub async fn statuses(&mut self) -> BTreeMap<String, usize> {
        let mut statuses = BTreeMap::new();
        for order in self.orders.clone() {
            let status = self.look(&order).await["status"].as_str().unwrap().to_owned();
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    }

    /// Waits until every order has one of these.
    pub async fn until_all(&mut self, wanted: &[&str], home: &Home) {
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            let statuses = self.statuses().await;
            if statuses.keys().all(|status| wanted.contains(&status.as_str())) {
                return;
            }
            let waited = clock.monotonic() - started;
            assert!(waited < PATIENCE, "{statuses:?} after {waited:?}\n{}", home.log());
            pause(millis(50)).await;
        }
    }

    /// A courier comes and delivers everything; then it has been paid for as well.
    pub async fn deliver(&mut self, home: &Home) {
        let shift = json!({
            "location": { "x": 22_000, "y": 15_000 },
            "ends_at": Clock::system().now() + Duration::from_secs(3_600),
            "capacity": 1_000,
            "auto_accept": true,
        });
        let reply = self.client.json("PUT /couriers/c1/shift", &shift).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            let held = self.client.get("/couriers/c1/assignments").await.unwrap().json();
            for assignment in held["assignments"].as_array().into_iter().flatten() {
                self.advance(assignment).await;
            }
            let statuses = self.statuses().await;
            if statuses.keys().all(|status| status == "delivered") && self.all_paid().await {
                return;
            }
            let waited = clock.monotonic() - started;
            assert!(waited < PATIENCE, "{statuses:?} after {waited:?}\n{}", home.log());
            pause(millis(20)).await;
        }
    }

    async fn all_paid(&mut self) -> bool {
        for order in self.orders.clone() {
            if self.look(&order).await["payment"]["state"] != "captured" {
                return false;
            }
        }
        true
    }

    /// One step with an assignment. What the views are behind with comes in the next round.
    async fn advance(&mut self, assignment: &Value) {
        let first = &assignment["orders"][0];
        let step = match first["status"].as_str().unwrap() {
            "assigned" => "arrived",
            "at_pickup" => "picked-up",
            "picked_up" => "delivered",
            _ => return,
        };
        let mut body = json!({ "courier": "c1" });
        if step == "delivered" {
            body["order"] = first["id"].clone();
        }
        let line = format!("POST /assignments/{}/{step}", assignment["id"].as_str().unwrap());
        let reply = self.client.json(&line, &body).await.unwrap();
        assert!(matches!(reply.status, 200 | 409), "{line}: {}", reply.text());
    }
}
