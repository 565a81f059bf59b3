//! Listing orders, a page at a time.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::time::Duration;

use support::city::City;
use support::{BENTO, within};

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_every_order_once_newest_first() {
    let city = City::start().await;
    let server = &city.server;
    let mut placed = Vec::new();
    for number in 0..7 {
        let reply = server.place(&format!("k{number}"), BENTO).await.ok();
        placed.push(reply.json()["id"].clone());
    }
    placed.reverse();
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/orders?limit=3{cursor}")).await.ok().json();
        let orders = page["orders"].as_array().unwrap();
        listed.extend(orders.iter().map(|order| order["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed, placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_list() {
    let city = City::start().await;
    let server = &city.server;
    let first = server.place("a", BENTO).await.ok().json()["id"].clone();
    let second = server.place("b", BENTO).await.ok().json()["id"].clone();
    let cancel = format!("POST /orders/{}/cancel", first.as_str().unwrap());
    server.send(&cancel, &[], b"").await.ok();
    // Without couriers both come to rest.
    for (query, expected) in [
        ("status=cancelled", vec![&first]),
        ("status=awaiting_courier", vec![&second]),
        ("status=cancelled&zone=default", vec![&first]),
        ("zone=default", vec![&second, &first]),
        ("zone=nowhere", vec![]),
        ("status=&zone=", vec![&second, &first]),
    ] {
        within(20, async {
            loop {
                let page = server.get(&format!("/orders?{query}")).await.ok().json();
                let orders = page["orders"].as_array().unwrap();
                let ids: Vec<_> = orders.iter().map(|order| &order["id"]).collect();
                assert!(page["next_cursor"].is_null(), "{query}");
                if ids == expected {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_somebody_else_is_refused() {
    let city = City::start().await;
    for cursor in ["nonsense", "%00", "%F0%9F%8D%B1"] {
        let reply = city.server.get(&format!("/orders?cursor={cursor}")).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{cursor}");
        assert_eq!(reply.json()["field"], "cursor");
    }
}
