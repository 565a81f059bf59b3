//! The relay skips nothing and lets nothing overtake, whichever path a row takes.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::channel::oneshot;
use steadfast_fencing::FencingToken;
use steadfast_journal::memory::{Disk, Engine};
use steadfast_journal::{Fence, Journal, Message, Write};
use steadfast_messaging::bus::{Bus, Error, Parcel, Receipts, Subscription};
use steadfast_messaging::relay::{Ended, Handle, Options};
use steadfast_messaging::{Backoff, Relay, bus::embedded};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Uuid};

/// A bus that keeps what it is given until the test answers.
#[derive(Default)]
struct Paper {
    state: Mutex<Sheet>,
}

#[derive(Default)]
struct Sheet {
    /// Keys and numbers, in the order in which they were published.
    published: Vec<(String, u64)>,
    open: Vec<(Parcel, Receipts)>,
    /// Answer at once.
    willing: bool,
}

impl Bus for Paper {
    type Lane = embedded::Lane;

    async fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts) {
        let mut sheet = self.state.lock().unwrap();
        for parcel in parcels {
            let message = &parcel.envelope;
            sheet.published.push((message.aggregate_id.clone(), message.sequence));
            if sheet.willing {
                receipts.file(parcel.ticket, Ok(()));
            } else {
                sheet.open.push((parcel, receipts.clone()));
            }
        }
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<embedded::Lane>, Error> {
        Err(Error::Late { group: subscription.group.clone() })
    }
}

impl Paper {
    fn published(&self) -> Vec<(String, u64)> {
        self.state.lock().unwrap().published.clone()
    }

    fn answer_all(&self) {
        let mut sheet = self.state.lock().unwrap();
        sheet.willing = true;
        for (parcel, receipts) in sheet.open.drain(..) {
            receipts.file(parcel.ticket, Ok(()));
        }
    }
}

struct Setup {
    sim: Simulation,
    disk: Disk,
    journal: Journal,
    bus: Arc<Paper>,
    relay: Handle,
    stop: Option<oneshot::Sender<()>>,
    ended: Arc<Mutex<bool>>,
}

fn options() -> Options {
    Options {
        in_flight: 16,
        mark_rows: 4,
        backoff: Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100) },
        ..Options::default()
    }
}

