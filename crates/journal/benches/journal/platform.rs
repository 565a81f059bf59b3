//! What one order costs the whole platform, straight into the engine.
//!
//! Eight writes, as the services make them: placing (claim, event, message, record, timer), five
//! steps (inbox mark, event, message), the assignment (inbox mark, fence, guards, the events of
//! order, courier and zone, messages), and the delivery (record, timer cleared). The relay's
//! marks follow each batch as one range.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use steadfast_fencing::FencingToken;
use steadfast_journal::{
    Append, Claim, Engine as _, Expected, Fence, Guard, Message, MessageRef, NewEvent,
    OutboxChange, Processed, RecordChange, StoredResponse, StreamId, Timer, TimerChange, Version,
    Write, sqlite,
};
use steadfast_time::{Clock, Ids, Timestamp, Uuid};

use crate::{Outcome, Plan};

const PAYLOAD_BYTES: usize = 180;
const COURIERS: u64 = 2_000;
const ZONES: u64 = 50;

/// Orders under way at the same time: those of the last few batches.
struct City {
    ids: Ids,
    random: fastrand::Rng,
    payload: Bytes,
    courier_versions: Vec<u64>,
    published: u64,
    messages: u64,
    under_way: Vec<(Uuid, u64)>,
}

pub(crate) fn run(
    directory: &Path,
    batch: usize,
    plan: &Plan,
    stored: u64,
    clock: &Clock,
) -> Outcome {
    let path = directory.join(format!("platform-{batch}-{stored}"));
    let open = || sqlite::Engine::open(&path, plan.options.clone()).unwrap();
    let mut engine = open();
    let mut city = City {
        ids: Ids::seeded(1),
        random: fastrand::Rng::with_seed(2),
        payload: Bytes::from(vec![b'x'; PAYLOAD_BYTES]),
        courier_versions: vec![0; COURIERS as usize],
        published: 0,
        messages: 0,
        under_way: Vec::new(),
    };
    if stored > 0 {
        let mut done = 0;
        while done < stored {
            done += city.commit(&mut engine, 512, clock);
        }
        engine.close().unwrap();
        let began = clock.monotonic();
        engine = open();
        println!("          start-up with {stored} orders: {:?}", clock.monotonic() - began);
    }
    let mut latencies = Vec::new();
    let mut orders = 0;
    let mut writes = 0;
    let (before, cpu) = (written(), processor_us());
    let start = clock.monotonic();
    while clock.monotonic() - start < plan.length() {
        let began = clock.monotonic();
        orders += city.commit(&mut engine, batch, clock);
        latencies.push(clock.monotonic() - began);
        writes += batch;
    }
    let elapsed = clock.monotonic() - start;
    engine.close().unwrap();
    let batch_mean = writes as f64 / latencies.len() as f64;
    let kib = (written() - before) as f64 / 1_024.0 / orders as f64;
    let cpu = (processor_us() - cpu) / orders as f64;
    println!("          {}  per order: {kib:.1} KiB written, {cpu:.1} us of processor", memory());
    Outcome { orders, elapsed, latencies, batch_mean }
}

/// Bytes that the process has handed to the disk, where the system tells.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor time of the process, all threads, where the system tells.
fn processor_us() -> f64 {
    // Ticks of 10 ms; the name of the program, in parentheses, may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks * 10_000.0
}

/// The process's memory, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    let lines = [line("VmRSS"), line("VmHWM")];
    lines.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

impl City {
    /// Commits a batch in which every order under way takes its next step; returns how many
    /// orders were completed.
    fn commit(&mut self, engine: &mut sqlite::Engine, batch: usize, clock: &Clock) -> u64 {
        let now = clock.now();
        let mut writes = Vec::with_capacity(batch + 1);
        let mut done = 0;
        let mut next = Vec::with_capacity(batch);
        for (order, step) in std::mem::take(&mut self.under_way) {
            if writes.len() < batch {
                writes.push(self.step(order, step, now));
                if step < 7 {
                    next.push((order, step + 1));
                } else {
                    done += 1;
                }
            } else {
                next.push((order, step));
            }
        }
        while writes.len() < batch {
            let order = self.ids.next(now);
            writes.push(self.step(order, 0, now));
            next.push((order, 1));
        }
        self.under_way = next;
        let mut relay = Write::at(now);
        relay.outbox.push(OutboxChange::Published(self.published + 1..=self.messages));
        self.published = self.messages;
        writes.push(relay);
        self.messages += writes.iter().map(|write| write.messages.len() as u64).sum::<u64>();
        for outcome in engine.commit(&writes).unwrap() {
            outcome.unwrap();
        }
        done
    }

