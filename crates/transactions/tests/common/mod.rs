//! A small city of idempotent services that forget nothing, lose answers, and are away.
#![allow(dead_code, reason = "each test program uses its part of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use steadfast_journal::{Append, Expected, NewEvent, StreamId, Write};
use steadfast_time::{Clock, Uuid};
use steadfast_transactions::{
    Call, Change, Definition, EffectError, Event, Follow, Id, Json, Outcome, Participant, Retry,
    Step,
};

pub const SECOND: Duration = Duration::from_secs(1);

/// How long a request is on its way, and an answer.
pub const LATENCY: Duration = Duration::from_millis(10);

pub fn id(n: u128) -> Id {
    Id(Uuid::from_u128(n))
}

pub fn order() -> Definition {
    let retry = Retry { base: SECOND, cap: SECOND * 30, attempts: 4 };
    Definition::new(
        "order",
        vec![
            Step::call("reserve").compensated().retry(retry),
            Step::call("authorize").compensated().retry(retry),
            Step::wait("find").timeout(SECOND * 120).compensated().retry(retry),
            Step::wait("pick-up").timeout(SECOND * 3_600).pivot(),
            Step::call("capture").retry(retry),
        ],
    )
    .unwrap()
}

/// What one service knows of one idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Done(String),
    Refused,
}

/// How a service behaves towards one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Says no, if it has not said yes before.
    Unwilling,
    /// Does the work, and the answer is lost.
    LosesAnswer,
    /// The request is lost.
    LosesRequest,
    /// Takes forever, having done the work.
    Hangs,
    Away,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// The answer under each key, for ever.
    pub keys: BTreeMap<String, Entry>,
    /// Units held per (saga, step): 1 when done, back to 0 when undone.
    pub units: BTreeMap<(Id, String), i64>,
    /// Every effect in order: (saga, step, +1 or -1).
    pub effects: Vec<(Id, String, i64)>,
    pub requests: usize,
}

type Moods = Box<dyn FnMut(&str) -> Mood + Send>;

/// The services, outside of any process of ours: they survive its crashes.
#[derive(Clone)]
pub struct City {
    ledger: Arc<Mutex<Ledger>>,
    moods: Arc<Mutex<Moods>>,
    clock: Clock,
}

impl City {
    pub fn new(clock: Clock) -> Self {
        let moods: Moods = Box::new(|_| Mood::Well);
        Self { ledger: Arc::default(), moods: Arc::new(Mutex::new(moods)), clock }
    }

    pub fn set_moods(&self, moods: impl FnMut(&str) -> Mood + Send + 'static) {
        *self.moods.lock().unwrap() = Box::new(moods);
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub fn units(&self, saga: Id, step: &str) -> i64 {
        self.ledger().units.get(&(saga, step.to_owned())).copied().unwrap_or_default()
    }

    async fn ask(&self, call: &Call<'_>, undo: bool) -> Outcome {
        let mood = (self.moods.lock().unwrap())(call.key());
        // On the way there and on the way back the caller may stop.
        self.clock.sleep(LATENCY).await;
        let answer = self.answer(call, undo, mood).await;
        self.clock.sleep(LATENCY).await;
        answer
    }

    async fn answer(&self, call: &Call<'_>, undo: bool, mood: Mood) -> Outcome {
        if mood != Mood::LosesRequest && mood != Mood::Away {
            self.serve(call, undo, mood);
        }
        match mood {
            Mood::LosesAnswer | Mood::LosesRequest => return Outcome::unknown("connection reset"),
            Mood::Away => return Outcome::unavailable("connection refused"),
            Mood::Hangs => {
                self.clock.sleep(SECOND * 1_000).await;
                unreachable!("the orchestrator waits for less");
            }
            Mood::Well | Mood::Unwilling => {}
        }
        match self.ledger().keys.get(call.key()) {
            Some(Entry::Done(output)) => Outcome::Done(Json::of(output).unwrap()),
            Some(Entry::Refused) => Outcome::refused("sold_out", "no more of these"),
            None => Outcome::refused("not_now", "come back later"),
        }
    }

    /// Has the effect of a request under a key that was not used before.
    fn serve(&self, call: &Call<'_>, undo: bool, mood: Mood) {
        let mut ledger = self.ledger();
        ledger.requests += 1;
        if ledger.keys.contains_key(call.key()) {
            return;
        }
        if mood == Mood::Unwilling {
            // Whoever cannot be refused is refused for the moment only.
            if !undo && call.step() != "capture" {
                ledger.keys.insert(call.key().to_owned(), Entry::Refused);
            }
            return;
        }
        ledger.keys.insert(call.key().to_owned(), Entry::Done(format!("receipt {}", call.key())));
        let step = call.step().to_owned();
        let change = if undo { -1 } else { 1 };
        let units = ledger.units.entry((call.saga(), step.clone())).or_default();
        if undo && *units == 0 {
            // Nothing to undo: a wait that never ended.
            return;
        }
        *units += change;
        assert!((0..=1).contains(units), "{step} of {} is held {units} times", call.saga());
        ledger.effects.push((call.saga(), step, change));
    }
}

impl Participant for City {
    async fn call(&self, call: &Call<'_>) -> Outcome {
        self.ask(call, false).await
    }

    async fn compensate(&self, call: &Call<'_>) -> Outcome {
        if call.step() != "find" {
            assert!(call.output(call.step()).is_some(), "undone without having been done");
        }
        self.ask(call, true).await
    }

    /// The domain keeps a stream of its own, which others append to as well.
    async fn effects(&self, change: &Change<'_>, write: &mut Write) -> Result<Follow, EffectError> {
        let events = change
            .events()
            .iter()
            .filter(|event| matches!(event, Event::Succeeded { .. } | Event::Undone { .. }))
            .map(|event| NewEvent {
                kind: event.kind().into(),
                schema: 1,
                payload: bytes::Bytes::from(format!("\"{}\"", event.step().unwrap_or_default())),
            })
            .collect::<Vec<_>>();
        if !events.is_empty() {
            let stream = StreamId::of("order", change.saga().0);
            write.appends.push(Append { stream, expected: Expected::Any, events });
        }
        Ok(Follow::Timer)
    }
}
