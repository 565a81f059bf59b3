//! An order from being placed to being paid for, over HTTP alone.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::city::City;
use support::{BENTO, JSON, Running, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn start_shift(city: &City, courier: &str) {
    let ends_at = (city.clock.now() + Duration::from_secs(3_600)).to_string();
    let shift = json!({"location": {"x": 22_000, "y": 16_000}, "ends_at": ends_at}).to_string();
    let line = format!("PUT /couriers/{courier}/shift");
    city.server.send(&line, &[JSON], shift.as_bytes()).await.ok();
}

/// The first offer that a courier gets.
async fn offer(server: &Running, courier: &str) -> Value {
    within(20, async {
        loop {
            let offers = server.get(&format!("/couriers/{courier}/offers")).await.ok().json();
            if let Some(offer) = offers["offers"].get(0) {
                return offer.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// What a courier has taken on.
async fn assignments(server: &Running, courier: &str) -> Value {
    let path = format!("/couriers/{courier}/assignments");
    server.get(&path).await.ok().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_placed_offered_delivered_and_paid_for() {
    let city = City::start().await;
    let server = &city.server;
    start_shift(&city, "c1").await;
    let order = server.place("k", BENTO).await.ok().json()["id"].clone();
    let order = order.as_str().unwrap();

    let mut tracking = server.connect().await;
    let request = support::request(&format!("GET /orders/{order}/track"), &[], b"");
    tracking.write_all(&request).await.unwrap();

    let offer = offer(server, "c1").await;
    assert_eq!(offer["orders"][0]["id"], order);
    let id = offer["id"].as_str().unwrap();
    let mine = r#"{"courier":"c1"}"#;
    let theirs = server.post(&format!("/offers/{id}/accept"), r#"{"courier":"c2"}"#).await;
    assert_eq!((theirs.status, theirs.code().as_str()), (403, "wrong_courier"));
    let early = server.post(&format!("/assignments/{id}/delivered"), mine).await;
    assert_eq!((early.status, early.code().as_str()), (409, "order_state"));
    // An offer is no assignment yet.
    assert_eq!(assignments(server, "c1").await, json!({ "assignments": [] }));
    for (step, status) in [
        ("offers/{}/accept", "assigned"),
        ("offers/{}/accept", "assigned"),
        ("assignments/{}/arrived", "at_pickup"),
        ("assignments/{}/picked-up", "picked_up"),
        ("assignments/{}/delivered", "delivered"),
    ] {
        let path = format!("/{}", step.replace("{}", id));
        let assignment = server.post(&path, mine).await.ok().json();
        assert_eq!(assignment["orders"][0]["status"], status, "{step}");
        // An app that has lost this answer finds the same in the list, and nothing once it is over.
        let open = if status == "delivered" {
            json!({ "assignments": [] })
        } else {
            json!({ "assignments": [assignment] })
        };
        within(20, async {
            while assignments(server, "c1").await != open {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    let late = server.send(&format!("POST /orders/{order}/cancel"), &[], b"").await;
    assert_eq!((late.status, late.code().as_str()), (409, "order_state"));

    // The stream ends by itself once the payment is taken.
    let mut text = String::new();
    within(20, tracking.read_to_string(&mut text)).await.unwrap();
    let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected = [
        "placed",
        "stock_reserved",
        "payment_authorized",
        "awaiting_courier",
        "offered",
        "assigned",
        "arrived_at_pickup",
        "picked_up",
        "delivered",
        "payment_captured",
    ];
    assert_eq!(kinds, expected);
    let seen = format!("Last-Event-ID: {}", expected.len());
    let over = server.send(&format!("GET /orders/{order}/track"), &[&seen], b"").await;
    assert_eq!(over.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_offer_is_gone() {
    let city = City::start().await;
    let server = &city.server;
    start_shift(&city, "c1").await;
    server.place("k", BENTO).await.ok();
    let offer = offer(server, "c1").await;
    let decline = format!("/offers/{}/decline", offer["id"].as_str().unwrap());
    let declined = server.post(&decline, r#"{"courier":"c1"}"#).await;
    assert_eq!((declined.status, declined.body.len()), (204, 0));
    let accept = decline.replace("decline", "accept");
    let gone = server.post(&accept, r#"{"courier":"c1"}"#).await;
    assert_eq!((gone.status, gone.code().as_str()), (410, "offer_closed"));
}