fn start(disk: &Disk, seed: u64, options: Options) -> Setup {
    let mut sim = Simulation::new(seed);
    let engine = Engine::recover(disk.clone());
    let (journal, mut writer) = Journal::new(engine, sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let bus = Arc::new(Paper::default());
    let relay = Relay::new(journal.clone(), Arc::clone(&bus), sim.clock(), options);
    let (handle, ended) = (relay.handle(), Arc::new(Mutex::new(false)));
    let (stop, stopped) = oneshot::channel();
    let done = Arc::clone(&ended);
    sim.spawn(async move {
        relay.run(stopped.map(drop)).await.unwrap();
        *done.lock().unwrap() = true;
    });
    let (disk, stop) = (disk.clone(), Some(stop));
    Setup { sim, disk, journal, bus, relay: handle, stop, ended }
}

fn message(key: &str, sequence: u64) -> Message {
    Message {
        id: Uuid::from_u128(u128::from(sequence)),
        topic: "t".into(),
        aggregate_type: "thing".into(),
        aggregate_id: key.into(),
        event_type: "happened".into(),
        sequence,
        payload: "{}".into(),
    }
}

async fn commit(journal: &Journal, clock: &Clock, messages: Vec<Message>) {
    let write = Write { messages, ..Write::at(clock.now()) };
    journal.commit(write).await.unwrap();
}

fn numbers(published: &[(String, u64)]) -> Vec<u64> {
    published.iter().map(|(_, number)| *number).collect()
}

#[test]
fn what_the_immediate_path_has_missed_is_read_from_the_outbox() {
    let mut setup = start(&Disk::new(), 1, options());
    let (journal, clock) = (setup.journal.clone(), setup.sim.clock());
    // Far more batches than the immediate path remembers, while the window is full.
    setup.sim.block_on(async move {
        for sequence in 1..=1_000 {
            commit(&journal, &clock, vec![message("k", sequence)]).await;
        }
    });
    assert_eq!(numbers(&setup.bus.published()), (1..=16).collect::<Vec<_>>(), "the window");
    setup.bus.answer_all();
    setup.sim.run_for(Duration::from_secs(5));
    assert_eq!(numbers(&setup.bus.published()), (1..=1_000).collect::<Vec<_>>());
    let stats = setup.relay.stats();
    assert!(stats.lagged > 0 && stats.in_flight_highest <= 16, "{stats:?}");
    assert_eq!(setup.journal.store().unpublished(0, 10).unwrap(), []);
}

#[test]
fn the_immediate_path_needs_no_reads() {
    let mut setup = start(&Disk::new(), 1, options());
    setup.bus.answer_all();
    let (journal, clock) = (setup.journal.clone(), setup.sim.clock());
    setup.sim.block_on(async move {
        for sequence in 1..=500 {
            commit(&journal, &clock, vec![message("k", sequence)]).await;
            clock.sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(numbers(&setup.bus.published()), (1..=500).collect::<Vec<_>>());
    let stats = setup.relay.stats();
    assert_eq!((stats.polled_rows, stats.polls), (0, 1), "only the look at the start");
    setup.sim.run_for(Duration::from_secs(10));
    assert!(setup.relay.stats().polls <= 12, "an idle relay reads once a second");
}

#[test]
fn after_a_restart_everything_unpublished_is_published_again_in_order() {
    let disk = Disk::new();
    let mut setup = start(&disk, 1, options());
    let (journal, clock) = (setup.journal.clone(), setup.sim.clock());
    setup.sim.block_on(async move {
        let all = (1..=10).map(|sequence| message("k", sequence)).collect();
        commit(&journal, &clock, all).await;
    });
    // The bus takes 1, 2 and 4; the machine stops after the marks.
    {
        let sheet = setup.bus.state.lock().unwrap();
        for index in [0, 1, 3] {
            let (parcel, receipts) = &sheet.open[index];
            receipts.file(parcel.ticket, Ok(()));
        }
    }
    setup.sim.run_for(Duration::from_secs(1));
    drop(setup);
    let mut setup = start(&disk, 2, options());
    setup.bus.answer_all();
    setup.sim.run_for(Duration::from_secs(1));
    assert_eq!(numbers(&setup.bus.published()), [3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(setup.journal.store().unpublished(0, 10).unwrap(), []);
}

#[test]
fn a_relay_that_is_stopped_writes_its_last_marks() {
    let mut setup = start(&Disk::new(), 1, options());
    let (journal, clock) = (setup.journal.clone(), setup.sim.clock());
    setup.sim.block_on(async move {
        commit(&journal, &clock, (1..=5).map(|n| message("k", n)).collect()).await;
    });
    setup.stop.take().unwrap().send(()).unwrap();
    setup.sim.run_for(Duration::from_secs(1));
    assert!(!*setup.ended.lock().unwrap(), "what is under way is waited for");
    setup.bus.answer_all();
    setup.sim.run_for(Duration::from_secs(1));
    assert!(*setup.ended.lock().unwrap());
    assert_eq!(setup.journal.store().unpublished(0, 10).unwrap(), []);
}

/// Random commits, answers, refusals and restarts. Whatever the interleaving, nothing is skipped,
/// and of one key no message goes out for the first time before its predecessor has.
#[test]
fn nothing_is_skipped_and_nothing_overtakes() {
    let mut refused = 0;
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let disk = Disk::new();
        let mut next: BTreeMap<&str, u64> = BTreeMap::new();
        let mut accepted: BTreeSet<(String, u64)> = BTreeSet::new();
        for life in 0..3 {
            let mut setup = start(&disk, seed ^ (life << 32), options());
            let mut seen: BTreeMap<String, u64> = BTreeMap::new();
            let mut judged = 0;
            for _ in 0..rng.u64(10..120) {
                let mut messages = Vec::new();
                for _ in 0..rng.u64(0..5) {
                    let key = ["a", "b", "c"][rng.usize(0..3)];
                    let number = next.entry(key).or_default();
                    *number += 1;
                    messages.push(message(key, *number));
                }
                let (journal, clock) = (setup.journal.clone(), setup.sim.clock());
                // Sometimes nobody waits, so that commits pile up before the relay looks.
                let wait = Duration::from_millis(rng.u64(0..8));
                setup.sim.block_on(async move {
                    commit(&journal, &clock, messages).await;
                    clock.sleep(wait).await;
                });
                let mut sheet = setup.bus.state.lock().unwrap();
                for _ in 0..rng.usize(0..8) {
                    if sheet.open.is_empty() {
                        break;
                    }
                    let pick = rng.usize(0..sheet.open.len());
                    let (parcel, receipts) = sheet.open.swap_remove(pick);
                    if rng.f64() < 0.3 {
                        refused += 1;
                        receipts.file(parcel.ticket, Err(Error::Lost));
                    } else {
                        accepted.insert((
                            parcel.envelope.aggregate_id.clone(),
                            parcel.envelope.sequence,
                        ));
                        receipts.file(parcel.ticket, Ok(()));
                    }
                }
                for (key, number) in &sheet.published[judged..] {
                    // What the last life had left comes first; then there are no gaps.
                    let last = seen.entry(key.clone()).or_insert(number - 1);
                    let gap = (*last + 1..*number).find(|n| !accepted.contains(&(key.clone(), *n)));
                    assert_eq!(gap, None, "seed {seed}: {key} {number} overtakes");
                    *last = (*last).max(*number);
                }
                judged = sheet.published.len();
            }
            if life == 2 {
                setup.bus.answer_all();
                setup.sim.run_for(Duration::from_secs(2));
                accepted.extend(setup.bus.published());
                assert_eq!(setup.journal.store().unpublished(0, 1).unwrap(), [], "seed {seed}");
            }
            assert!(setup.relay.stats().in_flight_highest <= 16);
            drop(setup.disk);
        }
        let total: u64 = next.values().sum();
        assert_eq!(accepted.len() as u64, total, "seed {seed}: something was skipped");
    }
    assert!(refused > 1_000, "{refused} refusals");
}

/// Two relays on one journal: the first has published and is not answered yet when the second one
/// takes office. Says how the first one's term ended, and which rows are unpublished after its bus
/// has answered.
fn replaced(fenced: bool) -> (Option<Ended>, usize) {
    let mut sim = Simulation::new(5);
    let (journal, mut writer) = Journal::new(Engine::new(), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let office =
        |token| Fence { resource: "relay".to_owned(), token: FencingToken::new(token).unwrap() };
    let start = |sim: &Simulation, token: Option<u64>| {
        let bus = Arc::new(Paper::default());
        let relay = Relay::new(journal.clone(), Arc::clone(&bus), sim.clock(), options());
        let ended = Arc::new(Mutex::new(None));
        let said = Arc::clone(&ended);
        sim.spawn(async move {
            let ended = match token {
                Some(token) => relay.run_as(office(token), pending(), pending()).await,
                None => relay.run(pending()).await.map(|()| Ended::Stopped),
            };
            *said.lock().unwrap() = Some(ended.unwrap());
        });
        (bus, ended)
    };
    let (first, ended) = start(&sim, fenced.then_some(7));
    let (writing, clock) = (journal.clone(), sim.clock());
    sim.spawn(async move {
        let messages = (1..=8).map(|sequence| message("k", sequence)).collect();
        commit(&writing, &clock, messages).await;
    });
    sim.run_for(Duration::from_secs(1));
    assert_eq!(first.published().len(), 8);

    let (second, _) = start(&sim, fenced.then_some(8));
    sim.run_for(Duration::from_secs(1));
    assert_eq!(second.published(), first.published(), "nothing that is unmarked is lost");
    first.answer_all();
    sim.run_for(Duration::from_secs(1));
    let unmarked = journal.store().unpublished(0, 100).unwrap().len();
    let ended = *ended.lock().unwrap();
    second.answer_all();
    sim.run_for(Duration::from_secs(1));
    assert_eq!(journal.store().unpublished(0, 100).unwrap().len(), 0, "the second one marks");
    (ended, unmarked)
}

#[test]
fn a_relay_that_was_replaced_marks_nothing() {
    assert_eq!(replaced(true), (Some(Ended::Deposed), 8));
    // The broken twin: without a token in its marks, nobody can tell.
    assert_eq!(replaced(false), (None, 0));
}

#[test]
fn a_relay_with_an_old_token_publishes_nothing() {
    let mut sim = Simulation::new(6);
    let (journal, mut writer) = Journal::new(Engine::new(), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let (writing, clock) = (journal.clone(), sim.clock());
    sim.block_on(async move {
        let token = FencingToken::new(9).unwrap();
        let fence = Some(Fence { resource: "relay".to_owned(), token });
        let write = Write { fence, messages: vec![message("k", 1)], ..Write::at(clock.now()) };
        writing.commit(write).await.unwrap();
    });
    let bus = Arc::new(Paper::default());
    let relay = Relay::new(journal, Arc::clone(&bus), sim.clock(), options());
    let office = Fence { resource: "relay".to_owned(), token: FencingToken::new(8).unwrap() };
    let ended =
        sim.block_on(async move { relay.run_as(office, pending(), pending()).await.unwrap() });
    assert_eq!((ended, bus.published().len()), (Ended::Deposed, 0));
}

#[test]
fn a_relay_that_loses_its_lead_marks_what_is_answered_and_goes_on_in_its_next_term() {
    let mut sim = Simulation::new(7);
    let (journal, mut writer) = Journal::new(Engine::new(), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let bus = Arc::new(Paper::default());
    let relay = Relay::new(journal.clone(), Arc::clone(&bus), sim.clock(), options());
    let handle = relay.handle();
    let (lose, lost) = oneshot::channel::<()>();
    let mut terms = vec![lost.map(drop).boxed(), pending().boxed()].into_iter();
    sim.spawn(async move {
        for token in 3.. {
            let Some(lost) = terms.next() else { return };
            let token = FencingToken::new(token).unwrap();
            let office = Fence { resource: "relay".to_owned(), token };
            let ended = relay.run_as(office, lost, pending()).await.unwrap();
            assert_eq!(ended, Ended::Deposed);
        }
    });
    let (writing, clock) = (journal.clone(), sim.clock());
    sim.spawn(async move {
        commit(&writing, &clock, vec![message("a", 1), message("b", 2)]).await;
    });
    sim.run_for(Duration::from_millis(10));
    assert_eq!(numbers(&bus.published()), [1, 2]);
    lose.send(()).unwrap();
    sim.run_for(Duration::from_millis(10));
    bus.answer_all();
    sim.run_for(Duration::from_millis(50));
    assert!(journal.store().unpublished(0, 9).unwrap().is_empty(), "answered in time: marked");
    let (writing, clock) = (journal.clone(), sim.clock());
    sim.spawn(async move { commit(&writing, &clock, vec![message("a", 3)]).await });
    sim.run_for(Duration::from_secs(1));
    assert_eq!(numbers(&bus.published()), [1, 2, 3], "nothing twice");
    assert_eq!((handle.stats().published, handle.stats().in_flight), (3, 0));
    assert!(journal.store().unpublished(0, 9).unwrap().is_empty());
}
