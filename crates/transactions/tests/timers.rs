//! Durable timers: in time, once each, and nobody in the way of the others.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use steadfast_journal::{
    Append, Expected, Journal, NewEvent, StorageError, StreamId, Timer, TimerChange, Write, memory,
};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Timestamp};
use steadfast_transactions::limits::{TIMERS_CONCURRENT, TIMERS_PAUSE, TIMERS_RESCAN};
use steadfast_transactions::timers::{Handler, HandlerError, Timers};

const SECOND: Duration = Duration::from_secs(1);

/// Notes what it was given, and clears it, unless the name says that it does not.
#[derive(Clone)]
struct Notes {
    journal: Journal,
    clock: Clock,
    fired: Arc<Mutex<Vec<(String, Timestamp)>>>,
    /// How many are being handled, and the most there ever were.
    busy: Arc<Mutex<(usize, usize)>>,
}

impl Notes {
    fn new(journal: &Journal, clock: Clock) -> Self {
        let (fired, busy) = Default::default();
        Self { journal: journal.clone(), clock, fired, busy }
    }

    fn times(&self, id: &str) -> Vec<Timestamp> {
        let fired = self.fired.lock().unwrap();
        fired.iter().filter(|(name, _)| name == id).map(|(_, at)| *at).collect()
    }
}

