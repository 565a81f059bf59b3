//! Is this history what a model allows?
//!
//! A check looks at what clients did and heard, and at nothing else. It ends with one of three
//! verdicts: it *holds*, it is *violated*, and there is a small piece of the history that shows it,
//! or it is *unknown*, because finding out would take longer than there is time.
//!
//! # Models, operations, values
//!
//! | model | `f` | value of `invoke` | value of `ok` |
//! |---|---|---|---|
//! | `register` | `read` | | what was read; `null` before the first write |
//! | | `write` | what to write | |
//! | `cas-register` | `read`, `write` | as above | as above |
//! | | `cas` | `[from, to]` | (another value than `from`: `fail`) |
//! | `mutex` | `acquire` | | |
//! | | `release` | | (only its holder's is `ok`) |
//! | `fenced-lock` | `acquire` | | the token, a whole number, higher each time |
//! | | `release` | | |
//! | | `write` | `[token, value]` | (a lower token than the highest seen: `fail`) |
//! | | `read` | | the value that was written last |
//! | `queue` | `enqueue` | what to put in, not `null` | |
//! | | `dequeue` | | what was taken out; `null`: it was empty |
//! | `sequential`, `causal` | `read`, `write` | as `register`; all keys together | |
//! | `total-order` | `deliver` | `null` or the message | the message; `null`: that of `invoke` |
//! | `bank` | `transfer` | `{"from", "to", "amount"}` | |
//! | | `read` | `null`; `"overdraft"`: balances may be negative | `{account: balance, …}` |
//! | `at-most-one-holder` | `acquire` | | |
//! | | `release`: the holder lets go as it asks | | |
//! | `no-lost-update` | `update` | what to add; differs each time | |
//! | | `read` | | all that is there: `[value, …]` |
//!
//! Where a cell is empty, nobody looks at the value. Each `key` is an object of its own (a lock, a
//! topic, a bank), but in `sequential` and `causal`, where the keys are registers of one memory.
//! Values are compared as JSON: `1` is not `1.0`.
//!
//! `fail` means that an operation had no effect: it is left out, and its value must not be seen. What
//! ended in `info`, or was never answered, may have taken effect at any time since, or never. After
//! it the client goes on under a new process number.
//!
//! Order is that of the events in the history, not of their times: two events may have one time.
//!
//! # What is shown of a violation
//!
//! A [`Piece`] is a violation by itself, and it proves one of the whole: only such operations are left
//! out of it without which every legal order of the whole would still be legal. So a `write` stays
//! when its value is read in the piece, and an operation that is shown without its answer is one whose
//! answer came later than the violation. Events are rebuilt from what the check keeps: an answer that
//! the model does not look at repeats the question's value, errors' texts are not there, and of
//! `no-lost-update` an earlier read is shown with the one value that matters.
//!
//! # Limits
//!
//! | model | how | finds out |
//! |---|---|---|
//! | `register`, values written once | zones (Gibbons and Korach) | always, n log n |
//! | other linearizable ones | search (Wing, Gong, Lowe), each key by itself | if few are concurrent |
//! | `sequential` | saturation, then search | if the history is small, or saturation settles it |
//! | `causal` | bad patterns (Bouajjani and others); each value written once to a key | always, then |
//! | all others | one pass | always |
//!
//! Time is [`Options::time`], and no check returns later; what it left at work ends by itself. What a
//! search remembers is bounded by [`CHECK_BYTES_MAX`](crate::limits::CHECK_BYTES_MAX), what values and
//! keys take by [`CHECK_VALUE_BYTES_MAX`](crate::limits::CHECK_VALUE_BYTES_MAX), and finding a small
//! piece by [`SHRINK_TIME`](crate::limits::SHRINK_TIME).

mod bank;
mod causal;
mod crew;
mod explain;
mod holder;
mod linear;
mod objects;
mod operation;
mod search;
mod sequential;
mod shape;
mod shrink;
mod stream;
mod total;
mod updates;
mod web;
mod zones;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_time::{Clock, Monotonic};

use crate::Verdict;
use crate::history::{Event, Malformed};

pub use stream::Stream;

use operation::History;

