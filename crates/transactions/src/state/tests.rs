//! One test per transition.

use std::time::Duration;

use steadfast_journal::{Hash, Position, Recorded, Version};
use steadfast_time::Uuid;

use super::*;
use crate::event::{self, Event};
use crate::{Finding, Input, Operator, Outcome, Retry, Signal};

pub(super) const ID: Id = Id(Uuid::from_u128(0x0199_c1a2_0000_7000_8000_0000_0000_0001));
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn order() -> Arc<Definition> {
    let retry = Retry { base: SECOND, cap: SECOND * 8, attempts: 3 };
    let steps = vec![
        Step::call("reserve").compensated().retry(retry),
        Step::call("authorize").compensated().retry(retry),
        Step::wait("find").timeout(SECOND * 60).compensated().retry(retry),
        Step::wait("pick-up").timeout(SECOND * 600).pivot(),
        Step::call("capture").retry(retry),
    ];
    Arc::new(Definition::new("order", steps).unwrap())
}

/// A saga under test, with all that has happened to it.
#[derive(Clone)]
pub(super) struct Saga {
    pub(super) state: State,
    pub(super) now: Timestamp,
    pub(super) records: Vec<Vec<Event>>,
}

impl Saga {
    pub(super) fn new() -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let (state, events) = State::start(&order(), ID, now, Json::parse("{\"n\":1}").unwrap());
        Self { state, now, records: vec![events] }
    }

    /// One that has got past the first `count` steps.
    pub(super) fn past(count: usize) -> Self {
        let mut saga = Self::new();
        for step in ["reserve", "authorize", "find", "pick-up"].into_iter().take(count) {
            if matches!(saga.state.step().unwrap().kind(), Kind::Call { .. }) {
                saga.answer(Outcome::done());
            } else {
                saga.signal(step);
            }
        }
        saga
    }

    pub(super) fn record(&mut self, events: Vec<Event>) -> Vec<&'static str> {
        let kinds = events.iter().map(Event::kind).collect();
        if !events.is_empty() {
            self.records.push(events);
            assert_eq!(self.replayed(), self.state, "history and state disagree");
        }
        kinds
    }

    pub(super) fn take(&mut self, input: Input) -> Vec<&'static str> {
        let events = self.state.take(self.now, &input);
        self.record(events)
    }

    pub(super) fn signal(&mut self, step: &'static str) -> Vec<&'static str> {
        self.take(Input::Signal { step: step.into(), signal: Signal::Done(Json::null()) })
    }

    pub(super) fn refuse(&mut self, step: &'static str) -> Vec<&'static str> {
        let signal = Signal::Refused { code: "no".into(), reason: "nobody".into() };
        self.take(Input::Signal { step: step.into(), signal })
    }

    pub(super) fn cancel(&mut self) -> Vec<&'static str> {
        self.take(Input::Cancel { reason: "changed my mind".into() })
    }

    pub(super) fn due_in(&mut self, length: Duration) -> Vec<&'static str> {
        self.now = self.now + length;
        self.take(Input::Due)
    }

    pub(super) fn resolve(&mut self, step: &'static str, finding: Finding) -> Vec<&'static str> {
        let (by, reason) = ("kim".into(), "called them".into());
        self.take(Input::Operator(Operator::Resolve { step: step.into(), by, reason, finding }))
    }

    pub(super) fn skip(&mut self, step: &'static str) -> Vec<&'static str> {
        let (by, reason) = ("kim".into(), "written off".into());
        self.take(Input::Operator(Operator::Skip { step: step.into(), by, reason }))
    }

    /// Waits until something is to be done, and says what came of it.
    pub(super) fn answer(&mut self, outcome: Outcome) -> Vec<&'static str> {
        if let Next::Wait(Some(until)) = self.state.next(self.now) {
            self.now = self.now.max(until);
        }
        let Next::Do(task) = self.state.next(self.now) else {
            panic!("nothing to do: {:?}", self.state)
        };
        self.answer_to(task, outcome)
    }

    pub(super) fn answer_to(&mut self, task: Task, outcome: Outcome) -> Vec<&'static str> {
        let events = self.state.answer(self.now, task, &outcome);
        self.record(events)
    }

    pub(super) fn replayed(&self) -> State {
        let records: Vec<_> = (1_u64..)
            .zip(&self.records)
            .map(|(n, events)| {
                let steadfast_journal::NewEvent { kind, schema, payload } =
                    event::encode(events).unwrap();
                let (stream, at, hash) = (ID.stream(), self.now, Hash::GENESIS);
                let (position, version) = (Position(n), Version(n));
                steadfast_journal::Event::new(Recorded {
                    position,
                    stream,
                    version,
                    kind,
                    schema,
                    at,
                    payload,
                    hash,
                })
            })
            .collect();
        State::replay(&order(), ID, &records).unwrap().unwrap()
    }

    pub(super) fn status(&self) -> Status {
        self.state.status()
    }

    pub(super) fn task(&self) -> Option<Task> {
        match self.state.next(self.now) {
            Next::Do(task) => Some(task),
            _ => None,
        }
    }
}

