//! Many writers, one commit: the queue, the writer, and the feeds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use futures::FutureExt;
use futures::executor::block_on;
use steadfast_fencing::FencingToken;
use steadfast_journal::limits::{
    BATCH_WRITES_MAX, FEED_BATCHES_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, QUEUE_WRITES_MAX,
    WRITE_PARTS_MAX,
};
use steadfast_journal::memory::{self, Decision, Faults, Step};
use steadfast_journal::{
    Append, Claim, Engine, Error, Expected, Fence, Guard, Journal, NewEvent, Position,
    RecordChange, Refusal, StorageError, StoredResponse, StreamId, Write, Writer,
};
use steadfast_time::Timestamp;
use steadfast_time::sim::{SimClock, Simulation};

fn write(key: &str) -> Write {
    let event = NewEvent { kind: "placed".into(), schema: 1, payload: Bytes::from_static(b"{}") };
    let stream = StreamId::new("order", key).unwrap();
    let mut write = Write::at(Timestamp::from_millis(1));
    write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
    write
}

fn journal() -> (Journal, Writer) {
    journal_over(memory::Engine::new())
}

fn journal_over(engine: memory::Engine) -> (Journal, Writer) {
    Journal::new(engine, SimClock::starting_at(Timestamp::default()).clock())
}

/// A commit that has been asked for and waits for the writer.
type Waiting = std::pin::Pin<Box<dyn Future<Output = Result<steadfast_journal::Committed, Error>>>>;

fn ask(journal: &Journal, write: Write) -> Waiting {
    let journal = journal.clone();
    let mut waiting: Waiting = Box::pin(async move { journal.commit(write).await });
    assert!(waiting.as_mut().now_or_never().is_none(), "nothing is answered before a commit");
    waiting
}

fn answer(mut waiting: Waiting) -> Result<steadfast_journal::Committed, Error> {
    waiting.as_mut().now_or_never().expect("an answer")
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_has() {
    let (journal, mut writer) = journal();
    let waiting: Vec<_> = (0..QUEUE_WRITES_MAX).map(|_| ask(&journal, write("a"))).collect();
    let refused = journal.commit(write("b")).now_or_never().unwrap();
    assert!(matches!(refused, Err(Error::Overloaded { queued: QUEUE_WRITES_MAX })));
    assert_eq!(journal.stats().queued, QUEUE_WRITES_MAX);

    assert_eq!(writer.run_once().unwrap(), BATCH_WRITES_MAX);
    let more = ask(&journal, write("b"));
    while writer.run_once().unwrap() > 0 {}
    assert!(waiting.into_iter().chain([more]).all(|waiting| answer(waiting).is_ok()));
    let stats = journal.stats();
    assert_eq!(stats.writes, QUEUE_WRITES_MAX as u64 + 1);
    assert_eq!((stats.largest_batch, stats.queued), (BATCH_WRITES_MAX as u64, 0));
    assert_eq!(stats.batches, (QUEUE_WRITES_MAX as u64 + 1).div_ceil(BATCH_WRITES_MAX as u64));
    assert_eq!(journal.store().head().unwrap().position.0, stats.writes);
}

#[test]
fn what_waits_together_is_committed_together() {
    let commits = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&commits);
    let engine = memory::Engine::new().with_faults(Faults::new(move |moment| {
        counter.fetch_add(u64::from(moment.step == Step::Synced), Ordering::Relaxed);
        Decision::Continue
    }));
    let (journal, mut writer) = Journal::new(engine, Simulation::new(1).clock());
    let mut sim = Simulation::new(1);
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let answered = Rc::new(Cell::new(0));
    for n in 0..100 {
        let (journal, answered) = (journal.clone(), Rc::clone(&answered));
        sim.spawn(async move {
            journal.commit(write(&n.to_string())).await.unwrap();
            answered.set(answered.get() + 1);
        });
    }
    sim.settle();
    assert_eq!((answered.get(), commits.load(Ordering::Relaxed)), (100, 1));
}

#[test]
fn nobody_is_answered_before_the_batch_is_durable() {
    let answered = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&answered);
    let engine = memory::Engine::new().with_faults(Faults::new(move |moment| {
        let committing = matches!(moment.step, Step::Begin | Step::Staged | Step::Synced);
        assert!(!(committing && seen.load(Ordering::SeqCst)), "answered too early");
        Decision::Continue
    }));
    let (journal, writer) = journal_over(engine);
    let writer = writer.spawn("test").unwrap();
    let store_sees_it = block_on(async {
        journal.commit(write("a")).await.unwrap();
        answered.store(true, Ordering::SeqCst);
        journal.store().head().unwrap().position == Position(1)
    });
    assert!(store_sees_it);
    writer.stop().unwrap();
}

