//! Views follow the events: nothing twice, nothing skipped, nothing half.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use steadfast_journal::limits::PROJECTION_CLEAR_RECORDS;
use steadfast_journal::memory::{self, Disk, Faults, Protections};
use steadfast_journal::projection::{
    ApplyError, Changes, Condition, Error, Options, Projection, Runner, View,
};
use steadfast_journal::{
    Append, Claim, Event, Expected, Journal, NewEvent, Position, Refusal, StoredResponse, StreamId,
    Write,
};
use steadfast_time::Timestamp;
use steadfast_time::sim::Simulation;

const SECOND: Duration = Duration::from_secs(1);

/// Counts events per stream and in all. Counting twice or not at all shows.
#[derive(Clone, Copy)]
struct Counts {
    version: u32,
    /// The event at this position cannot be applied.
    stumbles_at: u64,
}

const COUNTS: Counts = Counts { version: 1, stumbles_at: 0 };

impl Projection for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&self, changes: &mut Changes<'_>, event: &Event) -> Result<(), ApplyError> {
        for key in ["total".to_owned(), event.stream.to_string()] {
            let count = changes.get_json::<u64>(&key)?.unwrap_or_default();
            changes.put_json(key, &(count + u64::from(self.version)))?;
            // After a part of its changes, so that a part could remain.
            if event.position.0 == self.stumbles_at {
                return Err("stumbled".into());
            }
        }
        if event.kind == "closed" {
            changes.delete(event.stream.to_string())?;
        }
        Ok(())
    }
}

fn write(number: u64) -> Write {
    let kind = if number % 10 == 9 { "closed" } else { "placed" };
    let event = NewEvent { kind: kind.into(), schema: 1, payload: Bytes::from_static(b"{}") };
    let stream = StreamId::new("order", &(number % 7).to_string()).unwrap();
    let mut write = Write::at(Timestamp::from_millis(1));
    write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
    write
}

/// One boot of a machine with a journal.
struct World {
    sim: Simulation,
    journal: Journal,
    crashed: Rc<Cell<bool>>,
}

impl World {
    fn boot(disk: &Disk, faults: Faults) -> Self {
        Self::over(memory::Engine::recover(disk.clone()).with_faults(faults))
    }

    fn over(engine: memory::Engine) -> Self {
        let mut sim = Simulation::new(1);
        let (journal, mut writer) = Journal::new(engine, sim.clock());
        let crashed = Rc::new(Cell::new(false));
        let crash = Rc::clone(&crashed);
        sim.on_idle(move || match writer.run_once() {
            Ok(count) => count > 0,
            Err(_) => !crash.replace(true),
        });
        Self { sim, journal, crashed }
    }

    fn new() -> Self {
        Self::boot(&Disk::new(), Faults::none())
    }

    fn runner(&self, projection: impl Projection, options: Options) -> (Rc<Ended>, View) {
        let (runner, view) =
            Runner::new(self.journal.clone(), self.sim.clock(), projection, options).unwrap();
        let ended = Rc::new(Ended::default());
        let slot = Rc::clone(&ended);
        self.sim.spawn(async move {
            let result = runner.run().await;
            slot.0.replace(Some(result));
        });
        (ended, view)
    }

    fn run(&self, projection: impl Projection) -> View {
        self.runner(projection, Options::default()).1
    }

    fn commit(&mut self, numbers: impl IntoIterator<Item = u64>) -> Position {
        let writes: Vec<Write> = numbers.into_iter().map(write).collect();
        let journal = self.journal.clone();
        self.sim.block_on(async move {
            let commits = writes.into_iter().map(|write| journal.commit(write));
            let answers = futures::future::try_join_all(commits).await.unwrap();
            answers.iter().map(|committed| committed.head).max().unwrap()
        })
    }

    fn wait<T: 'static>(&mut self, work: impl Future<Output = T> + 'static) -> T {
        self.sim.block_on(work)
    }

    fn catch_up(&mut self, view: &View, position: Position) -> Result<(), Error> {
        let view = view.clone();
        self.wait(async move { view.catch_up_to(position, SECOND).await })
    }
}