pub(super) fn unknown() -> Outcome {
    Outcome::unknown("no answer")
}

pub(super) fn away() -> Outcome {
    Outcome::unavailable("connection refused")
}

pub(super) fn held() -> Outcome {
    Outcome::Held { reason: "circuit open".to_owned(), retry_after: None }
}

pub(super) fn no() -> Outcome {
    Outcome::refused("declined", "insufficient funds")
}

#[test]
fn all_goes_well() {
    let mut saga = Saga::new();
    assert_eq!((saga.status(), saga.task()), (Status::Running, Some(Task::Call(0))));
    assert_eq!(saga.answer(Outcome::Done(Json::parse("7").unwrap())), ["succeeded"]);
    assert_eq!(saga.state.output("reserve").unwrap().as_str(), "7");
    assert_eq!(saga.answer(Outcome::done()), ["succeeded", "waiting"]);
    assert_eq!(saga.status(), Status::Waiting);
    let until = saga.now + SECOND * 60;
    assert_eq!(saga.state.next(saga.now), Next::Wait(Some(until)));
    assert_eq!(saga.state.wakes_at(), Some(until));
    assert_eq!(saga.signal("find"), ["succeeded", "waiting"]);
    assert!(!saga.state.is_past_pivot());
    assert_eq!(saga.signal("pick-up"), ["succeeded"]);
    assert!(saga.state.is_past_pivot());
    assert_eq!(saga.answer(Outcome::done()), ["succeeded", "completed"]);
    assert_eq!((saga.status(), saga.state.next(saga.now)), (Status::Completed, Next::Done));
    assert_eq!(saga.state.wakes_at(), None);
}

#[test]
fn a_refusal_undoes_what_was_done_in_reverse() {
    let mut saga = Saga::past(2);
    assert_eq!(saga.refuse("find"), ["refused"]);
    assert_eq!(saga.state.fault().unwrap().code, "no");
    assert_eq!((saga.status(), saga.task()), (Status::Compensating, Some(Task::Compensate(1))));
    assert_eq!(saga.answer(Outcome::done()), ["undone"]);
    assert_eq!(saga.task(), Some(Task::Compensate(0)));
    assert_eq!(saga.answer(Outcome::done()), ["undone", "compensated"]);
    assert_eq!(saga.state.next(saga.now), Next::Done);
}

#[test]
fn a_refusal_at_the_first_step_leaves_nothing_to_undo() {
    assert_eq!(Saga::new().answer(no()), ["refused", "compensated"]);
}

#[test]
fn not_knowing_is_not_a_refusal() {
    let mut saga = Saga::past(1);
    for _ in 0..20 {
        assert_eq!(saga.answer(unknown()), ["unknown"]);
        assert_eq!(saga.status(), Status::Unknown);
        assert_eq!(saga.task(), None, "not before the next attempt is due");
    }
    // Surely without effect this time; but what of the times before?
    assert_eq!(saga.answer(away()), ["unknown"]);
    assert_eq!(saga.answer(Outcome::done()), ["succeeded", "waiting"]);
}

#[test]
fn a_cancel_waits_until_it_is_known_what_there_is_to_undo() {
    for (outcome, undone) in [(Outcome::done(), vec![1, 0]), (no(), vec![0])] {
        let mut saga = Saga::past(1);
        saga.answer(unknown());
        assert_eq!(saga.cancel(), ["cancel_requested"]);
        assert!(saga.state.is_finding_out());
        assert_eq!(saga.task(), Some(Task::Call(1)), "asked at once, under the same key");
        assert_eq!(saga.answer(away()), ["unknown"]);
        assert_eq!(saga.cancel(), Vec::<&str>::new());
        saga.answer(outcome);
        for step in undone {
            assert_eq!(saga.task(), Some(Task::Compensate(step)));
            saga.answer(Outcome::done());
        }
        assert_eq!(saga.status(), Status::Compensated);
        assert_eq!(saga.state.fault().unwrap().code, "cancelled");
    }
}

