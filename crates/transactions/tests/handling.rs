//! What one handling promises: one write, one call, and nothing lost to a conflict.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use common::{City, Mood, SECOND, id, order};
use steadfast_journal::{
    Append, Expected, Journal, MessageRef, NewEvent, Position, Processed, StreamId, Version, Write,
    memory,
};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Timestamp};
use steadfast_transactions::{
    Attention, Call, Change, EffectError, Error, Event, Finding, Follow, Handled, Id, Input, Json,
    Next, Orchestrator, Outcome, Participant, Signal, Status,
};

fn simulation() -> (Simulation, Journal) {
    let mut sim = Simulation::new(7);
    let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    (sim, journal)
}

fn start() -> Input {
    Input::Start { data: Json::parse("{\"n\":1}").unwrap() }
}

fn done(step: &'static str) -> Input {
    Input::Signal { step: step.into(), signal: Signal::Done(Json::null()) }
}

fn mark(sequence: u64) -> Option<Processed> {
    let message = MessageRef::Sequence { key: "orders/1".into(), sequence };
    Some(Processed { consumer: "saga".into(), message })
}

/// Drives on while something is to be done at once.
async fn drive<P: Participant>(saga: &Orchestrator<P>, id: Id, input: Input) -> Handled {
    let mut handled = saga.handle(id, input, None).await.unwrap();
    while let Next::Do(_) = handled.next {
        handled = saga.handle(id, Input::Continue, None).await.unwrap();
    }
    handled
}

/// A participant whose next step is brought on by messages, as on the platform.
struct ByMessage;

impl Participant for ByMessage {
    async fn call(&self, _: &Call<'_>) -> Outcome {
        Outcome::done()
    }

    async fn compensate(&self, _: &Call<'_>) -> Outcome {
        Outcome::done()
    }

    async fn effects(&self, _: &Change<'_>, _: &mut Write) -> Result<Follow, EffectError> {
        Ok(Follow::Message)
    }
}

#[test]
fn up_to_the_assignment_it_costs_three_records_and_one_timer() {
    let (mut sim, journal) = simulation();
    let saga = Orchestrator::new(order(), ByMessage, journal.clone(), sim.clock());
    sim.block_on(async move {
        let timer = || journal.store().timer(&id(1).timer()).unwrap();
        let handled = saga.handle(id(1), start(), mark(1)).await.unwrap();
        assert_eq!((handled.status, handled.recorded, timer()), (Status::Running, 2, None));
        let handled = saga.handle(id(1), Input::Continue, mark(2)).await.unwrap();
        assert_eq!((handled.status, handled.version), (Status::Waiting, Version(2)));
        let timer_of_wait = timer().unwrap();
        assert_eq!(Next::Wait(Some(timer_of_wait.due)), handled.next);
        assert_eq!(timer_of_wait.payload, "order");
        saga.handle(id(1), done("find"), mark(3)).await.unwrap();
        assert_eq!(journal.store().head().unwrap().position, Position(3));
        assert!(timer().unwrap().due > timer_of_wait.due, "moved to the next wait");
        assert_eq!(journal.store().records("saga", "", None, 10).unwrap(), []);
        // To the end.
        saga.handle(id(1), done("pick-up"), mark(4)).await.unwrap();
        assert_eq!((journal.store().head().unwrap().position, timer()), (Position(4), None));
        let kinds: Vec<_> = journal
            .store()
            .stream(&id(1).stream(), Version(3), 10)
            .unwrap()
            .iter()
            .map(|event| event.kind.clone())
            .collect();
        assert_eq!(kinds, ["completed"], "the signal brought the last call on at once");
    });
}

#[test]
fn a_message_that_comes_twice_has_one_effect() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let saga = Orchestrator::new(order(), city.clone(), journal.clone(), sim.clock());
    sim.block_on(async move {
        for duplicate in [false, true] {
            let handled = saga.handle(id(1), start(), mark(1)).await.unwrap();
            assert_eq!(handled.duplicate, duplicate);
        }
        // The second one found a call to be made and made it; its answer was not thrown away.
        assert_eq!(city.ledger().requests, 2);
        assert_eq!(saga.show(id(1)).unwrap().unwrap().state.status(), Status::Waiting);
        // A late signal is marked as processed without any effect.
        saga.handle(id(1), done("find"), mark(2)).await.unwrap();
        let head = journal.store().head().unwrap();
        let handled = saga.handle(id(1), done("find"), mark(3)).await.unwrap();
        assert_eq!((handled.recorded, handled.duplicate), (0, false));
        assert_eq!(journal.store().head().unwrap(), head);
        assert!(journal.store().processed(&mark(3).unwrap()).unwrap());
    });
}

