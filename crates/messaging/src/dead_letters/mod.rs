//! Parked messages, and what an operator can do with them.
//!
//! A message that keeps failing parks its key. It and the later ones of the key are kept in the
//! journal as [`Letter`]s, in order, until somebody has found out why: then they are replayed
//! through the consumer's handler, or the first one is discarded with a reason that is kept.
//!
//! [`Letters`] only reads, from any journal, also while nothing runs. [`DeadLetters`] acts; it
//! comes from the running consumer ([`crate::consumer::Consumer::dead_letters`]), because it must
//! not overtake the messages of the key that are just arriving.

mod letter;
mod operate;

use bytes::Bytes;
use steadfast_journal::{StorageError, Store};

pub use letter::Letter;
pub(crate) use letter::Trouble;
pub use operate::{DeadLetters, Pace, Replayed, Scope, Stopped};

use crate::limits::LETTERS_PAGE_MAX;

/// The category of the streams, one per consumer, in which discards are recorded.
pub const AUDIT: &str = "dead-letter-audit";

/// What can go wrong with dead letters.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such letter.
    #[error("there is no dead letter {place}")]
    Unknown {
        /// What was asked for.
        place: String,
    },
    /// A letter cannot be read.
    #[error("dead letter {place} cannot be read: {what}")]
    Damaged {
        /// Which one.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// An earlier letter of the key must go first.
    #[error("{place} is behind {first}, which must be replayed or discarded first")]
    NotFirst {
        /// What was to be discarded.
        place: String,
        /// The first letter of its key.
        first: String,
    },
    /// An earlier message of the key has not arrived yet.
    #[error("{place} comes after message {missing} of its key, which has not arrived yet")]
    Gap {
        /// The letter.
        place: String,
        /// The first message that is missing.
        missing: u64,
    },
    /// A replay or a discard is under way.
    #[error("another replay or discard of this consumer is under way; try again when it is done")]
    Busy,
    /// The journal refused a write.
    #[error(transparent)]
    Journal(#[from] steadfast_journal::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Reads the dead letters of one consumer.
#[derive(Clone, Debug)]
pub struct Letters {
    space: String,
    payloads: String,
}

impl Letters {
    /// The dead letters of the consumer of this name.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self { space: letter::space(consumer), payloads: letter::payload_space(consumer) }
    }

    /// A page of letters, ordered by key and number, after the place of the last one of the page
    /// before. At most [`LETTERS_PAGE_MAX`].
    ///
    /// # Errors
    /// The journal or a letter cannot be read.
    pub fn list(
        &self,
        store: &dyn Store,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Letter>, Error> {
        self.page(store, "", after, limit)
    }

    /// One letter, with its payload.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the journal or the letter cannot be read.
    pub fn show(&self, store: &dyn Store, place: &str) -> Result<(Letter, Bytes), Error> {
        let unknown = || Error::Unknown { place: place.to_owned() };
        let record = store.record(&self.space, place)?.ok_or_else(unknown)?;
        let letter = Letter::read(place, &record)?;
        let payload = store.record(&self.payloads, place)?.ok_or_else(|| Error::Damaged {
            place: place.to_owned(),
            what: "its payload is missing".to_owned(),
        })?;
        Ok((letter, payload))
    }

    pub(crate) fn page(
        &self,
        store: &dyn Store,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Letter>, Error> {
        let limit = limit.min(LETTERS_PAGE_MAX);
        let records = store.records(&self.space, prefix, after, limit)?;
        records.iter().map(|(place, value)| Letter::read(place, value)).collect()
    }

    /// The first letter of a key.
    pub(crate) fn first(&self, store: &dyn Store, key: &str) -> Result<Option<Letter>, Error> {
        let prefix = letter::prefix(key);
        let mut after: Option<String> = None;
        loop {
            // Other keys may share the prefix, which is rare; the letter tells.
            let mut page = self.page(store, &prefix, after.as_deref(), 16)?;
            if let Some(first) = page.iter().position(|letter| letter.is_of(key)) {
                return Ok(Some(page.swap_remove(first)));
            }
            let Some(last) = page.pop() else {
                return Ok(None);
            };
            after = Some(last.place);
        }
    }

    /// Whether there is a letter for this number of a key.
    pub(crate) fn has(
        &self,
        store: &dyn Store,
        key: &str,
        sequence: u64,
    ) -> Result<bool, StorageError> {
        let place = format!("{}{sequence:020}", letter::prefix(key));
        Ok(store.record(&self.space, &place)?.is_some())
    }
}
