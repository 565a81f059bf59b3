#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod support;
use serde_json::{Value, json};
use std::time::Duration;
use steadfast_time::Clock;
use support::http::Client;
use support::process::{Home, Server};
use support::{BENTO, millis, pause};

async fn policy(server: &Server, name: &str) -> Value {
    Client::new(server.admin).get(&format!("/policies/{name}")).await.unwrap().json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explore() {
    let open_for = std::env::var("OPEN_FOR").unwrap_or("300ms".into());
    let n: usize = std::env::var("N").unwrap_or("40".into()).parse().unwrap();
    let home = Home::with(&format!(
        "[providers.sandbox.reserve]\nunavailable = 1.0\n[policies.stock.breaker]\nopen_for = \"{open_for}\"\n"
    ));
    let server = home.start().await;
    let mut client = server.client();
    let mut ids = Vec::new();
    for k in 0..n {
        let r = client.place(&format!("k{k}"), BENTO.as_bytes()).await.unwrap();
        assert_eq!(r.status, 201, "{}", r.text());
        ids.push(r.json()["id"].as_str().unwrap().to_owned());
    }
    let away: u64 = std::env::var("AWAY").unwrap_or("1000".into()).parse().unwrap();
    pause(millis(away)).await;
    println!("{:#}", policy(&server, "stock").await);
    let mut admin = Client::new(server.admin);
    admin.send("DELETE /sandbox/faults", &[], b"").await.unwrap();
    let clock = Clock::system();
    let t0 = clock.monotonic();
    for _ in 0..90 {
        let mut by = std::collections::BTreeMap::<String, u32>::new();
        for id in &ids {
            let o = client.get(&format!("/orders/{id}")).await.unwrap().json();
            *by.entry(o["status"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        println!("{:?} {by:?}", clock.monotonic() - t0);
        if by.keys().all(|s| s == "awaiting_courier" || s == "rejected") { break; }
        pause(millis(1000)).await;
    }
    println!("{:#}", policy(&server, "stock").await);
    println!("{}", home.log());
    let _ = json!({});
    let _ = Duration::ZERO;
}