impl Handler for Notes {
    async fn fire(&self, timer: &Timer) -> Result<(), HandlerError> {
        self.fired.lock().unwrap().push((timer.id.clone(), self.clock.now()));
        {
            let mut busy = self.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        if timer.id.starts_with("slow") {
            self.clock.sleep(SECOND).await;
        }
        self.busy.lock().unwrap().0 -= 1;
        match timer.id.as_str() {
            id if id.starts_with("broken") => Err("no".into()),
            id if id.starts_with("lazy") => Ok(()),
            id => {
                let change = TimerChange::Clear { id: id.to_owned() };
                self.journal.commit(write(self.clock.now(), vec![change])).await?;
                Ok(())
            }
        }
    }
}

/// As with a saga, a timer changes together with an event.
fn write(at: Timestamp, timers: Vec<TimerChange>) -> Write {
    let event = NewEvent { kind: "set".into(), schema: 1, payload: Bytes::from_static(b"{}") };
    let stream = StreamId::new("test", "timers").unwrap();
    let mut write = Write::at(at);
    write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
    write.timers = timers;
    write
}

fn set(id: impl Into<String>, due: Timestamp) -> TimerChange {
    TimerChange::Set(Timer { id: id.into(), due, payload: Bytes::new() })
}

struct Bench {
    sim: Simulation,
    journal: Journal,
    notes: Notes,
    start: Timestamp,
    ended: Rc<RefCell<Option<Result<(), StorageError>>>>,
}

fn bench() -> Bench {
    let mut sim = Simulation::new(7);
    let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let notes = Notes::new(&journal, sim.clock());
    let timers = Timers::new(journal.clone(), sim.clock());
    let ended = Rc::new(RefCell::new(None));
    let (handler, slot) = (notes.clone(), Rc::clone(&ended));
    sim.spawn(async move { *slot.borrow_mut() = Some(timers.run(handler).await) });
    let start = sim.clock().now();
    Bench { sim, journal, notes, start, ended }
}

impl Bench {
    fn commit(&mut self, timers: Vec<TimerChange>) {
        let (journal, now) = (self.journal.clone(), self.sim.clock().now());
        self.sim.block_on(async move { journal.commit(write(now, timers)).await }).unwrap();
    }
}

#[test]
fn timers_fire_when_they_are_due_and_once() {
    let mut bench = bench();
    let due = [5, 90, 1, 3_600].map(|seconds| bench.start + SECOND * seconds);
    let changes = due.iter().map(|&due| set(format!("t{due}"), due)).collect();
    bench.commit(changes);
    bench.sim.run_for(SECOND * 4_000);
    for due in due {
        assert_eq!(bench.notes.times(&format!("t{due}")), [due]);
    }
    assert!(bench.ended.borrow().is_none());
}

#[test]
fn a_timer_that_is_due_at_once_fires_after_a_short_pause() {
    let mut bench = bench();
    bench.sim.run_for(SECOND * 10 + TIMERS_PAUSE * 3);
    let now = bench.sim.clock().now();
    bench.commit(vec![set("now", now)]);
    bench.sim.run_for(SECOND);
    let late = bench.notes.times("now")[0].since(now);
    assert!(late <= TIMERS_PAUSE, "{late:?}");
}

#[test]
fn one_that_is_moved_or_cleared_does_not_fire_at_its_old_time() {
    let mut bench = bench();
    let (start, later) = (bench.start, bench.start + SECOND * 60);
    bench.commit(vec![set("moved", start + SECOND * 5), set("cleared", start + SECOND * 5)]);
    bench.sim.run_for(SECOND);
    bench.commit(vec![set("moved", later), TimerChange::Clear { id: "cleared".into() }]);
    bench.sim.run_for(SECOND * 100);
    assert_eq!((bench.notes.times("moved"), bench.notes.times("cleared")), (vec![later], vec![]));
}

#[test]
fn the_wall_clock_may_jump() {
    let mut bench = bench();
    let due = bench.start + SECOND * 3_600;
    bench.commit(vec![set("a", due)]);
    bench.sim.run_for(SECOND * 10);
    bench.sim.sim_clock().jump_wall(3_600_000_000);
    bench.sim.run_for(TIMERS_RESCAN);
    assert_eq!(bench.notes.times("a").len(), 1);
}

#[test]
fn a_failing_timer_rests_longer_each_time_and_holds_nobody_up() {
    let mut bench = bench();
    let start = bench.start;
    let broken = (0..500).map(|n| set(format!("broken{n}"), start)).collect();
    bench.commit(broken);
    bench.commit(vec![set("lazy", start), set("well", start + SECOND * 30)]);
    bench.sim.run_for(SECOND * 200);
    let well = bench.notes.times("well");
    assert_eq!(well.len(), 1);
    assert!(well[0].since(start + SECOND * 30) <= TIMERS_PAUSE);
    for id in ["broken0", "broken499", "lazy"] {
        let times = bench.notes.times(id);
        let pauses: Vec<u64> =
            times.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
        // 0.1, 0.2, 0.4, 0.8, then seconds: 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30, 30
        assert!(pauses.is_sorted(), "{id}: {pauses:?}");
        assert!((11..=15).contains(&times.len()), "{id}: {pauses:?}");
    }
}

#[test]
fn so_many_failures_are_one_failure() {
    let mut bench = bench();
    let start = bench.start;
    let broken = (0..3_000).map(|n| set(format!("broken{n:04}"), start)).collect();
    bench.commit(broken);
    // Writes go on meanwhile, which must not make it scan and fail faster.
    for _ in 0..1_000 {
        bench.sim.run_for(TIMERS_PAUSE);
        bench.commit(vec![]);
    }
    let fired = bench.notes.fired.lock().unwrap().len();
    assert!((3_000..30_000).contains(&fired), "{fired} in ten seconds");
}

#[test]
fn deliveries_are_bounded_and_all_are_made() {
    let mut bench = bench();
    let start = bench.start;
    let many = 1_000;
    bench.commit((0..many).map(|n| set(format!("slow{n}"), start)).collect());
    bench.sim.run_for(SECOND * 30);
    assert_eq!(bench.notes.busy.lock().unwrap().1, TIMERS_CONCURRENT);
    let fired = bench.notes.fired.lock().unwrap();
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, _) in fired.iter() {
        *count.entry(id).or_default() += 1;
    }
    assert_eq!((count.len(), fired.len()), (many, many), "each of them once");
}

#[test]
fn at_rest_it_looks_once_in_a_while_only() {
    let mut bench = bench();
    bench.commit(vec![set("far", bench.start + SECOND * 1_000_000)]);
    let end = bench.sim.clock().monotonic() + SECOND * 100;
    let mut steps = 0;
    while bench.sim.step(end) {
        steps += 1;
    }
    assert!(steps <= 110, "{steps} wake-ups in 100 s");
}