/// What a history is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// A register with `read` and `write`, linearizable.
    Register,
    /// A register with `read`, `write` and `cas` (`[from, to]`), linearizable.
    CasRegister,
    /// A lock with `acquire` and `release` by its holder, linearizable.
    Mutex,
    /// A lock whose `acquire` answers with a token, higher each time, linearizable; a guarded `write`
    /// (`[token, value]`) is refused when its token is lower than the highest that was seen.
    FencedLock,
    /// A queue with `enqueue` and `dequeue`, linearizable.
    Queue,
    /// `read` and `write` of several keys in one order that keeps each process's own, whatever the
    /// clock says.
    Sequential,
    /// `read` and `write` of several keys that never show an effect without its cause.
    Causal,
    /// `deliver`: all processes see messages in the same order.
    TotalOrder,
    /// `transfer` and `read` of accounts: money is neither made nor lost.
    Bank,
    /// `acquire` and `release`: at no time two holders.
    Holder,
    /// `update` and `read`: no acknowledged update is missing in the end.
    Updates,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Register,
        Self::CasRegister,
        Self::Mutex,
        Self::FencedLock,
        Self::Queue,
        Self::Sequential,
        Self::Causal,
        Self::TotalOrder,
        Self::Bank,
        Self::Holder,
        Self::Updates,
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::Mutex => "mutex",
            Self::FencedLock => "fenced-lock",
            Self::Queue => "queue",
            Self::Sequential => "sequential",
            Self::Causal => "causal",
            Self::TotalOrder => "total-order",
            Self::Bank => "bank",
            Self::Holder => "at-most-one-holder",
            Self::Updates => "no-lost-update",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The limits of a check.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long it may search.
    pub time: Duration,
    /// By which clock.
    pub clock: Clock,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether the history fits.
    pub verdict: Verdict,
    /// How many operations it has.
    pub operations: u64,
    /// How many keys.
    pub keys: u64,
    /// Why not, when it does not; why nothing was found out, when nothing was.
    pub piece: Option<Piece>,
}

/// A small piece of a history that does not fit a model by itself. Without events, the reason why
/// nothing was found out; or, of a violation, why there is nothing small to show of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// What is wrong with it, in a sentence.
    pub what: String,
    /// The events that show it, in their order.
    pub events: Vec<Event>,
}

/// Events that cannot be checked against the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They are no history.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An operation that the model does not have, or whose value is none of it.
    #[error("event {place}: {what}")]
    Operation {
        /// Which event, from 0.
        place: usize,
        /// What is wrong, and what the model has.
        what: String,
    },
}

/// Until when.
#[derive(Clone, Debug)]
struct Deadline {
    clock: Clock,
    until: Monotonic,
}

impl Deadline {
    fn left(&self) -> Duration {
        self.until - self.clock.monotonic()
    }

    /// The same, or so far from now, whatever comes first.
    fn within(&self, time: Duration) -> Self {
        let soon = self.clock.monotonic() + time;
        Self { clock: self.clock.clone(), until: self.until.min(soon) }
    }
}

/// What a model's own check found.
#[derive(Debug)]
enum Found {
    Holds,
    Violated(Piece),
    /// And why.
    Unknown(String),
}

/// How many events are taken between two looks at the clock.
const LOOK: usize = 64;

/// Checks a history against a model.
///
/// # Errors
/// When the events are no history, or one of another kind of object.
pub fn check(model: Model, events: &[Event], options: &Options) -> Result<Report, Error> {
    let until = options.clock.monotonic() + options.time;
    let mut stream = Stream::new(model, options.clone());
    for (place, event) in events.iter().enumerate() {
        stream.take(event)?;
        if place % LOOK == LOOK - 1 && options.clock.monotonic() >= until {
            let what = format!("the time was over after {} of {} events", place + 1, events.len());
            return Ok(Report {
                verdict: Verdict::Unknown,
                operations: stream.operations() as u64,
                keys: stream.keys() as u64,
                piece: Some(Piece { what, events: Vec::new() }),
            });
        }
    }
    stream.finish_by(until)
}

/// Lets the model's own check decide.
fn decide(
    history: History,
    bank: bank::Bank,
    updates: updates::Updates,
    deadline: &Deadline,
) -> Report {
    let (operations, keys) = (history.ops.len() as u64, history.keys.len() as u64);
    let shared = Arc::new(search::Shared::new(0));
    let pass = |work: Box<dyn FnOnce() -> Found + Send>| {
        let found = crew::one(deadline, &shared, work);
        found.unwrap_or_else(|lost| Found::Unknown(lost.reason().to_owned()))
    };
    let found = match history.model {
        Model::Register | Model::CasRegister | Model::Mutex | Model::FencedLock | Model::Queue => {
            linear::check(history, deadline)
        }
        Model::Sequential => sequential::check(history, deadline),
        Model::Causal => causal::check(history, deadline),
        Model::TotalOrder => pass(Box::new(move || total::check(&history))),
        Model::Bank => pass(Box::new(move || bank.check(&history))),
        Model::Holder => pass(Box::new(move || holder::check(&history))),
        Model::Updates => pass(Box::new(move || updates.check(&history))),
    };
    let (verdict, piece) = match found {
        Found::Holds => (Verdict::Holds, None),
        Found::Violated(piece) => (Verdict::Violated, Some(piece)),
        Found::Unknown(what) => (Verdict::Unknown, Some(Piece { what, events: Vec::new() })),
    };
    Report { verdict, operations, keys, piece }
}
