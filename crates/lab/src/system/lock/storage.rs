//! The protected resource, and what it does with tokens.
//!
//! The resource is a document: the list of all operations that it went through, so that a lost one
//! can be told from the rest. Whoever updates it reads it, and writes back what he read with his own
//! operation at the end.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use steadfast_fencing::memory::Fenced;
use steadfast_fencing::{FencingToken, Stale};

/// An update of the document; never used twice.
pub type Operation = u64;

/// The number of a turn at the lock: later holders have higher ones. It is the fencing token where
/// there is one, and the observer's count where there is none.
pub(super) type Grant = u64;

/// What the storage does with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fence {
    /// Nothing: who says that it holds the lock may write.
    None,
    /// Refuses writes below the highest token of all writes.
    Writes,
    /// Refuses reads of updates and writes below the highest token of both.
    Full,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Writes => "writes",
            Self::Full => "full",
        })
    }
}

/// What a holder asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ask {
    /// The document, in order to update it.
    Read,
    /// The document is to be this.
    Write(Vec<Operation>),
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// The document.
    Value(Vec<Operation>),
    /// It is written.
    Written,
    /// A later holder has been here; nothing was done.
    Stale(FencingToken),
}

/// The document where it is kept.
#[derive(Debug)]
enum Document {
    /// As a store without a fence has it.
    Open(Mutex<Vec<Operation>>),
    /// Behind the fencing crate's check.
    Fenced(Fenced<Vec<Operation>>),
}

/// The storage: the document, and what an observer can tell of those who came.
#[derive(Debug)]
pub(super) struct Storage {
    fence: Fence,
    document: Document,
    seen: Mutex<Seen>,
}

/// What the observer has seen at the storage.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The highest turn that has read or written.
    highest: Grant,
    /// Writes that were let in though a later holder had been here.
    stale: BTreeSet<Operation>,
    refused: u64,
}

/// What became of what was asked, for the observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// What the holder hears.
    pub answer: Answer,
    /// Whether it was a write that was let in though a later holder had been here.
    pub is_stale_write: bool,
}

impl Storage {
    /// An empty document.
    pub fn new(fence: Fence) -> Self {
        let document = match fence {
            Fence::None => Document::Open(Mutex::default()),
            Fence::Writes | Fence::Full => Document::Fenced(Fenced::new(Vec::new())),
        };
        Self { fence, document, seen: Mutex::default() }
    }

    /// The document.
    pub fn value(&self) -> Vec<Operation> {
        match &self.document {
            Document::Open(value) => value.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Document::Fenced(value) => value.read(Clone::clone),
        }
    }

    /// How many reads and writes were refused.
    pub fn refused(&self) -> u64 {
        self.seen().refused
    }

    /// How many different operations were written though a later holder had been here.
    pub fn stale_writes(&self) -> u64 {
        self.seen().stale.len() as u64
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a holder. The token is what the fence looks at; the turn is for the observer only.
    pub fn serve(&self, grant: Grant, token: Option<FencingToken>, ask: &Ask) -> Served {
        let answer = match self.asked(token, ask) {
            Ok(answer) => answer,
            Err(stale) => Answer::Stale(stale.highest),
        };
        let mut seen = self.seen();
        let is_late = grant < seen.highest;
        let mut is_stale_write = false;
        match (&answer, ask) {
            (Answer::Stale(_), _) => seen.refused += 1,
            (_, Ask::Write(value)) if is_late => {
                // A message that arrives twice is one write.
                let operation = value.last().copied().unwrap_or_default();
                is_stale_write = seen.stale.insert(operation);
            }
            _ => seen.highest = seen.highest.max(grant),
        }
        Served { answer, is_stale_write }
    }

    fn asked(&self, token: Option<FencingToken>, ask: &Ask) -> Result<Answer, Stale> {
        match (&self.document, ask) {
            (Document::Open(value), Ask::Read) => {
                Ok(Answer::Value(value.lock().unwrap_or_else(PoisonError::into_inner).clone()))
            }
            (Document::Open(value), Ask::Write(new)) => {
                value.lock().unwrap_or_else(PoisonError::into_inner).clone_from(new);
                Ok(Answer::Written)
            }
            (Document::Fenced(value), Ask::Read) if self.fence == Fence::Full => {
                value.read_as(presented(token), Clone::clone).map(Answer::Value)
            }
            (Document::Fenced(value), Ask::Read) => Ok(Answer::Value(value.read(Clone::clone))),
            (Document::Fenced(value), Ask::Write(new)) => {
                value.write(presented(token), |value| value.clone_from(new))?;
                Ok(Answer::Written)
            }
        }
    }
}

/// Who comes to a fence without a token has the lowest one: that is refused as soon as there was any
/// other.
fn presented(token: Option<FencingToken>) -> FencingToken {
    token.unwrap_or(FencingToken::FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Option<FencingToken> {
        FencingToken::new(number)
    }

    /// The old holder (1) reads, the new one (2) reads, the old one writes late, the new one writes.
    fn late_write(fence: Fence) -> (Storage, [Served; 2]) {
        let storage = Storage::new(fence);
        assert_eq!(storage.serve(1, token(1), &Ask::Read).answer, Answer::Value(vec![]));
        assert_eq!(storage.serve(2, token(2), &Ask::Read).answer, Answer::Value(vec![]));
        let late = storage.serve(1, token(1), &Ask::Write(vec![10]));
        let next = storage.serve(2, token(2), &Ask::Write(vec![20]));
        (storage, [late, next])
    }

    #[test]
    fn a_fence_that_reads_raise_keeps_the_late_write_out_and_one_of_writes_does_not() {
        for fence in [Fence::None, Fence::Writes] {
            let (storage, [late, next]) = late_write(fence);
            assert!(late.is_stale_write && late.answer == Answer::Written, "{fence}");
            assert_eq!((next.answer, storage.value()), (Answer::Written, vec![20]), "10 is lost");
            assert_eq!((storage.stale_writes(), storage.refused()), (1, 0));
        }
        let (storage, [late, next]) = late_write(Fence::Full);
        assert!(!late.is_stale_write && matches!(late.answer, Answer::Stale(_)));
        assert_eq!((next.answer, storage.value()), (Answer::Written, vec![20]));
        assert_eq!((storage.stale_writes(), storage.refused()), (0, 1));
    }

    #[test]
    fn a_fence_of_writes_keeps_out_what_comes_after_the_next_write() {
        let storage = Storage::new(Fence::Writes);
        storage.serve(2, token(2), &Ask::Write(vec![20]));
        let late = storage.serve(1, token(1), &Ask::Write(vec![10]));
        assert!(matches!(late.answer, Answer::Stale(_)));
        assert_eq!(storage.value(), vec![20]);
    }
}
