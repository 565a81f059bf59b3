//! What both ledgers share: a journal to write to, and what its answers mean for a caller.

use serde::Serialize;
use serde::de::DeserializeOwned;
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::provider::{Call, Failure};
use steadfast_journal::{
    Append, Event, Expected, Guard, Journal, NewEvent, Position, Refusal, StreamId, Version, Write,
};
use steadfast_time::Clock;

use super::Error;
use crate::limits::{AUDIT_PAGE_MAX, KEY_BYTES_MAX};

/// A ledger's journal. Streams of other categories in it are none of the ledger's business.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
}

/// What came of an entry that was not a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is in the books.
    Done,
    /// Somebody else wrote to the stream first; nothing was entered.
    Conflict,
    /// A counter stood at `value` and has no room; nothing was entered.
    NoRoom { counter: String, value: i64 },
}

impl Books {
    /// Enters events into a stream that must be at `version`, and moves counters.
    pub(super) async fn enter(
        &self,
        stream: &StreamId,
        version: Version,
        events: Vec<NewEvent>,
        guards: Vec<Guard>,
    ) -> Result<Entered, Failure> {
        let expected = Expected::Exactly(version);
        let append = Append { stream: stream.clone(), expected, events };
        let write = Write { appends: vec![append], guards, ..Write::at(self.clock.now()) };
        match self.journal.commit(write).await {
            Ok(_) => Ok(Entered::Done),
            Err(error) => refusal(error),
        }
    }

    /// All events of a stream: at most `limit`, which is more than a ledger's streams ever have.
    pub(super) fn history(&self, stream: &StreamId) -> Result<Vec<Event>, Error> {
        Ok(self.journal.store().stream(stream, Version::NONE, 8)?)
    }

    /// One page of first events of the streams of a category, up to a position.
    pub(super) fn firsts(
        &self,
        category: &str,
        after: Position,
        upto: Position,
        limit: usize,
    ) -> Result<(Vec<Event>, Option<Position>), Error> {
        let limit = limit.clamp(1, AUDIT_PAGE_MAX);
        let mut events = self.journal.store().events(after, limit)?;
        let more = events.len() == limit;
        events.retain(|event| event.position <= upto);
        let last = events.last().map(|event| event.position);
        let next = last.filter(|last| more && *last < upto);
        events.retain(|event| {
            event.version == Version::NONE.next() && event.stream.category() == category
        });
        Ok((events, next))
    }

    /// The end of the journal.
    pub(super) fn head(&self) -> Result<Position, Error> {
        Ok(self.journal.store().head()?.position)
    }
}

/// Sorts what the journal says into what a caller of the port can use.
fn refusal(error: steadfast_journal::Error) -> Result<Entered, Failure> {
    use steadfast_journal::Error as E;
    match error {
        E::Refused(Refusal::Conflict { .. }) => Ok(Entered::Conflict),
        E::Refused(Refusal::OutOfBounds { counter, value, .. }) => {
            Ok(Entered::NoRoom { counter, value })
        }
        E::TooLarge { .. } => Err(invalid(error.to_string())),
        // The journal vouches that these had no effect.
        E::Refused(_) | E::Overloaded { .. } | E::Closed => {
            Err(Failure::unavailable(error.to_string()))
        }
        E::Storage(_) => Err(Failure::Unknown { reason: error.to_string() }),
    }
}

/// Books that cannot be read leave open what they say.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unknown { reason: error.to_string() }
    }
}

/// Makes an event from its details.
pub(super) fn event<T: Serialize>(kind: &'static str, details: &T) -> Result<NewEvent, Failure> {
    match serde_json::to_vec(details) {
        Ok(payload) => Ok(NewEvent { kind: kind.into(), schema: 1, payload: payload.into() }),
        Err(error) => Err(invalid(format!("{kind}: {error}"))),
    }
}

/// Reads the details of an event.
pub(super) fn details<T: DeserializeOwned>(event: &Event) -> Result<T, Error> {
    if event.schema != 1 {
        return Err(unreadable(event, "its schema is newer than this version"));
    }
    serde_json::from_slice(&event.payload).map_err(|error| unreadable(event, error))
}

/// The event does not belong where it stands.
pub(super) fn unreadable(event: &Event, problem: impl ToString) -> Error {
    Error::Unreadable {
        position: event.position,
        kind: event.kind.to_string(),
        problem: problem.to_string(),
    }
}

/// The order that a stream is about.
pub(super) fn order_of(event: &Event) -> Result<OrderId, Error> {
    event.stream.key().parse().map_err(|error| unreadable(event, error))
}

/// A refusal with a code of ours.
pub(super) fn refused(code: &str, reason: impl Into<String>) -> Failure {
    Failure::Refused { code: code.to_owned(), reason: reason.into() }
}

/// The request makes no sense, and never will.
pub(super) fn invalid(reason: impl Into<String>) -> Failure {
    refused(super::code::INVALID_REQUEST, reason)
}

/// Checks what comes with every call.
pub(super) fn check(call: &Call) -> Result<(), Failure> {
    if (1..=KEY_BYTES_MAX).contains(&call.key.len()) {
        Ok(())
    } else {
        Err(invalid(format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes")))
    }
}

/// More rounds than a stream has steps: it must be something else that is wrong.
pub(super) fn contended(stream: &StreamId) -> Failure {
    Failure::unavailable(format!("{stream} keeps changing; try again"))
}