/// Another process: an orchestrator of its own, with its own memory, over the same journal.
#[test]
fn two_processes_agree_and_no_outcome_is_lost() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let one = Arc::new(Orchestrator::new(order(), city.clone(), journal.clone(), sim.clock()));
    let two = Orchestrator::new(order(), city.clone(), journal.clone(), sim.clock());
    sim.block_on(async move {
        one.handle(id(1), start(), None).await.unwrap();
        // Both have the saga in memory, and one of them goes on without the other.
        two.handle(id(1), Input::Continue, None).await.unwrap();
        let handled = one.handle(id(1), Input::Continue, None).await.unwrap();
        assert_eq!((handled.status, handled.recorded), (Status::Waiting, 0));
        // An old state does not swallow a signal.
        two.handle(id(1), done("find"), None).await.unwrap();
        let handled = one.handle(id(1), done("pick-up"), mark(9)).await.unwrap();
        assert_eq!(handled.status, Status::Completed);
        assert_eq!(city.ledger().effects.len(), 3);
        // Nor does it take one that is over for one that goes on.
        let handled = two.handle(id(1), Input::Cancel { reason: "late".into() }, None).await;
        assert_eq!(handled.unwrap().status, Status::Completed);
    });
}

/// A message that brings a saga on must not be spent on what another process has done already.
#[test]
fn an_old_state_swallows_no_message() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let one = Orchestrator::new(order(), city.clone(), journal.clone(), sim.clock());
    let two = Orchestrator::new(order(), city.clone(), journal, sim.clock());
    let clock = sim.clock();
    sim.block_on(async move {
        for (n, is_due) in [(1, false), (2, true)] {
            city.set_moods(|_| Mood::Away);
            let handled = one.handle(id(n), start(), None).await.unwrap();
            assert_eq!(handled.status, Status::Retrying);
            city.set_moods(|_| Mood::Well);
            two.retry(id(n), "kim").await.unwrap();
            if is_due {
                clock.sleep(SECOND).await;
            }
            // As far as the first one knows, the first step is to be tried again: later, or now.
            let message = mark(u64::try_from(n).unwrap());
            let handled = one.handle(id(n), Input::Continue, message).await.unwrap();
            assert_eq!((handled.status, handled.recorded), (Status::Waiting, 2));
            assert_eq!(city.units(id(n), "authorize"), 1);
        }
    });
}

/// Lets a rival append to a stream of the domain between the decision and the commit.
struct Rival {
    journal: Journal,
    clock: Clock,
    rounds: AtomicUsize,
    calls: AtomicUsize,
}

impl Participant for Rival {
    async fn call(&self, _: &Call<'_>) -> Outcome {
        self.calls.fetch_add(1, SeqCst);
        Outcome::done()
    }

    async fn compensate(&self, _: &Call<'_>) -> Outcome {
        Outcome::done()
    }

    async fn effects(&self, change: &Change<'_>, write: &mut Write) -> Result<Follow, EffectError> {
        let stream = StreamId::of("order", change.saga().0);
        let version = self.journal.store().version(&stream)?;
        let event = NewEvent { kind: "noted".into(), schema: 1, payload: Bytes::from("{}") };
        let append = |expected| {
            let (stream, events) = (stream.clone(), vec![event.clone()]);
            Append { stream, expected, events }
        };
        write.appends.push(append(Expected::Exactly(version)));
        if self.rounds.fetch_sub(1, SeqCst) > 1 {
            let mut theirs = Write::at(self.clock.now());
            theirs.appends.push(append(Expected::Any));
            self.journal.commit(theirs).await?;
        }
        Ok(Follow::Timer)
    }
}

