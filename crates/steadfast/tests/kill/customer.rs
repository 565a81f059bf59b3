//! Customers: one order is wanted once, however often it is asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fastrand::Rng;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::city::{Answered, City, place};
use crate::support::{millis, pause};

/// What a customer wants, and the key that it goes by.
struct Wish {
    key: String,
    request: Value,
}

impl Wish {
    fn new(key: String, rng: &mut Rng) -> Self {
        let request = json!({
            "merchant": format!("r{}", rng.u8(..5)),
            "pickup": place(rng),
            "dropoff": place(rng),
            "items": [
                { "sku": format!("dish-{}", rng.u8(..8)), "quantity": rng.u32(1..4) },
                { "sku": "rice", "quantity": rng.u32(1..3) },
            ],
            "amount": { "currency": "KRW", "minor": rng.u32(1_000..50_000) },
            // So that the order can be found again in the journal.
            "customer": key,
        });
        Self { key, request }
    }
}

/// Orders until the trouble is over, and until the last order is answered.
pub async fn order(city: Arc<City>, number: usize, mut rng: Rng) {
    let mut before: Vec<Wish> = Vec::new();
    while city.is_troubled() {
        let wish = Wish::new(format!("customer-{number}-{}", before.len()), &mut rng);
        ask(&city, &wish, &mut rng).await;
        if rng.u8(..8) == 0 {
            cancel(&city, &wish, &mut rng).await;
        }
        before.push(wish);
        // An old order again, perhaps of some lives ago, and an old key for something else.
        if rng.u8(..4) == 0 {
            ask(&city, &before[rng.usize(..before.len())], &mut rng).await;
        }
        if rng.u8(..10) == 0 {
            reuse(&city, &before[rng.usize(..before.len())], &mut rng).await;
        }
        pause(millis(rng.u64(20..350))).await;
    }
    // Everybody checks once more what they have been told.
    for wish in before.iter().rev().take(20) {
        ask(&city, wish, &mut rng).await;
    }
}

/// Asks, one to three times at once, until there is an answer.
async fn ask(city: &City, wish: &Wish, rng: &mut Rng) {
    let body = wish.request.to_string();
    loop {
        let copies = rng.usize(1..=3);
        let asked = (0..copies).map(|_| async {
            let reply = city.connect().await.place(&wish.key, body.as_bytes()).await;
            city.decided(&wish.key, reply, &[200, 201])
        });
        let replies = join_all(asked).await;
        let mut answered = false;
        for reply in replies.into_iter().flatten().filter(|reply| reply.status < 300) {
            answered = true;
            let replayed = reply.header("idempotency-replayed") == Some("true");
            city.replays.fetch_add(u64::from(replayed), Relaxed);
            let id = reply.json()["id"].as_str().unwrap_or_default().to_owned();
            let answer = Answered { request: wish.request.clone(), id, body: reply.body };
            let mut told = city.told();
            let known = told.placed.entry(wish.key.clone()).or_insert_with(|| answer.clone());
            if known.body != answer.body {
                let (then, now) = (
                    String::from_utf8_lossy(&known.body).into_owned(),
                    String::from_utf8_lossy(&answer.body).into_owned(),
                );
                drop(told);
                city.problem(format!("{}: first {then}, then {now}", wish.key));
            } else if !replayed && reply.status != 201 || replayed && reply.status != 200 {
                drop(told);
                city.problem(format!("{}: {} replayed={replayed}", wish.key, reply.status));
            }
        }
        if answered {
            return;
        }
        pause(millis(rng.u64(10..200))).await;
    }
}

/// A key that has been used stands for what it was used for.
async fn reuse(city: &City, wish: &Wish, rng: &mut Rng) {
    let mut other = wish.request.clone();
    other["amount"]["minor"] = json!(rng.u32(60_000..70_000));
    let reply = city.connect().await.place(&wish.key, other.to_string().as_bytes()).await;
    if city.decided("another order under an old key", reply, &[422]).is_some() {
        city.reuses.fetch_add(1, Relaxed);
    }
}

async fn cancel(city: &City, wish: &Wish, rng: &mut Rng) {
    pause(millis(rng.u64(..600))).await;
    let id = city.told().placed[&wish.key].id.clone();
    loop {
        let line = format!("POST /orders/{id}/cancel");
        let body = json!({ "reason": "changed my mind" });
        let reply = city.connect().await.json(&line, &body).await;
        // Too late is an answer, too.
        if let Some(reply) = city.decided("cancel", reply, &[200, 409]) {
            if reply.status == 200 {
                city.told().cancelled.insert(id);
            }
            return;
        }
        pause(millis(rng.u64(10..200))).await;
    }
}