#[derive(Default)]
struct Ended(RefCell<Option<Result<(), Arc<Error>>>>);

fn contents(view: &View) -> Vec<(String, u64)> {
    let rows = view.list("", None, 1_000).unwrap();
    rows.into_iter().map(|(key, value)| (key, serde_json::from_slice(&value).unwrap())).collect()
}

/// What the view must hold after the events of these numbers.
fn expected(numbers: impl IntoIterator<Item = u64>, weight: u64) -> Vec<(String, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for number in numbers {
        let stream = format!("order/{}", number % 7);
        *counts.entry("total".to_owned()).or_default() += weight;
        *counts.entry(stream.clone()).or_default() += weight;
        if number % 10 == 9 {
            counts.remove(&stream);
        }
    }
    counts.into_iter().collect()
}

#[test]
fn what_was_written_can_be_read_after_catching_up() {
    let mut world = World::new();
    world.commit(0..100);
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(100)).unwrap();
    assert_eq!(contents(&view), expected(0..100, 1));
    for number in 100..130 {
        let position = world.commit([number]);
        world.catch_up(&view, position).unwrap();
        assert_eq!(contents(&view), expected(0..=number, 1));
    }
    assert_eq!(view.get_json::<u64>("total").unwrap(), Some(130));
    assert!(matches!(view.get_json::<bool>("total"), Err(Error::Shape { .. })));
    assert_eq!(view.get("order/99").unwrap(), None);
    assert_eq!(view.list_reverse("t", None, 1).unwrap().len(), 1);
    assert_eq!(view.progress().live, Some(Position(130)));
}

#[test]
fn a_waiting_reader_ends_the_wait_for_more_events() {
    let mut world = World::new();
    let options = Options { batch_delay: SECOND * 3_600, ..Options::default() };
    let (_, view) = world.runner(COUNTS, options);
    world.sim.settle();
    let position = world.commit([1]);
    world.sim.run_for(SECOND);
    assert_eq!(view.progress().live, Some(Position::START), "nobody waits, so neither is it done");
    let before = world.sim.clock().monotonic();
    world.catch_up(&view, position).unwrap();
    assert_eq!(world.sim.clock().monotonic(), before);
}

#[test]
fn many_events_take_few_commits() {
    let mut world = World::new();
    world.commit(0..4_000);
    let before = world.journal.stats().writes;
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(4_000)).unwrap();
    // 4,000 events in batches of 500, the start, and the switch to the first view.
    let commits = world.journal.stats().writes - before;
    assert!((8..=12).contains(&commits), "{commits}");
    // A trickle is gathered for the batch's delay.
    let before = world.journal.stats().writes;
    let (journal, clock) = (world.journal.clone(), world.sim.clock());
    world.sim.spawn(async move {
        for number in 0..100 {
            journal.commit(write(number)).await.unwrap();
            clock.sleep(Duration::from_micros(100)).await;
        }
    });
    world.sim.run_for(SECOND);
    let commits = world.journal.stats().writes - before - 100;
    assert!((2..=4).contains(&commits), "10 ms of events at 5 ms each: {commits}");
    assert_eq!(view.progress().live, Some(Position(4_100)));
}

#[test]
fn waiting_is_bounded_and_ends_with_the_runner() {
    let mut world = World::new();
    let (runner, view) =
        Runner::new(world.journal.clone(), world.sim.clock(), COUNTS, Options::default()).unwrap();
    assert!(matches!(view.get("total"), Err(Error::Building { .. })));
    assert!(matches!(view.progress().condition, Condition::Starting));
    let behind = world.catch_up(&view, Position(7)).unwrap_err();
    assert!(matches!(behind, Error::Behind { wanted: Position(7), position: Position(0), .. }));
    drop(runner);
    assert!(matches!(world.catch_up(&view, Position(7)), Err(Error::Stopped { .. })));
    let asks = view.clone();
    assert!(matches!(world.wait(async move { asks.rebuild().await }), Err(Error::Stopped { .. })));
}