    fn step(&mut self, order: Uuid, step: u64, now: Timestamp) -> Write {
        const KINDS: [&str; 8] = [
            "placed",
            "stock-reserved",
            "payment-authorized",
            "awaiting",
            "offered",
            "assigned",
            "picked-up",
            "delivered",
        ];
        let mut write = Write::at(now);
        let stream = StreamId::of("order", order);
        let kind = KINDS[step as usize];
        if step != 3 && step != 6 {
            // Six of the eight writes append to the order.
            let version = match step {
                0..=2 => step,
                4 | 5 => step - 1,
                _ => 5,
            };
            write.appends.push(Append {
                stream,
                expected: Expected::Exactly(Version(version)),
                events: vec![self.event(kind)],
            });
            write.messages.push(Message {
                id: self.ids.next(now),
                topic: "orders".into(),
                aggregate_type: "order".into(),
                aggregate_id: order.to_string(),
                event_type: kind.into(),
                sequence: version + 1,
                payload: self.payload.clone(),
            });
        }
        if step > 0 && step < 7 {
            write.processed.push(Processed {
                consumer: if step.is_multiple_of(2) { "saga" } else { "dispatch" }.into(),
                message: MessageRef::Sequence { key: format!("orders/{order}"), sequence: step },
            });
        }
        let timer = format!("saga/{order}");
        match step {
            0 => {
                write.claim = Some(self.claim(now));
                write.records.push(self.record(order));
                let due = now + Duration::from_secs(60);
                let payload = Bytes::from_static(b"{}");
                write.timers.push(TimerChange::Set(Timer { id: timer, due, payload }));
            }
            5 => self.assign(&mut write, now),
            6 => {
                let courier = self.random.u64(0..COURIERS) as usize;
                write.appends.push(self.courier(courier));
            }
            7 => {
                write.timers.push(TimerChange::Clear { id: timer });
                write.records.push(self.record(order));
            }
            _ => {}
        }
        write
    }

    fn assign(&mut self, write: &mut Write, _now: Timestamp) {
        let zone = self.random.u64(0..ZONES);
        let courier = self.random.u64(0..COURIERS) as usize;
        write.fence = Some(Fence { resource: format!("zone/{zone}"), token: FencingToken::FIRST });
        for counter in [format!("zone/{zone}/dispatches"), format!("courier/c{courier}/load")] {
            write.guards.push(Guard { counter, delta: 1, bounds: 0..=i64::MAX });
        }
        write.appends.push(self.courier(courier));
        let stream = StreamId::new("zone", &format!("z{zone}")).unwrap();
        let events = vec![self.event("dispatched")];
        write.appends.push(Append { stream, expected: Expected::Any, events });
    }

    fn courier(&mut self, courier: usize) -> Append {
        let version = self.courier_versions[courier];
        self.courier_versions[courier] += 1;
        Append {
            stream: StreamId::new("courier", &format!("c{courier}")).unwrap(),
            expected: Expected::Exactly(Version(version)),
            events: vec![self.event("assigned")],
        }
    }

    fn event(&self, kind: &'static str) -> NewEvent {
        NewEvent { kind: kind.into(), schema: 1, payload: self.payload.clone() }
    }

    fn record(&self, order: Uuid) -> RecordChange {
        let (key, value) = (order.to_string(), Some(self.payload.clone()));
        RecordChange { space: "orders".into(), key, value }
    }

    fn claim(&mut self, now: Timestamp) -> Claim {
        Claim {
            tenant: "tenant".into(),
            key: Uuid::from_u128(self.random.u128(..)).to_string(),
            fingerprint: [7; 32],
            expires_at: now + Duration::from_secs(86_400),
            response: StoredResponse {
                status: 201,
                location: Some("/orders/1".into()),
                version: Some(Version(1)),
                body: self.payload.clone(),
            },
        }
    }
}
