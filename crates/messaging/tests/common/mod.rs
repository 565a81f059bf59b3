//! A small world on a simulated clock: a producer, a relay, a rough bus, a consumer, an operator,
//! and a machine that stops now and then.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_journal::memory::{Disk, Engine, Faults as Crashes, Protections};
use steadfast_journal::{
    Append, Expected, Journal, Message, NewEvent, Store, StreamId, Version, Write,
};
use steadfast_messaging::bus::embedded;
use steadfast_messaging::chaos::{Chaos, Faults};
use steadfast_messaging::consumer::{self, Consumer};
use steadfast_messaging::dead_letters::{Pace, Scope};
use steadfast_messaging::{
    Backoff, Delivery, Embedded, Failure, Handled, Handler, Letters, Relay, relay,
};
use steadfast_time::sim::{DEFAULT_START, SimClock, Simulation};
use steadfast_time::{Clock, Uuid};

pub const CONSUMER: &str = "test";
pub const TOPICS: [&str; 2] = ["orders", "couriers"];
const KEYS: u64 = 6;

/// What is wrong with the world.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub bus: Faults,
    /// Of a crash, per step of a commit.
    pub crash: f64,
    /// Of a handler that fails before it commits.
    pub before: f64,
    /// Of a handler that fails after it has committed.
    pub after: f64,
    /// Of a message that cannot be handled at this attempt.
    pub poison: f64,
}

impl Trouble {
    pub const NONE: Self =
        Self { bus: Faults::NONE, crash: 0.0, before: 0.0, after: 0.0, poison: 0.0 };
    pub const ROUGH: Self =
        Self { bus: Faults::ROUGH, crash: 0.002, before: 0.1, after: 0.1, poison: 0.02 };
}

pub struct World {
    pub disk: Disk,
    clock: SimClock,
    rng: Rng,
    protections: Protections,
    pub crashes: u32,
    pub totals: Totals,
}

/// Sums over all lives, to see that what was to be tested has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub consumer: consumer::Stats,
    pub relay: relay::Stats,
    pub replayed: u64,
    pub unparked: u64,
    pub produced: u64,
}

struct Effects {
    journal: Journal,
    clock: Clock,
    rng: Mutex<Rng>,
    trouble: Trouble,
    calm: Arc<AtomicBool>,
}

pub fn ignored(message: &Message) -> bool {
    message.sequence % 5 == 3
}

fn effect_stream(message: &Message) -> StreamId {
    StreamId::new("effect", &format!("{}/{}", message.topic, message.aggregate_id)).unwrap()
}

impl Handler for Effects {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let message = delivery.message();
        let (pause, before, after, poison) = {
            let mut rng = self.rng.lock().unwrap();
            let calm = self.calm.load(Ordering::Relaxed);
            let mut roll = |p: f64| rng.f64() < p && !calm;
            let trouble = self.trouble;
            let rolls = (roll(trouble.before), roll(trouble.after), roll(trouble.poison));
            (rng.u64(0..8), rolls.0, rolls.1, rolls.2)
        };
        self.clock.sleep(Duration::from_millis(pause)).await;
        if poison {
            return Err(Failure::Poison("cannot be read".into()));
        }
        if before {
            return Err(Failure::Transient("failed before the commit".into()));
        }
        if ignored(message) {
            return Ok(Handled::Ignored);
        }
        let number = format!("{} {}", message.sequence, message.id);
        let event = NewEvent { kind: "effect".into(), schema: 1, payload: number.into() };
        let mut write = Write::at(self.clock.now());
        let stream = effect_stream(message);
        write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
        let handled = delivery.commit(&self.journal, write).await?;
        if after {
            return Err(Failure::Transient("failed after the commit".into()));
        }
        Ok(handled)
    }
}

pub fn consumer_options() -> consumer::Options {
    consumer::Options {
        concurrent: 4,
        in_hand: 16,
        attempts: 4,
        attempt_limit: Duration::from_secs(2),
        backoff: Backoff { first: Duration::from_millis(20), most: Duration::from_millis(500) },
        held_per_key: 4,
        held: 8,
        held_for: Duration::from_millis(300),
        remembered: 3,
        linger: Duration::from_millis(2),
        ..consumer::Options::new(CONSUMER)
    }
}