#[test]
fn closing_the_journal_ends_the_runner_well() {
    let mut world = World::new();
    let (ended, view) = world.runner(COUNTS, Options::default());
    let position = world.commit([1]);
    world.catch_up(&view, position).unwrap();
    // The writer ends with its hook.
    world.journal.close();
    let World { sim, journal, .. } = world;
    let mut rest = Simulation::with_clock(sim.sim_clock(), 2);
    drop(sim);
    rest.settle();
    assert!(matches!(view.progress().condition, Condition::Stopped));
    assert!(ended.0.borrow().is_none(), "dropped with the simulation");
    let (runner, view) = Runner::new(journal, rest.clock(), COUNTS, Options::default()).unwrap();
    rest.block_on(async move { runner.run().await }).unwrap();
    assert!(matches!(view.progress().condition, Condition::Stopped));
}

#[test]
fn an_event_that_cannot_be_applied_stops_the_runner_and_is_named() {
    let disk = Disk::new();
    let mut world = World::boot(&disk, Faults::none());
    world.commit(0..40);
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(40)).unwrap();
    drop(world);

    let mut world = World::boot(&disk, Faults::none());
    let (ended, view) = world.runner(Counts { stumbles_at: 64, ..COUNTS }, Options::default());
    world.commit(40..80);
    let stopped = world.catch_up(&view, Position(80)).unwrap_err();
    assert!(matches!(stopped, Error::Stopped { .. }), "{stopped}");
    let error = ended.0.borrow().clone().unwrap().unwrap_err();
    assert!(matches!(*error, Error::Apply { position: Position(64), .. }), "{error}");
    let message = error.to_string();
    for part in ["counts", "event 64", "\"placed\"", "order/0", "version 10", "stumbled"] {
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
    let Condition::Failed(reason) = view.progress().condition else { panic!("not failed") };
    assert_eq!(reason.to_string(), message);
    // What came before is kept, of the event itself nothing.
    assert_eq!(view.progress().live, Some(Position(63)));
    assert_eq!(contents(&view), expected(0..63, 1));
    drop(world);

    // Corrected, it goes on with that very event.
    let mut world = World::boot(&disk, Faults::none());
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(80)).unwrap();
    assert_eq!(contents(&view), expected(0..80, 1));
}

#[test]
fn readers_see_the_old_view_until_the_new_one_is_whole() {
    let mut world = World::new();
    world.commit(0..3_000);
    let options = Options { batch_events: 50, ..Options::default() };
    let (_, view) = world.runner(COUNTS, options);
    world.catch_up(&view, Position(3_000)).unwrap();

    // A reader looks after every single commit, while events go on coming.
    let (reader, last, seen) = (view.clone(), Rc::new(Cell::new(0)), Rc::new(Cell::new((0, 0))));
    let (watched, looks) = (Rc::clone(&last), Rc::clone(&seen));
    world.sim.on_idle(move || {
        let total = reader.get_json::<u64>("total").unwrap().unwrap();
        assert!(total >= watched.get(), "the view went back from {} to {total}", watched.get());
        let building = u64::from(reader.progress().building.is_some());
        looks.set((looks.get().0 + building, looks.get().1 + 1));
        watched.set(total);
        false
    });
    let rebuilt = view.clone();
    let done = Rc::new(Cell::new(false));
    let flag = Rc::clone(&done);
    world.sim.spawn(async move {
        rebuilt.rebuild().await.unwrap();
        flag.set(true);
    });
    for number in 3_000..3_020 {
        let position = world.commit([number]);
        world.catch_up(&view, position).unwrap();
        assert_eq!(contents(&view), expected(0..=number, 1));
    }
    world.sim.settle();
    assert!(done.get());
    assert!(seen.get().0 > 50, "looked {:?} times", seen.get());
    assert_eq!(view.progress().building, None);
    assert_eq!(contents(&view), expected(0..3_020, 1));
}