#[test]
fn each_writer_gets_its_own_answer() {
    let (journal, mut writer) = journal();
    let guarded = |max| {
        let mut write = write("a");
        write.guards.push(Guard { counter: "zone".to_owned(), delta: 1, bounds: 0..=max });
        write
    };
    let waiting = [1, 1, 2, 2].map(|max| ask(&journal, guarded(max)));
    writer.run_once().unwrap();
    let heads: Vec<_> = waiting
        .into_iter()
        .map(|waiting| match answer(waiting) {
            Ok(committed) => Some(committed.head.0),
            Err(Error::Refused(Refusal::OutOfBounds { .. })) => None,
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(heads, [Some(1), None, Some(2), None]);
}

#[test]
fn a_failing_storage_is_told_to_the_batch_and_closes_the_journal() {
    for (step, durable) in [(Step::Begin, 0), (Step::Staged, 0), (Step::Synced, 512)] {
        let engine = memory::Engine::new().with_faults(Faults::new(move |moment| {
            if moment.step == step { Decision::Crash } else { Decision::Continue }
        }));
        let disk = engine.disk();
        let (journal, mut writer) = journal_over(engine);
        let mut feed = journal.follow(Position::START);
        let mut waiting: Vec<_> =
            (0..BATCH_WRITES_MAX + 3).map(|_| ask(&journal, write("a"))).collect();
        let error = writer.run_once().unwrap_err();
        assert!(matches!(*error, StorageError::Crashed { .. }));
        for late in waiting.split_off(BATCH_WRITES_MAX) {
            assert!(matches!(answer(late), Err(Error::Closed)));
        }
        for unknown in waiting {
            assert!(matches!(answer(unknown), Err(Error::Storage(_))));
        }
        let after = journal.commit(write("a")).now_or_never().unwrap();
        assert!(matches!(after, Err(Error::Closed)));
        assert!(feed.next(9).now_or_never().unwrap().is_err(), "the store is gone, too");
        // "Unknown" means just that: a restart tells.
        let store = memory::Engine::recover(disk).store();
        assert_eq!(store.head().unwrap().position.0, durable, "{step:?}");
    }
}

#[test]
fn a_commit_that_nobody_waits_for_any_more_still_happens() {
    let (journal, mut writer) = journal();
    let never_asked = journal.commit(write("a"));
    drop(never_asked);
    assert_eq!(writer.run_once().unwrap(), 0, "a future does nothing before it is polled");
    drop(ask(&journal, write("b")));
    assert_eq!(writer.run_once().unwrap(), 1);
    assert_eq!(journal.store().head().unwrap().position, Position(1));
}

#[test]
fn closing_serves_what_waits_and_refuses_the_rest() {
    let (journal, mut writer) = journal();
    let waiting = ask(&journal, write("a"));
    journal.close();
    let late = journal.commit(write("b")).now_or_never().unwrap();
    assert!(matches!(late, Err(Error::Closed)));
    assert_eq!(writer.run_once().unwrap(), 1);
    assert!(answer(waiting).is_ok());
}

#[test]
fn a_writer_that_is_dropped_leaves_nobody_waiting() {
    let (journal, writer) = journal();
    let waiting = ask(&journal, write("a"));
    let mut feed = journal.follow(Position::START);
    drop(writer);
    assert!(matches!(answer(waiting), Err(Error::Closed)));
    assert!(matches!(feed.next(9).now_or_never(), Some(Ok(None))));
    assert!(matches!(journal.follow(Position::START).next(9).now_or_never(), Some(Ok(None))));
}

#[test]
fn a_thread_commits_what_was_queued_before_it_stops() {
    let (journal, writer) = journal();
    let waiting: Vec<_> = (0..1_000).map(|n| ask(&journal, write(&n.to_string()))).collect();
    writer.spawn("test").unwrap().stop().unwrap();
    assert!(waiting.into_iter().all(|waiting| answer(waiting).is_ok()));
    assert_eq!(journal.store().head().unwrap().position, Position(1_000));
}

#[test]
fn what_is_too_large_is_refused_before_it_waits() {
    let (journal, _writer) = journal();
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let spoil: [fn(&mut Write, &str); 5] = [
        |write, _| write.appends[0].events[0].payload = vec![0; PAYLOAD_BYTES_MAX + 1].into(),
        |write, _| {
            let event = write.appends[0].events[0].clone();
            write.appends[0].events = vec![event; WRITE_PARTS_MAX + 1];
        },
        |write, long| {
            let guard = Guard { counter: long.to_owned(), delta: 0, bounds: 0..=0 };
            write.guards.push(guard);
        },
        |write, long| {
            let (space, value) = (long.to_owned().into(), None);
            write.records.push(RecordChange { space, key: "k".to_owned(), value });
        },
        |write, long| {
            let body = Bytes::new();
            let response = StoredResponse { status: 200, location: None, version: None, body };
            write.claim = Some(Claim {
                tenant: String::new(),
                key: long.to_owned(),
                fingerprint: [0; 32],
                expires_at: Timestamp::default(),
                response,
            });
        },
    ];
    for spoil in spoil {
        let mut write = write("a");
        spoil(&mut write, &long);
        let refused = journal.commit(write).now_or_never().unwrap();
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    }
    assert_eq!(journal.stats().queued, 0);
}

#[test]
fn expired_rows_go_while_the_writer_has_time() {
    let sim_clock = SimClock::starting_at(Timestamp::default());
    let mut engine = memory::Engine::new();
    let body = Bytes::new();
    let response = StoredResponse { status: 200, location: None, version: None, body };
    let claims = (0..1_000).map(|n| {
        let mut write = Write::at(Timestamp::default());
        write.claim = Some(Claim {
            tenant: "t".to_owned(),
            key: n.to_string(),
            fingerprint: [0; 32],
            expires_at: Timestamp::from_millis(1_000),
            response: response.clone(),
        });
        write
    });
    engine.commit(&claims.collect::<Vec<_>>()).unwrap();
    let disk = engine.disk();
    let (_journal, mut writer) = Journal::new(engine, sim_clock.clock());
    assert_eq!(writer.prune_if_due().unwrap(), 0);
    sim_clock.advance(std::time::Duration::from_secs(2));
    let mut rounds = 0;
    while disk.tally().claims > 0 {
        assert!(writer.prune_if_due().unwrap() < 1_000, "a step is bounded");
        assert_eq!(writer.prune_if_due().unwrap(), 0, "and the next one not due yet");
        sim_clock.advance(std::time::Duration::from_millis(50));
        rounds += 1;
    }
    assert_eq!(rounds, 4);
}

/// Reads everything that is there to be read now.
fn drain(feed: &mut steadfast_journal::Feed, limit: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    while let Some(events) = feed.next(limit).now_or_never() {
        let Some(events) = events.unwrap() else { break };
        assert!((1..=limit.max(1)).contains(&events.len()));
        positions.extend(events.iter().map(|event| event.position.0));
        assert_eq!(feed.position().0, positions[positions.len() - 1]);
    }
    positions
}

fn commit(journal: &Journal, writer: &mut Writer, count: usize) {
    for _ in 0..count {
        let waiting = ask(journal, write("a"));
        writer.run_once().unwrap();
        answer(waiting).unwrap();
    }
}

#[test]
fn a_feed_starts_anywhere_and_goes_on_live() {
    let (journal, mut writer) = journal();
    commit(&journal, &mut writer, 10);
    let mut feeds = [0, 4, 10, 12].map(|after| (after, journal.follow(Position(after))));
    for limit in [3, 0, 7] {
        commit(&journal, &mut writer, 5);
        let head = journal.store().head().unwrap().position.0;
        for (after, feed) in &mut feeds {
            assert_eq!(drain(feed, limit), (*after + 1..=head).collect::<Vec<_>>());
            *after = head;
        }
    }
    drop(writer);
    assert!(
        feeds
            .into_iter()
            .all(|(_, mut feed)| { matches!(feed.next(1).now_or_never(), Some(Ok(None))) })
    );
}

#[test]
fn a_feed_that_lags_misses_nothing() {
    let (journal, mut writer) = journal();
    let mut feed = journal.follow(Position::START);
    let mut last = 0;
    for behind in [1, FEED_BATCHES_MAX - 1, FEED_BATCHES_MAX, FEED_BATCHES_MAX + 1, 1_000, 1] {
        commit(&journal, &mut writer, behind);
        // Stops in the middle of what it has, so that it lags with events in hand.
        let part = feed.next(2).now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(part[0].position.0, last + 1);
        let seen = last + part.len() as u64;
        commit(&journal, &mut writer, behind);
        let head = journal.store().head().unwrap().position.0;
        assert_eq!(drain(&mut feed, 100), (seen + 1..=head).collect::<Vec<_>>(), "{behind}");
        last = head;
    }
}

#[test]
fn whoever_was_answered_finds_the_effect_in_every_feed() {
    let (journal, writer) = journal();
    let mut feed = journal.follow(Position::START);
    let writer = writer.spawn("test").unwrap();
    for n in 1..=200 {
        let head = block_on(journal.commit(write("a"))).unwrap().head;
        assert_eq!(head, Position(n));
        let events = feed.next(10).now_or_never().expect("already there").unwrap().unwrap();
        assert_eq!(events[events.len() - 1].position, head);
    }
    writer.stop().unwrap();
}

#[test]
fn feeds_on_threads_neither_skip_nor_repeat() {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 400;
    let (journal, writer) = journal();
    let writer = writer.spawn("test").unwrap();
    thread::scope(|scope| {
        let followers: Vec<_> = [1, 7, 1_000]
            .map(|limit| {
                let mut feed = journal.follow(Position::START);
                scope.spawn(move || {
                    let mut last = 0;
                    while let Some(events) = block_on(feed.next(limit)).unwrap() {
                        for event in events {
                            assert_eq!(event.position.0, last + 1);
                            last = event.position.0;
                        }
                    }
                    last
                })
            })
            .into_iter()
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let journal = journal.clone();
                scope.spawn(move || {
                    for _ in 0..WRITES {
                        block_on(journal.commit(write(&n.to_string()))).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        writer.stop().unwrap();
        for follower in followers {
            assert_eq!(follower.join().unwrap(), WRITERS * WRITES);
        }
    });
}

/// Determinism before simulation: one seed, run twice, leaves the same bytes.
#[test]
fn a_simulated_run_is_the_same_every_time() {
    let run = |seed| {
        let mut sim = Simulation::new(seed);
        let engine = memory::Engine::new();
        let disk = engine.disk();
        let (journal, mut writer) = Journal::new(engine, sim.clock());
        sim.on_idle(move || writer.run_once().unwrap() > 0);
        let order = Rc::new(RefCell::new(Vec::new()));
        for n in 0..50_u64 {
            let (journal, clock, order) = (journal.clone(), sim.clock(), Rc::clone(&order));
            let mut rng = sim.fork_rng();
            sim.spawn(async move {
                for _ in 0..5 {
                    clock.sleep(std::time::Duration::from_micros(rng.u64(..1_000))).await;
                    let mut write = write(&n.to_string());
                    write.at = clock.now();
                    let head = journal.commit(write).await.unwrap().head;
                    order.borrow_mut().push((n, head));
                }
            });
        }
        sim.run_for(std::time::Duration::from_secs(1));
        (disk.digest(), order.take())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

/// An engine with a defect: it panics with a batch in its hands.
struct Panicking(memory::Engine);

impl steadfast_journal::Engine for Panicking {
    fn commit(
        &mut self,
        batch: &[Write],
    ) -> Result<
        Vec<Result<steadfast_journal::Applied, steadfast_journal::Refusal>>,
        steadfast_journal::StorageError,
    > {
        let durable = self.0.commit(batch);
        assert!(durable.is_err(), "a defect of the engine");
        durable
    }

    fn prune(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> Result<steadfast_journal::Pruned, steadfast_journal::StorageError> {
        self.0.prune(now, limit)
    }

    fn store(&self) -> std::sync::Arc<dyn steadfast_journal::Store> {
        self.0.store()
    }

    fn close(&mut self) -> Result<(), steadfast_journal::StorageError> {
        self.0.close()
    }
}

#[test]
fn a_writer_that_dies_with_a_write_in_its_hands_says_that_nobody_knows() {
    let (journal, writer) =
        Journal::new(Panicking(memory::Engine::new()), steadfast_time::Clock::system());
    let thread = writer.spawn("doomed").unwrap();
    let mut write = Write::at(Timestamp::EPOCH);
    write.records.push(steadfast_journal::RecordChange {
        space: "s".into(),
        key: "k".into(),
        value: Some("v".into()),
    });
    let answer = futures::executor::block_on(journal.commit(write));
    assert!(matches!(answer, Err(Error::Storage(_))), "{answer:?}");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| thread.stop())).unwrap_err();
}

#[test]
fn writes_of_replaced_holders_are_counted() {
    let (journal, mut writer) = journal();
    let fenced = |token| {
        let token = FencingToken::new(token).unwrap();
        Write { fence: Some(Fence { resource: "zone/a".to_owned(), token }), ..write("a") }
    };
    for (token, stale) in [(2, 0), (1, 1), (2, 1), (1, 2), (3, 2)] {
        let waiting = ask(&journal, fenced(token));
        writer.run_once().unwrap();
        let refused = matches!(answer(waiting), Err(Error::Refused(Refusal::Stale { .. })));
        assert_eq!((refused, journal.stats().stale), (token == 1, stale));
    }
    assert_eq!(journal.stats().writes, 5);
}
