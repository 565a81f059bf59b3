//! A poisoned message parks its key and no other; an operator brings it back or gives it up.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast_journal::memory::{Disk, Engine};
use steadfast_journal::{Journal, Message, StreamId, Version, Write};
use steadfast_messaging::consumer::Options;
use steadfast_messaging::dead_letters::{AUDIT, Error, Pace, Scope};
use steadfast_messaging::{
    Consumer, DeadLetters, Delivery, Embedded, Failure, Handled, Handler, Letters, Relay, relay,
};
use steadfast_time::Uuid;
use steadfast_time::sim::{SimClock, Simulation};

#[derive(Clone, Default)]
struct Script {
    inner: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    poison: BTreeSet<(String, u64)>,
    transient: BTreeSet<(String, u64)>,
    unavailable: bool,
    ignore: bool,
    /// What was tried, and when in milliseconds.
    tried: Vec<(String, u64)>,
    effects: Vec<(String, u64)>,
}

struct Scripted {
    script: Script,
    journal: Journal,
}

impl Handler for Scripted {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let message = delivery.message();
        let what = (message.aggregate_id.clone(), message.sequence);
        {
            let mut plan = self.script.inner.lock().unwrap();
            plan.tried.push(what.clone());
            if plan.unavailable {
                return Err(Failure::Unavailable("closed for lunch".into()));
            }
            if plan.poison.contains(&what) {
                return Err(Failure::Poison("cannot be read".into()));
            }
            if plan.transient.contains(&what) {
                return Err(Failure::Transient("does not answer".into()));
            }
            if plan.ignore {
                return Ok(Handled::Ignored);
            }
        }
        let handled = delivery.commit(&self.journal, Write::default()).await?;
        if handled == Handled::Committed {
            self.script.inner.lock().unwrap().effects.push(what);
        }
        Ok(handled)
    }
}

struct Setup {
    sim: Simulation,
    journal: Journal,
    consumer: Consumer<Scripted>,
    script: Script,
    next_id: u128,
}

fn start(disk: &Disk, clock: &SimClock, script: &Script) -> Setup {
    let mut sim = Simulation::with_clock(clock.clone(), 1);
    let clock = sim.clock();
    let (journal, mut writer) = Journal::new(Engine::recover(disk.clone()), clock.clone());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let bus = Arc::new(Embedded::default());
    let handler = Scripted { script: script.clone(), journal: journal.clone() };
    let consumer =
        Consumer::open(journal.clone(), clock.clone(), handler, Options::new("ledger")).unwrap();
    for worker in consumer.subscribe(&*bus, &["t"], 2).unwrap() {
        sim.spawn(async move { worker.run().await.unwrap() });
    }
    bus.open();
    let relay = Relay::new(journal.clone(), bus, clock, relay::Options::default());
    sim.spawn(async move { relay.run(std::future::pending()).await.unwrap() });
    sim.settle();
    let next_id = u128::from(clock_millis(&sim)) << 32;
    Setup { sim, journal, consumer, script: script.clone(), next_id }
}

fn clock_millis(sim: &Simulation) -> u64 {
    u64::try_from(sim.clock().monotonic().since_start().as_millis()).unwrap()
}

impl Setup {
    fn send(&mut self, key: &str, sequence: u64) {
        self.next_id += 1;
        let message = Message {
            id: Uuid::from_u128(self.next_id),
            topic: "t".into(),
            aggregate_type: "thing".into(),
            aggregate_id: key.into(),
            event_type: "happened".into(),
            sequence,
            payload: format!("payload of {key} {sequence}").into(),
        };
        let write = Write { messages: vec![message], ..Write::at(self.sim.clock().now()) };
        let journal = self.journal.clone();
        self.sim.block_on(async move { journal.commit(write).await.unwrap() });
        self.sim.run_for(Duration::from_millis(50));
    }

    fn effects(&self, key: &str) -> Vec<u64> {
        let plan = self.script.inner.lock().unwrap();
        plan.effects.iter().filter(|(k, _)| k == key).map(|(_, n)| *n).collect()
    }