#[test]
fn a_conflict_is_decided_again_without_another_call() {
    let (mut sim, journal) = simulation();
    let rival = |rounds| Rival {
        journal: journal.clone(),
        clock: sim.clock(),
        rounds: AtomicUsize::new(rounds),
        calls: AtomicUsize::new(0),
    };
    let (few, many) = (rival(5), rival(1_000));
    let few = Orchestrator::new(order(), few, journal.clone(), sim.clock());
    let many = Orchestrator::new(order(), many, journal, sim.clock());
    sim.block_on(async move {
        let handled = few.handle(id(1), start(), None).await.unwrap();
        assert_eq!((handled.version, handled.recorded), (Version(1), 2));
        assert_eq!(few.participant().calls.load(SeqCst), 1);
        let error = many.handle(id(2), start(), None).await.unwrap_err();
        assert!(matches!(error, Error::Contended { rounds: 17, .. }), "{error}");
        assert_eq!(many.participant().calls.load(SeqCst), 1);
    });
}

/// A domain that does not let the saga turn back, for it has gone on meanwhile.
struct GoneOn {
    lets_turn: bool,
    undone: AtomicUsize,
}

impl Participant for GoneOn {
    async fn call(&self, _: &Call<'_>) -> Outcome {
        Outcome::done()
    }

    async fn compensate(&self, _: &Call<'_>) -> Outcome {
        self.undone.fetch_add(1, SeqCst);
        Outcome::done()
    }

    async fn effects(&self, change: &Change<'_>, _: &mut Write) -> Result<Follow, EffectError> {
        let turns = change.events().iter().any(|event| matches!(event, Event::TimedOut { .. }));
        if turns && !self.lets_turn {
            return Err("a courier has been found".into());
        }
        Ok(Follow::Timer)
    }
}

#[test]
fn nothing_is_undone_before_the_turn_is_durable() {
    for lets_turn in [false, true] {
        let (mut sim, journal) = simulation();
        let domain = GoneOn { lets_turn, undone: AtomicUsize::new(0) };
        let saga = Orchestrator::new(order(), domain, journal, sim.clock());
        let clock = sim.clock();
        sim.block_on(async move {
            assert_eq!(drive(&saga, id(1), start()).await.status, Status::Waiting);
            clock.sleep(SECOND * 121).await;
            let turned = saga.handle(id(1), Input::Due, None).await;
            let undone = || saga.participant().undone.load(SeqCst);
            assert_eq!(undone(), 0, "undone on a decision that may still be refused");
            if lets_turn {
                assert_eq!(turned.unwrap().status, Status::Compensating);
                let handled = drive(&saga, id(1), Input::Due).await;
                assert_eq!((handled.status, undone()), (Status::Compensated, 3));
            } else {
                assert!(matches!(turned, Err(Error::Effects { .. })), "{turned:?}");
                let handled = saga.handle(id(1), done("find"), None).await.unwrap();
                assert_eq!((handled.status, undone()), (Status::Waiting, 0));
            }
        });
    }
}

#[test]
fn an_answer_that_takes_too_long_is_unknown() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    city.set_moods(|_| Mood::Hangs);
    let saga = Orchestrator::new(order(), city.clone(), journal, sim.clock());
    let clock = sim.clock();
    sim.block_on(async move {
        let before = clock.monotonic();
        let handled = saga.handle(id(1), start(), None).await.unwrap();
        assert_eq!(handled.status, Status::Unknown);
        assert_eq!(clock.monotonic() - before, SECOND * 5);
        // It was done, as asking again shows.
        assert_eq!(city.units(id(1), "reserve"), 1);
        city.set_moods(|_| Mood::Well);
        // A message in between does not make it hurry.
        assert_eq!(saga.handle(id(1), Input::Continue, None).await.unwrap().recorded, 0);
        clock.sleep(SECOND).await;
        let handled = saga.handle(id(1), Input::Due, None).await.unwrap();
        assert_eq!(handled.status, Status::Running);
        assert_eq!(city.units(id(1), "reserve"), 1);
    });
}