#[test]
fn a_call_that_is_next_may_have_been_made_by_a_process_that_stopped() {
    let mut saga = Saga::past(1);
    saga.cancel();
    assert_eq!((saga.status(), saga.task()), (Status::Unknown, Some(Task::Call(1))));
}

#[test]
fn a_cancelled_wait_is_undone_too_for_its_signal_may_be_on_its_way() {
    let mut saga = Saga::past(2);
    assert_eq!(saga.cancel(), ["cancel_requested"]);
    assert_eq!(saga.state.progress("find"), Some(Progress::MayBeDone));
    assert_eq!(saga.task(), Some(Task::Compensate(2)));
    assert_eq!(saga.signal("find"), Vec::<&str>::new());
    assert_eq!(saga.state.wakes_at(), None);
}

#[test]
fn a_wait_ends_in_time_and_not_before() {
    let mut saga = Saga::past(2);
    assert_eq!(saga.due_in(SECOND * 59), Vec::<&str>::new());
    assert_eq!(saga.due_in(SECOND), ["timed_out"]);
    assert_eq!(saga.state.fault().unwrap().step, Some("find"));
    assert_eq!(saga.task(), Some(Task::Compensate(2)));
}

#[test]
fn who_is_away_is_asked_again_and_given_up_after_a_while() {
    let mut saga = Saga::past(1);
    assert_eq!(saga.answer(away()), ["deferred"]);
    assert_eq!(saga.status(), Status::Retrying);
    assert_eq!(saga.answer(away()), ["deferred"]);
    assert_eq!(saga.answer(away()), ["gave_up"]);
    assert_eq!(saga.task(), Some(Task::Compensate(0)));
    // Somebody else's attempt got through after all.
    assert_eq!(saga.answer_to(Task::Call(1), Outcome::done()), ["succeeded"]);
    assert_eq!(saga.task(), Some(Task::Compensate(1)));
    saga.answer(Outcome::done());
    assert_eq!(saga.answer(Outcome::done()), ["undone", "compensated"]);
}

#[test]
fn whoever_is_held_up_on_our_side_keeps_its_attempts() {
    let mut saga = Saga::new();
    for _ in 0..10 {
        assert_eq!(saga.answer(held()), ["held"]);
        assert_eq!((saga.status(), saga.state.attempts()), (Status::Retrying, 0));
    }
    assert_eq!(saga.state.problem(), Some("circuit open"));
    // Between attempts as well, and what was not known stays so.
    saga.answer(away());
    saga.answer(held());
    assert_eq!(saga.state.attempts(), 1);
    saga.answer(unknown());
    assert_eq!(saga.answer(held()), ["held"]);
    assert_eq!((saga.status(), saga.state.attempts()), (Status::Unknown, 2));
    assert_eq!(saga.answer(Outcome::done()), ["succeeded"]);
    assert_eq!(saga.state.attempts(), 0);
}

#[test]
fn whoever_is_held_up_comes_back_later_each_time_and_not_before_its_time() {
    let mut saga = Saga::new();
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let before = saga.now;
        saga.answer(held());
        let Next::Wait(Some(until)) = saga.state.next(saga.now) else { panic!("not waiting") };
        pauses.push(until.since(before));
        saga.now = until;
    }
    assert!(pauses.is_sorted() || pauses[2..].iter().all(|pause| *pause >= SECOND * 4));
    let retry_after = Some(SECOND * 7);
    saga.answer(Outcome::Held { reason: "circuit open".to_owned(), retry_after });
    let Next::Wait(Some(until)) = saga.state.next(saga.now) else { panic!("not waiting") };
    assert!(until.since(saga.now) > SECOND * 7);
}