#[test]
fn an_old_view_is_cleared_away_bit_by_bit() {
    let count = PROJECTION_CLEAR_RECORDS as u64 * 2 + 300;
    let disk = Disk::new();
    let mut world = World::boot(&disk, Faults::none());
    let mut wide = Write::at(Timestamp::default());
    for number in 0..count {
        let mut one = write(0).appends.remove(0);
        one.stream = StreamId::new("order", &format!("wide-{number}")).unwrap();
        wide.appends.push(one);
    }
    let journal = world.journal.clone();
    let position = world.wait(async move { journal.commit(wide).await.unwrap().head });
    let view = world.run(COUNTS);
    world.catch_up(&view, position).unwrap();
    let records = disk.tally().records;
    assert_eq!(records as u64, count + 2, "one per stream, the total, and the control record");
    for _ in 0..3 {
        let again = view.clone();
        world.wait(async move { again.rebuild().await.unwrap() });
        // Without waiting for the clearing to be done.
        assert_eq!(view.list("order/", None, 1).unwrap().len(), 1);
    }
    world.sim.settle();
    assert_eq!(disk.tally().records, records);
    assert_eq!(disk.tally().counters, 2, "the revision and one checkpoint");
}

#[test]
fn a_new_version_is_built_beside_the_old_one() {
    let disk = Disk::new();
    let mut world = World::boot(&disk, Faults::none());
    world.commit(0..100);
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(100)).unwrap();
    drop(world);

    let newer = Counts { version: 2, ..COUNTS };
    let mut world = World::boot(&disk, Faults::none());
    world.commit(100..110);
    let (runner, view) =
        Runner::new(world.journal.clone(), world.sim.clock(), newer, Options::default()).unwrap();
    // Records of the old shape are not shown to readers of the new one.
    assert!(matches!(view.get("total"), Err(Error::Building { .. })));
    world.sim.spawn(async move { runner.run().await.unwrap() });
    world.catch_up(&view, Position(110)).unwrap();
    assert_eq!(contents(&view), expected(0..110, 2));
    world.sim.settle();
    let records = disk.tally().records;
    assert_eq!(records, contents(&view).len() + 1, "the old view is gone");
    drop(world);

    // Back to the old version, it is built again.
    let mut world = World::boot(&disk, Faults::none());
    let view = world.run(COUNTS);
    world.catch_up(&view, Position(110)).unwrap();
    assert_eq!(contents(&view), expected(0..110, 1));
}

/// Two runners at once, and how each has ended, if it has.
fn two_runners(engine: memory::Engine) -> (Vec<Arc<Error>>, Option<u64>) {
    let mut world = World::over(engine);
    let (first, view) = world.runner(COUNTS, Options::default());
    let (second, _) = world.runner(COUNTS, Options::default());
    for number in 0..50 {
        world.commit([number]);
        world.sim.run_for(SECOND);
    }
    let ended = [first, second].map(|ended| ended.0.borrow().clone());
    let errors = ended.into_iter().flatten().filter_map(Result::err).collect();
    (errors, view.get_json("total").unwrap())
}

#[test]
fn two_runners_cannot_both_apply_an_event() {
    let (errors, total) = two_runners(memory::Engine::new());
    assert_eq!(errors.len(), 1, "one of the two goes on");
    assert!(matches!(*errors[0], Error::Superseded { .. }), "{}", errors[0]);
    assert_eq!(total, Some(50));
}

/// It is the guard on the checkpoint that does it: without guards both go on, and the view is
/// wrong.
#[test]
fn without_guards_two_runners_spoil_the_view() {
    let none = Protections { guards: false, ..Protections::default() };
    let (errors, total) = two_runners(memory::Engine::new().with_protections(none));
    assert!(errors.is_empty());
    assert_ne!(total, Some(50));
}

