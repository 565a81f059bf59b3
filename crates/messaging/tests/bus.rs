//! The embedded bus keeps the promises of every bus, and its own.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::sync::Arc;
use std::time::Duration;

use steadfast_journal::Message;
use steadfast_messaging::bus::conformance::{Fixture, check_all};
use steadfast_messaging::bus::embedded::{self, Lane};
use steadfast_messaging::bus::{
    Error, Incoming, Lane as _, Parcel, Receipt, Receipts, Subscription,
};
use steadfast_messaging::chaos::{Chaos, Faults};
use steadfast_messaging::{Bus, Embedded, Envelope};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Uuid};

struct OnSimulation(Clock);

impl Fixture for OnSimulation {
    type Bus = Embedded;

    async fn start(&self, subscriptions: &[Subscription]) -> (Embedded, Vec<Vec<Lane>>) {
        let bus = Embedded::default();
        let lanes = subscriptions.iter().map(|wanted| bus.subscribe(wanted).unwrap()).collect();
        bus.open();
        (bus, lanes)
    }

    fn clock(&self) -> Clock {
        self.0.clone()
    }
}

/// A wrapper through which nothing goes wrong is a bus like any other.
struct ThroughChaos(Clock);

impl Fixture for ThroughChaos {
    type Bus = Chaos<Embedded>;

    async fn start(&self, subscriptions: &[Subscription]) -> (Chaos<Embedded>, Vec<Vec<Lane>>) {
        let (bus, lanes) = OnSimulation(self.0.clone()).start(subscriptions).await;
        (Chaos::new(Arc::new(bus), self.0.clone(), 1, Faults::NONE), lanes)
    }

    fn clock(&self) -> Clock {
        self.0.clone()
    }
}

#[test]
fn the_embedded_bus_conforms() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    sim.block_on(async move {
        check_all(&OnSimulation(clock.clone())).await;
        check_all(&ThroughChaos(clock)).await;
    });
}

fn subscription(group: &str, topic: &str) -> Subscription {
    Subscription { group: group.into(), topics: vec![topic.into()], lanes: 1 }
}

fn parcel(ticket: u64) -> Parcel {
    let message = Message {
        id: Uuid::from_u128(u128::from(ticket)),
        topic: "t".into(),
        aggregate_type: "thing".into(),
        aggregate_id: "k".into(),
        event_type: "happened".into(),
        sequence: ticket,
        payload: "{}".into(),
    };
    Parcel { ticket, envelope: Envelope::foreign(message) }
}

#[test]
fn responsibility_is_taken_when_the_last_group_has_accepted() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    sim.block_on(async move {
        let bus = Embedded::default();
        let mut a = bus.subscribe(&subscription("a", "t")).unwrap().remove(0);
        let mut b = bus.subscribe(&subscription("b", "t")).unwrap().remove(0);
        bus.open();
        let receipts = Receipts::new();
        bus.publish(vec![parcel(7)], &receipts).await;
        let mut arrived = Vec::new();
        assert!(a.receive(&mut arrived, 1).await && b.receive(&mut arrived, 1).await);
        let [Incoming { ack: first, .. }, Incoming { ack: second, .. }] =
            <[Incoming; 2]>::try_from(arrived).unwrap();
        first.accept();
        let early = clock.timeout(Duration::from_secs(1), receipts.take()).await;
        assert!(early.is_err(), "one group has not answered: {early:?}");
        second.give_back();
        let expected = Receipt { ticket: 7, outcome: Err(Error::Returned) };
        assert_eq!(receipts.take().await, [expected]);
    });
}

#[test]
fn messages_wait_until_everyone_has_subscribed() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    sim.block_on(async move {
        let bus = Embedded::default();
        let receipts = Receipts::new();
        let publish = bus.publish(vec![parcel(1)], &receipts);
        assert!(clock.timeout(Duration::from_secs(1), publish).await.is_err());
        let mut lane = bus.subscribe(&subscription("a", "t")).unwrap().remove(0);
        let again = bus.subscribe(&subscription("a", "u")).unwrap_err();
        assert_eq!(again, Error::Again { group: "a".into() });
        bus.open();
        let late = bus.subscribe(&subscription("b", "t")).unwrap_err();
        assert_eq!(late, Error::Late { group: "b".into() });
        bus.publish(vec![parcel(2)], &receipts).await;
        let mut arrived = Vec::new();
        assert!(lane.receive(&mut arrived, 9).await);
        assert_eq!(arrived[0].envelope.sequence, 2);
        bus.close();
        assert!(!lane.receive(&mut arrived, 9).await, "a closed bus ends its lanes");
        bus.publish(vec![parcel(3)], &receipts).await;
        arrived.clear();
        let outcomes: Vec<_> = receipts.take().await.into_iter().map(|r| r.outcome).collect();
        assert_eq!(outcomes, [Err(Error::Closed), Err(Error::Abandoned)]);
    });
}

#[test]
fn a_full_lane_makes_the_publisher_wait() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    sim.block_on(async move {
        let bus = Embedded::new(embedded::Options { lane_queue: 2 });
        let mut lane = bus.subscribe(&subscription("a", "t")).unwrap().remove(0);
        bus.open();
        let receipts = Receipts::new();
        {
            let publish = bus.publish((1..=3).map(parcel).collect(), &receipts);
            assert!(clock.timeout(Duration::from_secs(1), publish).await.is_err());
        }
        let dropped = receipts.take().await;
        let expected = Receipt { ticket: 3, outcome: Err(Error::Abandoned) };
        assert_eq!(dropped, [expected], "whoever gives up publishing hears of it");
        let mut arrived = Vec::new();
        assert!(lane.receive(&mut arrived, 9).await);
        assert_eq!(arrived.len(), 2);
    });
}

#[test]
fn names_that_would_blur_keys_are_refused() {
    let bus = Embedded::default();
    for (group, topic) in [("a/b", "t"), ("a", "t/u"), ("", "t"), ("a", "T")] {
        let refused = bus.subscribe(&subscription(group, topic));
        assert!(matches!(refused, Err(Error::Name { .. })), "{group:?} {topic:?}");
    }
    let nothing = Subscription { group: "a".into(), topics: Vec::new(), lanes: 1 };
    assert!(matches!(bus.subscribe(&nothing), Err(Error::Empty { .. })));
}
