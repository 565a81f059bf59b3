//! What one finished order has left in one journal.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use steadfast_dispatch::names::TenantId;
use steadfast_dispatch::{order, saga};
use steadfast_journal::{
    Append, Claim, Engine, Expected, Message, MessageRef, NewEvent, OutboxRow, Position, Processed,
    Store, StoredResponse, StreamId, Version, Write, sqlite,
};
use steadfast_time::{Clock, Ids, Timestamp};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::super::{city, request};
use super::stamp::Stamp;
use crate::bench::Scratch;
use crate::cli::{Client, Failure};
use crate::config::Config;
use crate::platform::{self, Platform};

/// Orders that the platform carries to the end to copy from.
const ORDERS: usize = 16;

/// Couriers who carry them.
const COURIERS: usize = 8;

/// How long an order may take to get a step further.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How long what an order's end tells others is on its way.
const SETTLING: Duration = Duration::from_millis(500);

/// Rows that are read at once.
const PAGE: usize = 1_000;

/// What one finished order has left in one journal.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    streams: Vec<Stream>,
    messages: Vec<(Message, Stamp)>,
    claim: Option<(StoredResponse, Stamp, Option<Stamp>)>,
    /// The last message that each consumer has had of it.
    marks: Vec<(&'static str, Stamp, u64)>,
}

#[derive(Debug)]
struct Stream {
    category: String,
    key: Stamp,
    events: Vec<(NewEvent, Stamp)>,
}

impl Pattern {
    /// The order again, under another name, as one write.
    pub(super) fn stamp(&self, name: Uuid, at: Timestamp, ids: &Ids) -> Write {
        let mut write = Write::at(at);
        if let Some((response, body, location)) = &self.claim {
            write.claim = Some(Claim {
                tenant: TenantId::public().to_string(),
                key: format!("{:032x}", fastrand::u128(..)),
                fingerprint: std::array::from_fn(|_| fastrand::u8(..)),
                expires_at: at + steadfast_dispatch::limits::IDEMPOTENCY_RETENTION,
                response: StoredResponse {
                    body: body.with(name),
                    location: location.as_ref().map(|location| location.text(name)),
                    ..response.clone()
                },
            });
        }
        for stream in &self.streams {
            // A name that was valid is valid with another UUID in it.
            let Ok(id) = StreamId::new(&stream.category, &stream.key.text(name)) else {
                continue;
            };
            let events = stream.events.iter();
            let events = events
                .map(|(event, payload)| NewEvent { payload: payload.with(name), ..event.clone() });
            let expected = Expected::Exactly(Version::NONE);
            write.appends.push(Append { stream: id, expected, events: events.collect() });
        }
        for (message, payload) in &self.messages {
            write.messages.push(Message {
                id: ids.next(at),
                aggregate_id: name.to_string(),
                payload: payload.with(name),
                ..message.clone()
            });
        }
        for (consumer, key, sequence) in &self.marks {
            let message = MessageRef::Sequence { key: key.text(name), sequence: *sequence };
            write.processed.push(Processed { consumer: (*consumer).into(), message });
        }
        write
    }
}

/// Carries a few orders to the end and reads what they left, per order and journal.
pub(super) fn make(
    config: &Config,
    runtime: &Runtime,
    clock: &Clock,
) -> Result<Vec<Vec<Pattern>>, Failure> {
    let scratch = Scratch::new(None)
        .map_err(|error| Failure::failed(format!("cannot make a scratch directory: {error}")))?;
    let mut config = config.clone();
    config.data = scratch.path().to_owned();
    let platform = runtime
        .block_on(Platform::start(&config, clock.clone()))
        .map_err(|error| Failure::of(&error))?;
    let client = Client::at(platform.public());
    let carried = carry(&client, clock, runtime);
    runtime.block_on(platform.stop()).map_err(|error| Failure::of(&error))?;
    let names = carried?;
    let mut patterns: Vec<Vec<Pattern>> = names.iter().map(|_| Vec::new()).collect();
    for directory in platform::journals(&config) {
        let found = read(&directory, &config, &names, clock.now())?;
        for (order, pattern) in patterns.iter_mut().zip(found) {
            order.push(pattern);
        }
    }
    Ok(patterns)
}

/// An order that was carried to the end, and the key that it was placed with.
type Carried = (Uuid, String);