    fn parked(&self) -> Vec<String> {
        let letters = Letters::new("ledger").list(self.journal.store(), None, 100).unwrap();
        letters.into_iter().map(|letter| letter.place).collect()
    }

    fn operate<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        work: impl FnOnce(DeadLetters) -> F,
    ) -> T {
        let letters = self.consumer.dead_letters();
        let output = self.sim.block_on(work(letters));
        self.sim.run_for(Duration::from_millis(50));
        output
    }

    fn replay(&mut self, scope: Scope) -> steadfast_messaging::dead_letters::Replayed {
        self.operate(|letters| async move {
            letters.replay(&scope, Pace::per_second(1_000)).await.unwrap()
        })
    }
}

fn place(key: &str, sequence: u64) -> String {
    format!("t/{key}/{sequence:020}")
}

#[test]
fn a_poisoned_key_is_parked_and_the_others_go_on() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().poison.insert(("a".into(), 2));
    let mut setup = start(&disk, &clock, &script);
    for sequence in 1..=3 {
        setup.send("a", sequence);
        setup.send("a/b", sequence);
    }
    assert_eq!((setup.effects("a"), setup.effects("a/b")), (vec![1], vec![1, 2, 3]));
    assert_eq!(setup.parked(), [place("a", 2), place("a", 3)]);
    assert_eq!(setup.consumer.stats().parked_keys, 1);
    assert_eq!(setup.journal.store().unpublished(0, 10).unwrap(), [], "parked is taken");
    let (letter, payload) = setup.consumer.dead_letters().show(&place("a", 2)).unwrap();
    assert_eq!((letter.reason.as_str(), letter.attempts), ("cannot be read", 1));
    assert_eq!(payload, "payload of a 2");

    // A restart changes nothing: the key is still parked.
    drop(setup);
    let mut setup = start(&disk, &clock, &script);
    assert_eq!(setup.consumer.stats().parked_keys, 1);
    setup.send("a", 4);
    assert_eq!(setup.parked().len(), 3);

    // A replay stops at the one that fails again, and keeps the count.
    let report = setup.replay(Scope::All);
    assert_eq!(report.stopped.unwrap().place, place("a", 2));
    let (letter, _) = setup.consumer.dead_letters().show(&place("a", 2)).unwrap();
    assert_eq!(letter.attempts, 2);

    // Once the handler is mended, the key catches up in order and goes on.
    script.inner.lock().unwrap().poison.clear();
    let report = setup.replay(Scope::Key("t/a".into()));
    assert_eq!((report.handled, report.unparked, report.stopped), (3, 1, None));
    setup.send("a", 5);
    assert_eq!(setup.effects("a"), [1, 2, 3, 4, 5]);
    assert_eq!(setup.parked(), Vec::<String>::new());
    assert_eq!(setup.consumer.stats().parked_keys, 0);
}

#[test]
fn a_discard_lets_the_key_go_on_and_is_recorded() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().poison.insert(("a".into(), 1));
    let mut setup = start(&disk, &clock, &script);
    setup.send("a", 1);
    setup.send("a", 2);
    let error = setup.operate(|letters| async move {
        letters.discard(&place("a", 2), "in the way").await.unwrap_err()
    });
    assert!(matches!(error, Error::NotFirst { first, .. } if first == place("a", 1)));
    let error = setup
        .operate(|letters| async move { letters.discard("t/a/7", "a slip").await.unwrap_err() });
    assert!(matches!(error, Error::Unknown { .. }));
    setup.operate(|letters| async move {
        letters.discard(&place("a", 1), "customer is gone").await.unwrap()
    });
    assert_eq!(setup.replay(Scope::All).handled, 1);
    setup.send("a", 3);
    assert_eq!(setup.effects("a"), [2, 3]);
    let stream = StreamId::new(AUDIT, "ledger").unwrap();
    let events = setup.journal.store().stream(&stream, Version::NONE, 10).unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let text = String::from_utf8(event.payload.to_vec()).unwrap();
    assert!(text.contains("customer is gone") && text.contains("cannot be read"), "{text}");
}