pub fn relay_options() -> relay::Options {
    relay::Options {
        in_flight: 24,
        mark_rows: 6,
        backoff: Backoff { first: Duration::from_millis(10), most: Duration::from_millis(200) },
        ..relay::Options::default()
    }
}

impl World {
    pub fn new(seed: u64, protections: Protections) -> Self {
        Self {
            disk: Disk::new(),
            clock: SimClock::starting_at(DEFAULT_START),
            rng: Rng::with_seed(seed),
            protections,
            crashes: 0,
            totals: Totals::default(),
        }
    }

    pub fn store(&self) -> Arc<dyn Store> {
        use steadfast_journal::Engine as _;
        Engine::recover(self.disk.clone()).store()
    }

    /// Runs the whole system until it crashes or the time is over. In a calm world the operator
    /// also works until nothing is parked.
    pub fn live(&mut self, trouble: Trouble, length: Duration, produce: u64) {
        let seed = self.rng.u64(..);
        let mut sim = Simulation::with_clock(self.clock.clone(), seed);
        let clock = sim.clock();
        let engine = Engine::recover(self.disk.clone())
            .with_faults(Crashes::random(self.rng.u64(..), trouble.crash))
            .with_protections(self.protections);
        let (journal, mut writer) = Journal::new(engine, clock.clone());
        let crashed = Rc::new(Cell::new(false));
        let stopped = Rc::clone(&crashed);
        let tick = clock.clone();
        sim.spawn(async move {
            while writer.run_once().is_ok() {
                tick.sleep(Duration::from_millis(1)).await;
            }
            stopped.set(true);
        });
        let calm = Arc::new(AtomicBool::new(trouble.poison == 0.0));
        let handler = Effects {
            journal: journal.clone(),
            clock: clock.clone(),
            rng: Mutex::new(self.rng.fork()),
            trouble,
            calm,
        };
        let bus = Arc::new(Embedded::new(embedded::Options { lane_queue: 4 }));
        let seed = self.rng.u64(..);
        let chaos = Arc::new(Chaos::new(Arc::clone(&bus), clock.clone(), seed, trouble.bus));
        let Ok(consumer) =
            Consumer::open(journal.clone(), clock.clone(), handler, consumer_options())
        else {
            panic!("the consumer must open on a fresh start");
        };
        for worker in consumer.subscribe(&*chaos, &TOPICS, 2).unwrap() {
            sim.spawn(async move { drop(worker.run().await) });
        }
        bus.open();
        let relay = Relay::new(journal.clone(), Arc::clone(&chaos), clock.clone(), relay_options());
        let relay_handle = relay.handle();
        sim.spawn(async move { drop(relay.run(std::future::pending()).await) });
        sim.spawn(async move { chaos.run().await });
        let produced = Rc::new(Cell::new(0));
        sim.spawn(produce_some(
            journal.clone(),
            clock.clone(),
            self.rng.fork(),
            produce,
            Rc::clone(&produced),
        ));
        let replayed = Rc::new(RefCell::new((0_u64, 0_u64)));
        let (sums, letters, tick) = (Rc::clone(&replayed), consumer.dead_letters(), clock.clone());
        let mut rng = self.rng.fork();
        sim.spawn(async move {
            loop {
                tick.sleep(Duration::from_millis(rng.u64(100..2_000))).await;
                let Ok(report) = letters.replay(&Scope::All, Pace::per_second(200)).await else {
                    continue;
                };
                let mut sums = sums.borrow_mut();
                sums.0 += report.handled;
                sums.1 += report.unparked;
            }
        });
        let end = clock.monotonic() + length;
        while !crashed.get() && sim.step(end) {}
        drop(sim);
        self.crashes += u32::from(crashed.get());
        self.totals.produced += produced.get();
        self.totals.replayed += replayed.borrow().0;
        self.totals.unparked += replayed.borrow().1;
        add(&mut self.totals, consumer.stats(), relay_handle.stats());
    }