#[test]
fn nobody_is_held_up_for_ever() {
    let mut saga = Saga::past(1);
    for _ in 1..HELD_MAX {
        assert_eq!(saga.answer(held()), ["held"]);
    }
    assert_eq!(saga.answer(held()), ["gave_up"]);
    // What is undone, what may have been done, and what is past the pivot goes on, and is seen.
    for _ in 0..HELD_MAX + 2 {
        assert_eq!(saga.answer(held()), ["held"]);
    }
    assert_eq!(saga.status(), Status::Stuck);
    assert_eq!(saga.answer(Outcome::done()), ["undone", "compensated"]);
    let mut saga = Saga::new();
    saga.answer(unknown());
    for _ in 0..HELD_MAX + 2 {
        assert_eq!(saga.answer(held()), ["held"]);
    }
    assert_eq!(saga.status(), Status::Unknown);
    let mut saga = Saga::past(4);
    for _ in 0..HELD_MAX + 2 {
        assert_eq!(saga.answer(held()), ["held"]);
    }
    assert_eq!(saga.status(), Status::Stuck);
}

#[test]
fn what_turns_out_to_be_done_after_the_end_is_undone_as_well() {
    let mut saga = Saga::new();
    for _ in 0..3 {
        saga.answer(away());
    }
    assert_eq!(saga.status(), Status::Compensated);
    assert_eq!(saga.answer_to(Task::Call(0), Outcome::done()), ["succeeded"]);
    assert_eq!((saga.status(), saga.task()), (Status::Compensating, Some(Task::Compensate(0))));
    assert_eq!(saga.answer(Outcome::done()), ["undone", "compensated"]);
    assert_eq!(saga.answer_to(Task::Call(0), Outcome::done()), Vec::<&str>::new());
}

#[test]
fn a_compensation_never_gives_up() {
    let mut saga = Saga::past(1);
    saga.answer(no());
    for (attempt, outcome) in (1..20).zip([no(), unknown(), away()].into_iter().cycle()) {
        assert_eq!(saga.answer(outcome), ["undo_failed"]);
        let status = if attempt < 3 { Status::Compensating } else { Status::Stuck };
        assert_eq!((saga.status(), saga.state.attempts()), (status, attempt));
    }
    assert_eq!(saga.state.wakes_at().unwrap().since(saga.now).as_secs() / 4, 1, "slowest pace");
    assert_eq!(saga.answer(Outcome::done()), ["undone", "compensated"]);
}

#[test]
fn past_the_pivot_there_is_no_way_back() {
    let mut saga = Saga::past(4);
    assert_eq!(saga.cancel(), Vec::<&str>::new());
    for outcome in [no(), away(), no()] {
        assert_eq!(saga.answer(outcome), ["deferred"]);
    }
    assert_eq!(saga.status(), Status::Stuck);
    assert_eq!(saga.answer(unknown()), ["unknown"]);
    assert_eq!(saga.answer(no()), ["deferred"]);
    assert_eq!(saga.answer(Outcome::done()), ["succeeded", "completed"]);
}

#[test]
fn the_pivot_may_turn_out_to_be_done_while_it_is_being_cancelled() {
    let steps = vec![Step::call("a").compensated(), Step::call("b").pivot(), Step::call("c")];
    let definition = Arc::new(Definition::new("order", steps).unwrap());
    let now = Timestamp::EPOCH;
    let (mut state, _) = State::start(&definition, ID, now, Json::null());
    state.answer(now, Task::Call(0), &Outcome::done());
    state.take(now, &Input::Cancel { reason: String::new() });
    assert!(state.is_finding_out());
    state.answer(now, Task::Call(1), &Outcome::done());
    assert_eq!((state.fault(), state.next(now)), (None, Next::Do(Task::Call(2))));
}

#[test]
fn a_wait_past_the_pivot_that_goes_wrong_needs_somebody() {
    let steps = vec![Step::call("a").pivot(), Step::wait("b").timeout(SECOND), Step::call("c")];
    let definition = Arc::new(Definition::new("order", steps).unwrap());
    let mut now = Timestamp::EPOCH;
    let (mut state, _) = State::start(&definition, ID, now, Json::null());
    state.answer(now, Task::Call(0), &Outcome::done());
    now = now + SECOND;
    let events = state.take(now, &Input::Due);
    assert_eq!(events[0].kind(), "stalled");
    assert_eq!((state.status(), state.next(now)), (Status::Stuck, Next::Wait(None)));
    let signal = Signal::Done(Json::null());
    state.take(now, &Input::Signal { step: "b".into(), signal });
    assert_eq!((state.status(), state.next(now)), (Status::Running, Next::Do(Task::Call(2))));
}