#[test]
fn a_transient_failure_is_tried_a_bounded_number_of_times() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().transient.insert(("a".into(), 1));
    let mut setup = start(&disk, &clock, &script);
    setup.send("a", 1);
    setup.send("b", 1);
    assert_eq!(setup.effects("b"), [1], "others do not wait for the pause");
    setup.sim.run_for(Duration::from_secs(10));
    assert_eq!(setup.parked(), [place("a", 1)]);
    let (letter, _) = setup.consumer.dead_letters().show(&place("a", 1)).unwrap();
    assert_eq!(letter.attempts, 5);
    let failing = letter.last_failure.since(letter.first_failure);
    assert_eq!(failing, Duration::from_millis(100 + 200 + 400 + 800));
}

#[test]
fn what_is_unavailable_is_never_held_against_a_message() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().unavailable = true;
    let mut setup = start(&disk, &clock, &script);
    setup.send("a", 1);
    setup.sim.run_for(Duration::from_secs(3_600));
    assert!(setup.consumer.stats().unavailable > 100);
    assert_eq!(setup.parked(), Vec::<String>::new());
    script.inner.lock().unwrap().unavailable = false;
    setup.sim.run_for(Duration::from_secs(30));
    assert_eq!(setup.effects("a"), [1]);
}

#[test]
fn ignored_messages_are_marked_before_they_are_acknowledged() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().ignore = true;
    let mut setup = start(&disk, &clock, &script);
    for sequence in 1..=20 {
        setup.send("a", sequence);
    }
    let store = setup.journal.store();
    assert_eq!(store.processed_up_to("ledger", "t/a").unwrap(), 20);
    assert_eq!(store.unpublished(0, 10).unwrap(), []);
    assert_eq!(setup.consumer.stats().ignored, 20);
}

#[test]
fn messages_without_numbers_are_parked_and_replayed_in_the_order_of_their_arrival() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    script.inner.lock().unwrap().poison.insert(("a".into(), 0));
    let mut setup = start(&disk, &clock, &script);
    let first = setup.next_id + 1;
    for _ in 0..5 {
        setup.send("a", 0);
    }
    drop(setup);
    let mut setup = start(&disk, &clock, &script);
    let letters = setup.consumer.dead_letters().list(None, 100).unwrap();
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.as_u128() - first).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    script.inner.lock().unwrap().poison.clear();
    let report = setup.replay(Scope::All);
    assert_eq!((report.handled, report.unparked), (5, 1));
    assert_eq!(setup.effects("a").len(), 5);
}

#[test]
fn a_replay_keeps_to_its_pace_and_there_is_one_at_a_time() {
    let (disk, clock, script) =
        (Disk::new(), SimClock::starting_at(Default::default()), Script::default());
    for key in ["a", "b", "c", "d"] {
        script.inner.lock().unwrap().poison.insert((key.into(), 1));
    }
    let mut setup = start(&disk, &clock, &script);
    for key in ["a", "b", "c", "d"] {
        setup.send(key, 1);
    }
    script.inner.lock().unwrap().poison.clear();
    let before = setup.sim.clock().monotonic();
    let (slow, second) = (setup.consumer.dead_letters(), setup.consumer.dead_letters());
    let clock = setup.sim.clock();
    let (report, busy) = setup.sim.block_on(async move {
        let slow = slow.replay(&Scope::All, Pace::per_second(2));
        let second = async {
            clock.sleep(Duration::from_millis(10)).await;
            second.replay(&Scope::All, Pace::per_second(2)).await
        };
        futures::join!(slow, second)
    });
    assert!(matches!(busy, Err(Error::Busy)));
    assert_eq!(report.unwrap().handled, 4);
    let took = setup.sim.clock().monotonic() - before;
    assert!(took >= Duration::from_millis(1_500), "{took:?}");
}
