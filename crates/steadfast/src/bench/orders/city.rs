//! The city that orders come from: its zones, merchants and couriers.

use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use steadfast_time::Timestamp;

use crate::cli::{Client, Failure};

/// The city is a square of this many metres.
const SIDE: u32 = 8_000;

/// It has this many zones in a row, and as many rows.
const ZONES_IN_ROW: u32 = 2;

/// Merchants, spread evenly.
pub const MERCHANTS: u32 = 100;

/// How far customers live from where they order, in metres, either way.
const REACH: u32 = 1_500;

/// Long enough for a shift to outlast any bench.
const SHIFT: Duration = Duration::from_secs(47 * 3_600);

/// Where a merchant is.
pub const fn merchant(number: u32) -> (u32, u32) {
    // Steps of 61 % and 37 % of the side leave no pattern that a policy could profit from.
    let (x, y) = (number as u64 * 4_943, number as u64 * 2_971);
    ((x % SIDE as u64) as u32, (y % SIDE as u64) as u32)
}

/// A place within reach.
pub fn near(rng: &mut Rng, x: u32, y: u32) -> (u32, u32) {
    let mut offset = |place: u32| (place + rng.u32(..2 * REACH)).saturating_sub(REACH).min(SIDE);
    (offset(x), offset(y))
}

/// Opens the zones and starts the couriers' shifts. Couriers take every offer at once, and any
/// number of them, because what is measured ends there.
///
/// # Errors
/// The server said no.
pub fn open(client: &Client, couriers: usize, now: Timestamp) -> Result<(), Failure> {
    let width = SIDE / ZONES_IN_ROW;
    for zone in 0..ZONES_IN_ROW * ZONES_IN_ROW {
        let (x, y) = (zone % ZONES_IN_ROW * width, zone / ZONES_IN_ROW * width);
        let body = json!({
            "capacity": 10_000_000,
            "area": { "min": { "x": x, "y": y }, "max": { "x": x + width, "y": y + width } },
        });
        put(client, &format!("/zones/bench-{zone}"), &body)?;
    }
    let mut rng = Rng::with_seed(7);
    for courier in 0..couriers {
        // Every zone has its share of them.
        let zone = u32::try_from(courier).unwrap_or(0) % (ZONES_IN_ROW * ZONES_IN_ROW);
        let (west, south) = (zone % ZONES_IN_ROW * width, zone / ZONES_IN_ROW * width);
        let (x, y) = (west + rng.u32(..width), south + rng.u32(..width));
        let body = json!({
            "location": { "x": x, "y": y },
            "ends_at": now + SHIFT,
            "capacity": 100_000,
            "auto_accept": true,
        });
        put(client, &format!("/couriers/bench-{courier}/shift"), &body)?;
    }
    Ok(())
}

fn put(client: &Client, path: &str, body: &Value) -> Result<(), Failure> {
    client.call(Method::PUT, path, Some(body)).map(drop)
}
