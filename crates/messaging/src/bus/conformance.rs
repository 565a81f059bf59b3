//! The suite that every bus passes.
//!
//! An engine's tests implement [`Fixture`] and call [`check_all`] on an executor of their
//! choice. Every check starts a bus of its own and asserts.
//!
//! # Panics
//! All checks panic when a promise is broken: that is how a test fails.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use steadfast_journal::Message;
use steadfast_time::{Clock, Uuid};

use super::{Bus, Incoming, Lane, Parcel, Receipts, Subscription};
use crate::Envelope;

/// How long a check waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lanes of each subscription.
pub type Lanes<B> = Vec<Vec<<B as Bus>::Lane>>;

/// How the suite gets a bus.
pub trait Fixture {
    /// The engine.
    type Bus: Bus;

    /// A fresh bus, open, and the lanes of each subscription.
    fn start(
        &self,
        subscriptions: &[Subscription],
    ) -> impl Future<Output = (Self::Bus, Lanes<Self::Bus>)>;

    /// The clock that waits are measured by.
    fn clock(&self) -> Clock;
}

/// All checks.
pub async fn check_all<F: Fixture>(fixture: &F) {
    keys_stay_in_order_and_in_their_lane(fixture).await;
    every_group_gets_every_message(fixture).await;
    topics_are_kept_apart(fixture).await;
    what_is_given_back_comes_again_or_is_reported(fixture, true).await;
    what_is_given_back_comes_again_or_is_reported(fixture, false).await;
}

fn parcel(ticket: u64, topic: &'static str, key: u64, sequence: u64) -> Parcel {
    let message = Message {
        id: Uuid::from_u128(u128::from(ticket) + 1),
        topic: topic.into(),
        aggregate_type: "thing".into(),
        aggregate_id: format!("k{key}"),
        event_type: "happened".into(),
        sequence,
        payload: "{}".into(),
    };
    Parcel { ticket, envelope: Envelope::foreign(message) }
}

fn subscription(group: &str, topics: &[&str], lanes: usize) -> Subscription {
    let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
    Subscription { group: group.into(), topics, lanes }
}

/// Receives until `count` messages have come, and accepts all.
async fn receive<L: Lane>(clock: &Clock, lane: &mut L, count: usize) -> Vec<Envelope> {
    let mut got = Vec::new();
    let mut arrived: Vec<Incoming> = Vec::new();
    while got.len() < count {
        let more = clock.timeout(PATIENCE, lane.receive(&mut arrived, 7)).await;
        assert_eq!(more, Ok(true), "{} of {count} messages came", got.len());
        assert!(arrived.len() <= 7, "no more than was asked for");
        for Incoming { envelope, ack } in arrived.drain(..) {
            got.push(envelope);
            ack.accept();
        }
    }
    got
}

/// Waits for the answers to tickets `0..count`; says which were positive.
async fn answers(clock: &Clock, receipts: &Receipts, count: usize) -> BTreeMap<u64, bool> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let Ok(taken) = clock.timeout(PATIENCE, receipts.take()).await else {
            panic!("{} of {count} answers came", answers.len());
        };
        for receipt in taken {
            let again = answers.insert(receipt.ticket, receipt.outcome.is_ok());
            assert_eq!(again, None, "ticket {} is answered twice", receipt.ticket);
        }
    }
    answers
}

/// Messages of one key arrive in one lane, in the order in which they were published.
pub async fn keys_stay_in_order_and_in_their_lane<F: Fixture>(fixture: &F) {
    let (bus, mut lanes) = fixture.start(&[subscription("g", &["t"], 3)]).await;
    let (clock, receipts) = (fixture.clock(), Receipts::new());
    let parcels: Vec<_> = (0..300).map(|n| parcel(n, "t", n % 10, n / 10 + 1)).collect();
    let mut expected: Vec<usize> = vec![0; 3];
    for parcel in &parcels {
        let id = &parcel.envelope.aggregate_id;
        expected[super::lane_of("t", id, 3)] += 1;
    }
    for chunk in parcels.chunks(64) {
        bus.publish(chunk.to_vec(), &receipts).await;
    }
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (lane, count) in lanes[0].iter_mut().zip(expected) {
        for envelope in receive(&clock, lane, count).await {
            let last = last.entry(envelope.aggregate_id.clone()).or_default();
            assert_eq!(envelope.sequence, *last + 1, "{}", envelope.aggregate_id);
            *last = envelope.sequence;
        }
    }
    assert_eq!(last.len(), 10);
    assert!(last.values().all(|&last| last == 30));
    assert!(answers(&clock, &receipts, 300).await.values().all(|&taken| taken));
}

