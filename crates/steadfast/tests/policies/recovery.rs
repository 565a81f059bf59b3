//! A circuit closes again, and whoever was held up by it goes on.

use crate::books::all_delivered_once;
use crate::office::{Office, SOON};
use crate::support::process::Home;
use crate::town::Town;

const AWAY: &str = "[providers.sandbox.reserve]\nunavailable = 1.0\n";

/// These tests are about the circuit.
const GENEROUS: &str = "[policies.stock.budget]\nfloor_per_second = 1000.0\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_service_is_back_the_circuit_closes_and_every_order_is_delivered_once() {
    let briefly = "[policies.stock.breaker]\nopen_for = \"300ms\"\n";
    let home = Home::with(&format!("{AWAY}{briefly}{GENEROUS}"));
    let server = home.start().await;
    let (office, mut town) = (Office::of(&server), Town::new(&server));
    town.order(40).await;
    office.until_circuit("stock", "OPEN").await;
    office.heal().await;
    let stock = office.until_circuit("stock", "CLOSED").await;
    let changes = stock["changes"].as_array().unwrap().iter().rev();
    let changes: Vec<&str> = changes.filter_map(|change| change["what"].as_str()).collect();
    assert!(changes[0].starts_with("breaker stock: CLOSED→OPEN, 2"), "{changes:?}");
    assert_eq!(changes[1], "breaker stock: OPEN→HALF_OPEN, the wait is over");
    let last = changes.last().unwrap();
    assert!(last.starts_with("breaker stock: HALF_OPEN→CLOSED, "), "{changes:?}");
    assert!(last.ends_with(" of 10 probes succeeded"), "{changes:?}");

    // Those that were held up, and those that come now.
    town.order(10).await;
    town.until_all(&["awaiting_courier"], &home).await;
    town.deliver(&home).await;
    assert_eq!(office.policy("stock").await["breaker"], "CLOSED");
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    all_delivered_once(&home.data(), &town.orders);
}

/// What was held up survives the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_a_circuit_holds_up_outlive_a_crash() {
    let home = Home::with(&format!("{AWAY}{GENEROUS}"));
    let server = home.start().await;
    let mut town = Town::new(&server);
    town.order(30).await;
    Office::of(&server).until_circuit("stock", "OPEN").await;
    let placed = std::mem::take(&mut town.orders);
    server.process.kill();

    // The circuit is closed again: what it knew was about a process that is gone. But the sagas
    // keep to what they were told.
    home.configure(GENEROUS);
    let server = home.start().await;
    let mut town = Town::new(&server);
    town.orders = placed;
    assert_eq!(Office::of(&server).policy("stock").await["breaker"], "CLOSED");
    assert!(town.statuses().await.contains_key("placed"));
    // An operator need not wait.
    let office = Office::of(&server);
    for order in town.orders.clone() {
        if town.look(&order).await["status"] == "placed" {
            office.retry(&order).await;
        }
    }
    town.until_all(&["awaiting_courier"], &home).await;
    town.deliver(&home).await;
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    all_delivered_once(&home.data(), &town.orders);
}