#[test]
fn a_signal_may_come_before_its_step() {
    let mut saga = Saga::past(1);
    assert_eq!(saga.signal("find"), ["succeeded"]);
    assert_eq!(saga.task(), Some(Task::Call(1)));
    assert_eq!(saga.signal("find"), Vec::<&str>::new());
    let mut refused = saga.clone();
    assert_eq!(saga.answer(Outcome::done()), ["succeeded", "waiting"]);
    assert_eq!(saga.state.step().unwrap().name(), "pick-up");
    // What was done early is undone like the rest, the last one first.
    refused.answer(no());
    assert_eq!(refused.task(), Some(Task::Compensate(2)));
}

#[test]
fn a_refusal_may_come_before_its_step_too() {
    let mut saga = Saga::past(1);
    assert_eq!(saga.refuse("find"), ["refused"]);
    assert_eq!(saga.task(), Some(Task::Call(1)), "it may have been authorized");
    assert_eq!(saga.answer(Outcome::done()), ["succeeded"]);
    assert_eq!(saga.task(), Some(Task::Compensate(1)));
}

#[test]
fn an_operator_can_retry_skip_and_resolve() {
    let nothing = Vec::<&str>::new();
    let retry = Input::Operator(Operator::Retry { by: "kim".into() });
    // Nothing to be done about a saga that gets on by itself.
    let mut saga = Saga::past(1);
    assert_eq!(saga.take(retry.clone()), nothing);
    assert_eq!(saga.skip("authorize"), nothing);
    assert_eq!(saga.resolve("authorize", Finding::NotDone), nothing);
    // An unknown outcome.
    saga.answer(unknown());
    assert_eq!(saga.task(), None);
    assert_eq!(saga.take(retry.clone()), ["retry_requested"]);
    assert_eq!(saga.task(), Some(Task::Call(1)));
    assert_eq!(saga.skip("authorize"), nothing, "it would never be undone");
    assert_eq!(saga.resolve("reserve", Finding::NotDone), nothing, "not at that step");
    let mut done = saga.clone();
    assert_eq!(
        done.resolve("authorize", Finding::Done(Json::null())),
        ["resolved", "succeeded", "waiting"]
    );
    assert_eq!(saga.resolve("authorize", Finding::NotDone), ["resolved", "refused"]);
    // A compensation.
    saga.answer(unknown());
    let mut skipped = saga.clone();
    assert_eq!(saga.resolve("reserve", Finding::Done(Json::null())), nothing, "no answer");
    assert_eq!(saga.resolve("reserve", Finding::NotDone), ["resolved", "undone", "compensated"]);
    assert_eq!(skipped.skip("reserve"), ["skipped", "compensated"]);
    // A step past the pivot.
    let mut saga = Saga::past(4);
    saga.answer(no());
    assert_eq!(saga.resolve("capture", Finding::NotDone), nothing);
    assert_eq!(saga.skip("capture"), ["skipped", "completed"]);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let nothing = Vec::<&str>::new();
    for count in 0..=4 {
        let mut saga = Saga::past(count);
        for step in 0..5 {
            for outcome in [Outcome::done(), no(), unknown(), away()] {
                assert_eq!(saga.answer_to(Task::Compensate(step), outcome.clone()), nothing);
                if saga.task() != Some(Task::Call(step)) {
                    assert_eq!(saga.answer_to(Task::Call(step), outcome), nothing);
                }
            }
        }
    }
}

#[test]
fn a_history_of_something_else_is_refused() {
    let saga = Saga::past(2);
    let other = Definition::new("order", vec![Step::call("reserve")]).unwrap();
    let record = event::encode(&saga.records[2]).unwrap();
    let recorded = Recorded {
        position: Position(3),
        stream: ID.stream(),
        version: Version(3),
        kind: record.kind,
        schema: record.schema,
        at: saga.now,
        payload: record.payload,
        hash: Hash::GENESIS,
    };
    let read = |definition: Definition, recorded: &Recorded| {
        let event = steadfast_journal::Event::new(recorded.clone());
        State::replay(&Arc::new(definition), ID, [&event]).unwrap_err().to_string()
    };
    assert!(read(other, &recorded).contains("does not have"));
    assert!(read((*order()).clone(), &recorded).contains("before the saga's start"));
    let newer = Recorded { schema: 9, ..recorded.clone() };
    assert!(read((*order()).clone(), &newer).contains("schema 9"));
    let started = event::encode(&saga.records[0]).unwrap();
    let started = Recorded { payload: started.payload, ..recorded };
    let trip = Definition::new("trip", vec![Step::call("reserve")]).unwrap();
    assert!(read(trip, &started).contains("not a \"trip\""));
}