/// Two groups get each message, once each.
pub async fn every_group_gets_every_message<F: Fixture>(fixture: &F) {
    let groups = [subscription("a", &["t"], 1), subscription("b", &["t", "u"], 1)];
    let (bus, mut lanes) = fixture.start(&groups).await;
    let (clock, receipts) = (fixture.clock(), Receipts::new());
    bus.publish((0..20).map(|n| parcel(n, "t", 1, n + 1)).collect(), &receipts).await;
    for lane in lanes.iter_mut().flatten() {
        let got = receive(&clock, lane, 20).await;
        let numbers: Vec<_> = got.iter().map(|envelope| envelope.sequence).collect();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    }
    assert!(answers(&clock, &receipts, 20).await.values().all(|&taken| taken));
}

/// A group gets only what it has asked for; a topic that nobody wants holds up nobody.
pub async fn topics_are_kept_apart<F: Fixture>(fixture: &F) {
    let groups = [subscription("a", &["t"], 1), subscription("b", &["u"], 1)];
    let (bus, mut lanes) = fixture.start(&groups).await;
    let (clock, receipts) = (fixture.clock(), Receipts::new());
    let topics = ["t", "u", "nobody"];
    let parcels = (0..9).map(|n| parcel(n, topics[n as usize % 3], 1, n / 3 + 1)).collect();
    bus.publish(parcels, &receipts).await;
    for (lane, topic) in lanes.iter_mut().flatten().zip(topics) {
        let got = receive(&clock, lane, 3).await;
        assert!(got.iter().all(|envelope| envelope.topic == topic));
    }
    assert!(answers(&clock, &receipts, 9).await.values().all(|&taken| taken));
}

/// What was not accepted is not forgotten in silence.
pub async fn what_is_given_back_comes_again_or_is_reported<F: Fixture>(
    fixture: &F,
    politely: bool,
) {
    let (bus, mut lanes) = fixture.start(&[subscription("g", &["t"], 1)]).await;
    let (clock, receipts) = (fixture.clock(), Receipts::new());
    bus.publish((0..10).map(|n| parcel(n, "t", n, 1)).collect(), &receipts).await;
    let lane = &mut lanes[0][0];
    let mut accepted = BTreeSet::new();
    let mut arrived = Vec::new();
    while arrived.len() < 10 {
        let more = clock.timeout(PATIENCE, lane.receive(&mut arrived, 10)).await;
        assert_eq!(more, Ok(true));
    }
    for (n, Incoming { envelope, ack }) in arrived.into_iter().enumerate() {
        match (n % 2, politely) {
            (0, _) => {
                accepted.insert(envelope.id);
                ack.accept();
            }
            (_, true) => ack.give_back(),
            (_, false) => drop(ack),
        }
    }
    let answers = answers(&clock, &receipts, 10).await;
    let taken = answers.iter().filter(|(_, taken)| **taken).map(|(ticket, _)| *ticket);
    // Where the bus says that it has taken responsibility, it must bring the message again.
    let owed: BTreeSet<_> = taken
        .map(|ticket| Uuid::from_u128(u128::from(ticket) + 1))
        .filter(|id| !accepted.contains(id))
        .collect();
    let again = receive(&clock, lane, owed.len()).await;
    assert_eq!(again.iter().map(|envelope| envelope.id).collect::<BTreeSet<_>>(), owed);
}
