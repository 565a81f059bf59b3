//! A parked message and its place in the journal.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_journal::{Message, RecordChange};
use steadfast_time::{Timestamp, Uuid};

use super::Error;
use crate::limits::REASON_BYTES_MAX;

/// Where a consumer's letters are: one record each, `<topic>/<aggregate_id>/<number>`.
pub(crate) fn space(consumer: &str) -> String {
    format!("dead-letter/{consumer}")
}

/// Where their payloads are, under the same keys. They are kept apart, byte for byte, so that a
/// payload of the largest size can be parked and need not be JSON.
pub(crate) fn payload_space(consumer: &str) -> String {
    format!("dead-letter-payload/{consumer}")
}

/// Longest `<topic>/<aggregate_id>` that is spelled out in a record's key, in bytes.
const PREFIX_BYTES_MAX: usize = 300;

/// A message that could not be handled, or that came after one of its key that could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Names the letter: `<topic>/<aggregate_id>/<number>`, the number padded with zeros so that
    /// letters of a key sort in their order.
    pub place: String,
    /// The message's identifier.
    pub id: Uuid,
    /// The message's topic.
    pub topic: String,
    /// What kind of thing the message is about.
    pub aggregate_type: String,
    /// Which one.
    pub aggregate_id: String,
    /// What happened.
    pub event_type: String,
    /// The message's number under its key; zero when it has none.
    pub sequence: u64,
    /// How often it was tried. Zero for a message that only came after a parked one.
    pub attempts: u32,
    /// What went wrong last.
    pub reason: String,
    /// When it went wrong first (or, without an attempt, when it was parked).
    pub first_failure: Timestamp,
    /// When it went wrong last.
    pub last_failure: Timestamp,
}

/// What went wrong, and when.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Letter {
    /// A letter for a message. `arrival` orders messages that have no number.
    pub(crate) fn new(message: &Message, arrival: u64, trouble: Trouble) -> Self {
        let mut reason = trouble.reason;
        truncate(&mut reason, REASON_BYTES_MAX);
        Self {
            place: place(message, arrival),
            id: message.id,
            topic: message.topic.clone().into_owned(),
            aggregate_type: message.aggregate_type.clone().into_owned(),
            aggregate_id: message.aggregate_id.clone(),
            event_type: message.event_type.clone().into_owned(),
            sequence: message.sequence,
            attempts: trouble.attempts,
            reason,
            first_failure: trouble.first,
            last_failure: trouble.last,
        }
    }

    /// The letter after it has failed again.
    pub(crate) fn again(&self, trouble: Trouble) -> Self {
        let mut letter = self.clone();
        letter.attempts = trouble.attempts;
        letter.reason = trouble.reason;
        truncate(&mut letter.reason, REASON_BYTES_MAX);
        letter.last_failure = trouble.last;
        letter
    }

    /// What is parked with it: `<topic>/<aggregate_id>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.topic, self.aggregate_id)
    }

    /// Whether it belongs to a key.
    pub(crate) fn is_of(&self, key: &str) -> bool {
        key.strip_prefix(&*self.topic).and_then(|rest| rest.strip_prefix('/'))
            == Some(&*self.aggregate_id)
    }

    /// The message again.
    pub(crate) fn message(&self, payload: Bytes) -> Message {
        Message {
            id: self.id,
            topic: Cow::Owned(self.topic.clone()),
            aggregate_type: Cow::Owned(self.aggregate_type.clone()),
            aggregate_id: self.aggregate_id.clone(),
            event_type: Cow::Owned(self.event_type.clone()),
            sequence: self.sequence,
            payload,
        }
    }

    /// The record that keeps it.
    pub(crate) fn put(&self, consumer: &str) -> Result<RecordChange, Error> {
        let value = serde_json::to_vec(self).map_err(|error| self.damaged(&error))?;
        Ok(RecordChange {
            space: space(consumer).into(),
            key: self.place.clone(),
            value: Some(value.into()),
        })
    }

    /// The record that keeps its payload.
    pub(crate) fn put_payload(&self, consumer: &str, payload: Bytes) -> RecordChange {
        let space = payload_space(consumer).into();
        RecordChange { space, key: self.place.clone(), value: Some(payload) }
    }

    /// The changes that remove it.
    pub(crate) fn remove(&self, consumer: &str) -> Vec<RecordChange> {
        let spaces = [space(consumer), payload_space(consumer)];
        let gone = |space: String| RecordChange {
            space: space.into(),
            key: self.place.clone(),
            value: None,
        };
        spaces.map(gone).into()
    }

    /// Reads a record.
    pub(crate) fn read(place: &str, value: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(value)
            .map_err(|error| Error::Damaged { place: place.to_owned(), what: error.to_string() })
    }

    fn damaged(&self, error: &serde_json::Error) -> Error {
        Error::Damaged { place: self.place.clone(), what: error.to_string() }
    }

    /// The number that orders letters without a sequence, if it has one.
    pub(crate) fn arrival(&self) -> Option<u64> {
        let tail = self.place.rsplit_once('/')?.1;
        tail.split('-').nth(1)?.parse().ok()
    }
}

/// The start of the places of all letters of a key (and possibly of others: the letter tells).
pub(crate) fn prefix(key: &str) -> String {
    let mut prefix = key.to_owned();
    if key.len() > PREFIX_BYTES_MAX {
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        truncate(&mut prefix, PREFIX_BYTES_MAX - 17);
        let _ = write!(prefix, "~{hash:016x}");
    }
    prefix.push('/');
    prefix
}

fn place(message: &Message, arrival: u64) -> String {
    let mut place = prefix(&format!("{}/{}", message.topic, message.aggregate_id));
    // Writing to a string does not fail.
    let _ = write!(place, "{:020}", message.sequence);
    if message.sequence == 0 {
        let _ = write!(place, "-{arrival:020}-{}", message.id.simple());
    }
    place
}

fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(aggregate_id: &str, sequence: u64, arrival: u64) -> Letter {
        let message = Message {
            id: Uuid::from_u128(7),
            topic: "orders".into(),
            aggregate_type: "order".into(),
            aggregate_id: aggregate_id.into(),
            event_type: "placed".into(),
            sequence,
            payload: Bytes::new(),
        };
        let at = Timestamp::EPOCH;
        let reason = "ü".repeat(REASON_BYTES_MAX);
        Letter::new(&message, arrival, Trouble { attempts: 1, reason, first: at, last: at })
    }

    #[test]
    fn places_sort_by_number_and_fit_the_journal() {
        assert!(letter("a", 9, 0).place < letter("a", 10, 0).place);
        assert!(letter("a", 0, 9).place < letter("a", 0, 10).place);
        assert_eq!(letter("a", 0, 12).arrival(), Some(12));
        assert_eq!(letter("a", 5, 12).arrival(), None);
        let long = letter(&"ü".repeat(200), 0, 1);
        assert!(long.place.len() <= steadfast_journal::limits::NAME_BYTES_MAX);
        assert!(long.place.starts_with(&prefix(&long.key())));
        assert!(long.reason.len() <= REASON_BYTES_MAX);
    }

    #[test]
    fn a_key_that_continues_another_is_told_apart() {
        let (short, long) = (letter("a", 1, 0), letter("a/b", 1, 0));
        assert!(long.place.starts_with(&prefix("orders/a")));
        assert!(short.is_of("orders/a") && !long.is_of("orders/a"));
        assert!(long.is_of("orders/a/b") && !short.is_of("orders/a/b"));
    }
}