fn carry(client: &Client, clock: &Clock, runtime: &Runtime) -> Result<Vec<Carried>, Failure> {
    city::open(client, COURIERS, clock.now())?;
    let mut rng = fastrand::Rng::with_seed(11);
    let mut carried = Vec::new();
    for number in 0..ORDERS {
        let key = format!("preload-{number}");
        let body: Value =
            serde_json::from_str(&request::body(&mut rng)).map_err(Failure::failed)?;
        let placed = client.with_key(&key).call(Method::POST, "/orders", Some(&body))?;
        let id = placed["id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/orders/{id}");
        let wait = |done: &dyn Fn(&Value) -> bool| until(client, &path, clock, runtime, done);
        let order = wait(&|order| order["status"] == "assigned")?;
        let courier = json!({ "courier": order["courier"] });
        let assignment = order["assignment"].as_str().unwrap_or_default();
        for step in ["arrived", "picked-up", "delivered"] {
            client.post(&format!("/assignments/{assignment}/{step}"), &courier)?;
        }
        // The end is the money.
        let history = format!("{path}/events");
        until(client, &history, clock, runtime, &|history| {
            let events = history["events"].as_array().into_iter().flatten();
            events.into_iter().any(|event| event["type"] == "payment_captured")
        })?;
        let name = Uuid::try_parse(&id).map_err(Failure::failed)?;
        carried.push((name, key));
    }
    runtime.block_on(async { clock.sleep(SETTLING).await });
    Ok(carried)
}

/// Asks until the answer is as wanted.
fn until(
    client: &Client,
    path: &str,
    clock: &Clock,
    runtime: &Runtime,
    done: &dyn Fn(&Value) -> bool,
) -> Result<Value, Failure> {
    let end = clock.monotonic() + STEP_MAX;
    loop {
        let answer = client.get(path)?;
        if done(&answer) {
            return Ok(answer);
        }
        if clock.monotonic() > end {
            return Err(Failure::failed(format!("{path} does not get further: {answer}")));
        }
        // Within the runtime, whose timer the wait needs.
        runtime.block_on(async { clock.sleep(LOOK).await });
    }
}

fn read(
    directory: &Path,
    config: &Config,
    orders: &[Carried],
    now: Timestamp,
) -> Result<Vec<Pattern>, Failure> {
    let engine = sqlite::Engine::open(directory, config.sqlite_options());
    let mut engine = engine.map_err(|error| Failure::of(&error))?;
    let store = engine.store();
    let patterns = read_store(&*store, orders, now).map_err(|error| Failure::of(&error))?;
    engine.close().map_err(|error| Failure::of(&error))?;
    Ok(patterns)
}

fn read_store(
    store: &dyn Store,
    orders: &[Carried],
    now: Timestamp,
) -> Result<Vec<Pattern>, steadfast_journal::StorageError> {
    let mut patterns: Vec<Pattern> = orders.iter().map(|_| Pattern::default()).collect();
    let mut places: HashMap<StreamId, (usize, usize)> = HashMap::new();
    let mut after = Position::START;
    loop {
        let events = store.events(after, PAGE)?;
        let Some(last) = events.last() else { break };
        after = last.position;
        for event in &events {
            if let Some((order, stream)) = places.get(&event.stream) {
                let payload = Stamp::new(&event.payload, orders[*order].0);
                patterns[*order].streams[*stream].events.push((new_event(event), payload));
                continue;
            }
            let key = |(name, _): &Carried| Stamp::new(event.stream.key().as_bytes(), *name);
            let found = orders.iter().map(key).enumerate().find(|(_, key)| key.occurs());
            let Some((order, key)) = found else { continue };
            let payload = Stamp::new(&event.payload, orders[order].0);
            let streams = &mut patterns[order].streams;
            places.insert(event.stream.clone(), (order, streams.len()));
            let category = event.stream.category().to_owned();
            streams.push(Stream { category, key, events: vec![(new_event(event), payload)] });
        }
    }
    let mut seq = 0;
    loop {
        let rows = store.outbox(seq, PAGE)?;
        let Some(last) = rows.last() else { break };
        seq = last.seq;
        for OutboxRow { message, .. } in rows {
            let of = |(name, _): &Carried| message.aggregate_id == name.to_string();
            let Some(order) = orders.iter().position(of) else {
                continue;
            };
            let payload = Stamp::new(&message.payload, orders[order].0);
            patterns[order].messages.push((message, payload));
        }
    }
    for ((name, key), pattern) in orders.iter().zip(&mut patterns) {
        if let Some(claimed) = store.claimed(TenantId::public().as_str(), key, now)? {
            let response = claimed.response;
            let body = Stamp::new(&response.body, *name);
            let location = response.location.as_ref();
            let location = location.map(|location| Stamp::new(location.as_bytes(), *name));
            pattern.claim = Some((response, body, location));
        }
        let key = format!("{}/{name}", order::TOPIC);
        let sequence = store.processed_up_to(saga::CONSUMER, &key)?;
        if sequence > 0 {
            pattern.marks.push((saga::CONSUMER, Stamp::new(key.as_bytes(), *name), sequence));
        }
    }
    Ok(patterns)
}

fn new_event(event: &steadfast_journal::Event) -> NewEvent {
    NewEvent { kind: event.kind.clone(), schema: event.schema, payload: event.payload.clone() }
}

#[cfg(test)]
mod tests;
