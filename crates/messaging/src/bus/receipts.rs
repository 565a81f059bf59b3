//! Where the bus files its answers.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::task::AtomicWaker;

use super::Error;

/// The answer for one parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The publisher's number for the parcel.
    pub ticket: u64,
    /// Whether the bus has taken responsibility.
    pub outcome: Result<(), Error>,
}

#[derive(Default)]
struct Inner {
    arrived: Mutex<Vec<Receipt>>,
    reader: AtomicWaker,
}

/// Answers for parcels, gathered so that the publisher is woken once for many of them.
///
/// Holds at most one answer per parcel in flight. Clones are the same place; one task reads.
#[derive(Clone, Default)]
pub struct Receipts {
    inner: Arc<Inner>,
}

impl Receipts {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<Receipt>> {
        self.inner.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files an answer.
    pub fn file(&self, ticket: u64, outcome: Result<(), Error>) {
        let mut arrived = self.arrived();
        let first = arrived.is_empty();
        arrived.push(Receipt { ticket, outcome });
        drop(arrived);
        if first {
            // Whoever filed the first has woken the reader for all that follow.
            self.inner.reader.wake();
        }
    }

    /// Waits for at least one answer and takes all there are. Dropping the future loses nothing.
    pub async fn take(&self) -> Vec<Receipt> {
        poll_fn(|context| {
            self.inner.reader.register(context.waker());
            let mut arrived = self.arrived();
            if arrived.is_empty() {
                return Poll::Pending;
            }
            let room = arrived.capacity();
            Poll::Ready(std::mem::replace(&mut *arrived, Vec::with_capacity(room)))
        })
        .await
    }
}

impl std::fmt::Debug for Receipts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipts").field("arrived", &self.arrived().len()).finish()
    }
}