    /// Checks that every message in the outbox has had its effect once, and in order.
    pub fn check(&self, finished: bool) -> Result<(), String> {
        let store = self.store();
        let rows = store.outbox(0, 10_000).unwrap();
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let stream = expected.entry(effect_stream(&row.message).to_string()).or_default();
            if !ignored(&row.message) {
                stream.push(format!("{} {}", row.message.sequence, row.message.id));
            }
        }
        for (stream, expected) in expected {
            let events = store.stream(&stream.parse().unwrap(), Version::NONE, 10_000).unwrap();
            let mut expected = expected;
            let mut effects: Vec<_> = events
                .iter()
                .map(|event| String::from_utf8(event.payload.to_vec()).unwrap())
                .collect();
            if expected.first().is_some_and(|effect| effect.starts_with("0 ")) {
                // Without numbers, once is all that is promised.
                expected.sort();
                effects.sort();
            }
            if !finished {
                expected.truncate(effects.len());
                if expected.first().is_some_and(|effect| effect.starts_with("0 ")) {
                    effects.dedup();
                    continue;
                }
            }
            if effects != expected {
                return Err(format!("{stream}: effects {effects:?}, expected {expected:?}"));
            }
        }
        if finished {
            let open = store.unpublished(0, 10_000).unwrap().len();
            let parked = Letters::new(CONSUMER).list(&*store, None, 1_000).unwrap();
            if open > 0 || !parked.is_empty() {
                return Err(format!("{open} messages are unpublished, {parked:?} parked"));
            }
        }
        Ok(())
    }
}

fn add(totals: &mut Totals, consumer: consumer::Stats, relay: relay::Stats) {
    let sum = &mut totals.consumer;
    sum.received += consumer.received;
    sum.committed += consumer.committed;
    sum.ignored += consumer.ignored;
    sum.duplicates += consumer.duplicates;
    sum.held += consumer.held;
    sum.given_back += consumer.given_back;
    sum.failures += consumer.failures;
    sum.unavailable += consumer.unavailable;
    sum.parked += consumer.parked;
    sum.in_hand_highest = sum.in_hand_highest.max(consumer.in_hand_highest);
    sum.held_highest = sum.held_highest.max(consumer.held_highest);
    let sum = &mut totals.relay;
    sum.published += relay.published;
    sum.refused += relay.refused;
    sum.polls += relay.polls;
    sum.polled_rows += relay.polled_rows;
    sum.lagged += relay.lagged;
    sum.in_flight_highest = sum.in_flight_highest.max(relay.in_flight_highest);
}

/// Commits messages; goes on with each key's numbers where the outbox stands. Keys whose number
/// is the highest carry none.
async fn produce_some(
    journal: Journal,
    clock: Clock,
    mut rng: Rng,
    count: u64,
    produced: Rc<Cell<u64>>,
) {
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in journal.store().outbox(0, 10_000).unwrap_or_default() {
        let Message { topic, aggregate_id, .. } = row.message;
        *last.entry((topic.into_owned(), aggregate_id)).or_default() += 1;
    }
    while produced.get() < count {
        clock.sleep(Duration::from_millis(rng.u64(0..10))).await;
        let mut write = Write::at(clock.now());
        let mut next = last.clone();
        for _ in 0..rng.u64(1..6) {
            let key = rng.u64(0..KEYS);
            // A key that continues another's name must not be taken for it.
            let id = if key == 4 { "k3/4".to_owned() } else { format!("k{key}") };
            let topic = TOPICS[rng.usize(0..TOPICS.len())];
            let number = next.entry((topic.to_owned(), id.clone())).or_default();
            *number += 1;
            write.messages.push(Message {
                id: Uuid::from_u128(rng.u128(..)),
                topic: topic.into(),
                aggregate_type: "thing".into(),
                aggregate_id: id,
                event_type: "happened".into(),
                sequence: if key == KEYS - 1 { 0 } else { *number },
                payload: "{}".into(),
            });
        }
        let messages = write.messages.len() as u64;
        if journal.commit(write).await.is_err() {
            return;
        }
        last = next;
        produced.set(produced.get() + messages);
    }
}
