//! Couriers: an app that knows nothing but what the server tells it, and forgets even that.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};
use steadfast_time::Clock;

use crate::city::{City, place};
use crate::support::http::Client;
use crate::support::{millis, pause};
use std::time::Duration;

/// What a courier may hear who says something about an offer or an assignment: the views may be
/// a moment behind the journal, and an offer may have ended meanwhile.
const HEARD: [u16; 6] = [200, 204, 403, 404, 409, 410];

/// Longer than any run.
const SHIFT: Duration = Duration::from_secs(24 * 3_600);

pub async fn work(city: Arc<City>, number: usize, mut rng: Rng) {
    let id = format!("courier-{number}");
    let clock = Clock::system();
    let shift = json!({
        "location": place(&mut rng),
        "ends_at": clock.now() + SHIFT,
        "capacity": city.capacity[&id],
    });
    loop {
        let reply = city.connect().await.json(&format!("PUT /couriers/{id}/shift"), &shift).await;
        if city.decided("shift", reply, &[200]).is_some() {
            break;
        }
        pause(millis(100)).await;
    }
    loop {
        pause(millis(rng.u64(40..200))).await;
        let trouble = city.is_troubled();
        // The app may be off for a while.
        if trouble && rng.u16(..400) == 0 {
            pause(millis(rng.u64(1_000..5_000))).await;
        }
        let mut client = city.connect().await;
        // Whatever breaks off is found again in the next round.
        let _ = round(&city, &mut client, &id, trouble, &mut rng).await;
    }
}

/// Answers offers, and takes a step with what is in hand; nothing when the connection broke.
async fn round(
    city: &City,
    client: &mut Client,
    id: &str,
    trouble: bool,
    rng: &mut Rng,
) -> Option<()> {
    let beat = client.send(&format!("POST /couriers/{id}/heartbeat"), &[], b"").await;
    city.decided("heartbeat", beat, &[200])?;
    let offers = client.get(&format!("/couriers/{id}/offers")).await;
    let offers = city.decided("offers", offers, &[200])?.json();
    for offer in offers["offers"].as_array()? {
        let name = offer["id"].as_str()?;
        match rng.u8(..25) {
            0 | 1 if trouble => {
                let reply = say(client, &format!("offers/{name}/decline"), id).await;
                city.decided("decline", reply, &HEARD)?;
            }
            2 if trouble => {}
            3 => {
                // Somebody else's offer: refused, unless it is gone already.
                let reply = say(client, &format!("offers/{name}/accept"), "nobody").await;
                city.decided("accept by the wrong courier", reply, &[403, 404, 409, 410])?;
            }
            _ => {
                let reply = say(client, &format!("offers/{name}/accept"), id).await;
                let reply = city.decided("accept", reply, &HEARD)?;
                if reply.status == 200 {
                    let orders = reply.json()["orders"].as_array().cloned().unwrap_or_default();
                    let names = orders.iter().filter_map(|order| order["id"].as_str());
                    let names = names.map(|order| (order.to_owned(), id.to_owned()));
                    city.told().accepted.extend(names);
                }
            }
        }
    }
    let held = client.get(&format!("/couriers/{id}/assignments")).await;
    let held = city.decided("assignments", held, &[200])?.json();
    for assignment in held["assignments"].as_array()? {
        if rng.u8(..4) > 0 {
            advance(city, client, id, assignment).await?;
        }
    }
    Some(())
}

async fn say(
    client: &mut Client,
    path: &str,
    id: &str,
) -> std::io::Result<crate::support::http::Reply> {
    client.json(&format!("POST /{path}"), &json!({ "courier": id })).await
}

/// One step with an assignment.
async fn advance(city: &City, client: &mut Client, id: &str, assignment: &Value) -> Option<()> {
    let name = assignment["id"].as_str()?;
    let orders = assignment["orders"].as_array()?;
    let first = orders.first()?;
    let step = match first["status"].as_str()? {
        "assigned" => "arrived",
        "at_pickup" => "picked-up",
        "picked_up" => "delivered",
        _ => return Some(()),
    };
    let mut body = json!({ "courier": id });
    if step == "delivered" {
        body["order"] = first["id"].clone();
    }
    let reply = client.json(&format!("POST /assignments/{name}/{step}"), &body).await;
    let reply = city.decided(step, reply, &HEARD)?;
    if step == "delivered" && reply.status == 200 {
        city.told().delivered.insert(first["id"].as_str()?.to_owned());
    }
    Some(())
}