#[test]
fn a_runner_that_is_dropped_in_the_middle_of_a_commit_is_replaced() {
    let mut world = World::new();
    let position = world.commit(0..10);
    let (runner, _) =
        Runner::new(world.journal.clone(), world.sim.clock(), COUNTS, Options::default()).unwrap();
    let mut run = Box::pin(runner.run());
    // Its first commit is on its way when it goes.
    assert!(run.as_mut().now_or_never().is_none());
    world.sim.settle();
    assert!(run.as_mut().now_or_never().is_none());
    drop(run);
    let view = world.run(COUNTS);
    world.catch_up(&view, position).unwrap();
    assert_eq!(contents(&view), expected(0..10, 1));
}

#[test]
fn names_are_checked() {
    struct Named(&'static str);

    impl Projection for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn version(&self) -> u32 {
            1
        }

        fn apply(&self, _: &mut Changes<'_>, _: &Event) -> Result<(), ApplyError> {
            Ok(())
        }
    }

    let world = World::new();
    for (name, fits) in [("orders-1", true), ("", false), ("a/b", false), ("Orders", false)] {
        let journal = world.journal.clone();
        let made = Runner::new(journal, world.sim.clock(), Named(name), Options::default());
        assert_eq!(made.is_ok(), fits, "{name:?}");
    }
}

/// The same work on one boot: events, a rebuilding, more events. Every event has a key, so that
/// the boot after a crash does only what is left.
fn work(disk: &Disk, faults: Faults) -> Option<Vec<(String, u64)>> {
    let mut world = World::boot(disk, faults);
    let options = Options { batch_events: 4, ..Options::default() };
    let (_, view) = world.runner(COUNTS, options);
    let (journal, reader) = (world.journal.clone(), view.clone());
    let done = Rc::new(Cell::new(false));
    let flag = Rc::clone(&done);
    world.sim.spawn(async move {
        for number in 0..20_u64 {
            let mut write = write(number);
            write.claim = Some(Claim {
                tenant: "t".to_owned(),
                key: number.to_string(),
                fingerprint: [0; 32],
                expires_at: Timestamp::from_millis(i64::MAX / 1_000),
                response: StoredResponse {
                    status: 200,
                    location: None,
                    version: None,
                    body: Bytes::new(),
                },
            });
            match journal.commit(write).await {
                Ok(_) => {}
                Err(error) if matches!(error.refusal(), Some(Refusal::Duplicate(_))) => {}
                Err(_) => return,
            }
            if number == 10 && reader.rebuild().await.is_err() {
                return;
            }
        }
        let caught_up = reader.catch_up_to(Position(20), SECOND).await;
        flag.set(caught_up.is_ok());
    });
    world.sim.run_for(SECOND * 10);
    assert_ne!(done.get(), world.crashed.get(), "either it crashed or it is done");
    done.get().then(|| contents(&view))
}

#[test]
fn a_crash_at_any_step_changes_nothing_in_the_end() {
    let undisturbed = Disk::new();
    let expected_view = work(&undisturbed, Faults::none()).expect("no crash");
    assert_eq!(expected_view, expected(0..20, 1));
    let mut step = 0;
    loop {
        let disk = Disk::new();
        if work(&disk, Faults::at(step)).is_some() {
            break;
        }
        // A second crash soon after the first, and then quiet.
        let view = work(&disk, Faults::at(step % 5)).or_else(|| work(&disk, Faults::none()));
        assert_eq!(view.as_ref(), Some(&expected_view), "crash at step {step}");
        let tally = disk.tally();
        let records = undisturbed.tally().records;
        assert_eq!((tally.events, tally.records), (20, records), "crash at step {step}");
        step += 1;
    }
    assert!(step > 60, "only {step} steps");
}

#[test]
fn a_run_can_be_moved_to_another_thread() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let world = World::new();
    let (runner, view) =
        Runner::new(world.journal.clone(), world.sim.clock(), COUNTS, Options::default()).unwrap();
    drop(sendable(view.catch_up_to(Position(1), SECOND)));
    drop(sendable(view.rebuild()));
    drop(sendable(runner.run()));
}