#[test]
fn what_needs_somebody_is_listed_and_can_be_helped() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let saga = Orchestrator::new(order(), city.clone(), journal.clone(), sim.clock());
    let clock = sim.clock();
    sim.block_on(async move {
        let list = |attention| saga.list(attention, None, 10).unwrap().sagas;
        // Sold out: the reservation of the first step has to be undone, which does not work.
        city.set_moods(|key| match key {
            key if key.ends_with("/undo") => Mood::Away,
            key if key.ends_with("/authorize") => Mood::Unwilling,
            _ => Mood::Well,
        });
        for n in 1..=3 {
            let handled = drive(&saga, id(n), start()).await;
            assert_eq!(handled.status, Status::Compensating);
        }
        let page = saga.list(Attention::Compensating, None, 2).unwrap();
        assert_eq!(page.sagas.iter().map(|line| line.id).collect::<Vec<_>>(), [id(1), id(2)]);
        let page = saga.list(Attention::Compensating, page.next, 2).unwrap();
        assert_eq!((page.sagas[0].id, page.next), (id(3), None));
        let line = &page.sagas[0];
        assert_eq!((line.step.as_deref(), line.attempts), (Some("reserve"), 1));
        assert_eq!(line.problem.as_deref(), Some("connection refused"));
        assert_eq!(line.fault.as_deref(), Some("sold_out: no more of these"));
        for n in 1..=3 {
            for _ in 0..3 {
                clock.sleep(SECOND * 60).await;
                saga.handle(id(n), Input::Due, None).await.unwrap();
            }
        }
        assert_eq!((list(Attention::Compensating).len(), list(Attention::Stuck).len()), (0, 3));
        assert!(journal.store().timer(&id(1).timer()).unwrap().is_some(), "it still tries");
        // The first is told to try again now; somebody else gave back what the second held; the
        // third is written off.
        city.set_moods(|_| Mood::Well);
        assert_eq!(saga.retry(id(1), "kim").await.unwrap().status, Status::Compensated);
        let resolved = saga.resolve(id(2), "reserve", "kim", "they did it", Finding::NotDone);
        assert_eq!(resolved.await.unwrap().status, Status::Compensated);
        let skipped = saga.skip(id(3), "reserve", "kim", "not worth it").await.unwrap();
        assert_eq!(skipped.status, Status::Compensated);
        assert_eq!(list(Attention::Stuck), []);
        assert_eq!(city.units(id(1), "reserve"), 0);
        for n in 1..=3 {
            assert_eq!(journal.store().timer(&id(n).timer()).unwrap(), None);
        }
        let report = saga.show(id(3)).unwrap().unwrap();
        let by_whom =
            report.history.iter().flat_map(|entry| &entry.events).find_map(|event| match event {
                Event::Skipped { by, .. } => Some(by.as_str()),
                _ => None,
            });
        assert_eq!(by_whom, Some("kim"));
        // And nothing more is possible.
        let error = saga.retry(id(1), "kim").await.unwrap_err().to_string();
        assert!(error.ends_with("is compensated; it cannot be retried now"), "{error}");
    });
}

#[test]
fn slips_are_told_apart_from_what_is_late() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let saga = Orchestrator::new(order(), city, journal, sim.clock());
    sim.block_on(async move {
        let error = saga.handle(id(1), Input::Continue, mark(1)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
        let error = saga.handle(id(1), done("fly"), None).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchStep { .. }));
        let error = saga.handle(id(1), done("capture"), None).await.unwrap_err();
        assert!(matches!(error, Error::NotAWait { .. }));
        assert!(saga.show(id(1)).unwrap().is_none());
    });
}

#[test]
fn a_timer_that_stands_wrong_is_set_right() {
    let (mut sim, journal) = simulation();
    let city = City::new(sim.clock());
    let saga = Orchestrator::new(order(), city, journal.clone(), sim.clock());
    sim.block_on(async move {
        drive(&saga, id(1), start()).await;
        let timer = || journal.store().timer(&id(1).timer()).unwrap();
        let right = timer().unwrap();
        let mut vandal = Write::at(Timestamp::EPOCH);
        let wrong = steadfast_journal::Timer { due: Timestamp::EPOCH, ..right.clone() };
        vandal.timers.push(steadfast_journal::TimerChange::Set(wrong));
        journal.commit(vandal).await.unwrap();
        let handled = saga.handle(id(1), Input::Due, None).await.unwrap();
        assert_eq!((handled.status, handled.recorded), (Status::Waiting, 1));
        assert_eq!(timer(), Some(right));
        assert_eq!(saga.handle(id(1), Input::Due, None).await.unwrap().recorded, 0);
    });
}
