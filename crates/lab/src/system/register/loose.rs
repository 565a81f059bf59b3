//! The register that promises nothing: any `W` and `R`.
//!
//! It does what a store does that lets its users choose `W` and `R` freely: a write asks `R`
//! replicas for the version to go above, sends to all and is answered when `W` took it; a read takes
//! the newest of `R` answers. Where the numbers overlap this is a regular register; where they do
//! not, a read may miss what was written, and a write may take a version below that of a write it
//! has not seen, and be dropped for it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use steadfast_coordination::Name;
use steadfast_coordination::quorum::{Partial, Replica, ReplicaError, Tag, Tagged};
use steadfast_time::Clock;

/// Too few replicas answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{answered} of {needed} replicas answered")]
pub(super) struct TooFew {
    pub(super) answered: usize,
    pub(super) needed: usize,
}

/// How a write ended that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// It was never sent.
    Nothing(TooFew),
    /// Some may have it.
    Unknown(TooFew),
}

/// See the module.
pub(super) struct Loose {
    pub(super) replicas: Vec<Arc<dyn Replica>>,
    pub(super) numbers: Partial,
    pub(super) writer: NonZeroU64,
    pub(super) clock: Clock,
    pub(super) timeout: Duration,
    /// The highest counter that this writer has used.
    pub(super) counter: AtomicU64,
}

impl Loose {
    pub(super) async fn read(&self, name: &Name) -> Result<Tagged, TooFew> {
        let asked = self.replicas.iter().map(|replica| replica.read(name)).collect();
        let answers = self.gather(asked, self.numbers.r as usize).await?;
        Ok(answers.into_iter().max_by_key(|answer| answer.tag).unwrap_or_default())
    }

    pub(super) async fn write(&self, name: &Name, value: Vec<u8>) -> Result<(), Undone> {
        let found = self.read(name).await.map_err(Undone::Nothing)?.tag.counter;
        let last = self.counter.load(Ordering::Relaxed);
        let counter = last.max(found).saturating_add(1);
        self.counter.store(counter, Ordering::Relaxed);
        let tagged = Tagged { tag: Tag { counter, writer: self.writer.get() }, value };
        let asked = self.replicas.iter().map(|replica| replica.write(name, &tagged)).collect();
        self.gather(asked, self.numbers.w as usize).await.map_err(Undone::Unknown)?;
        Ok(())
    }

    /// The first so many answers.
    async fn gather<T>(
        &self,
        asked: Vec<BoxFuture<'_, Result<T, ReplicaError>>>,
        needed: usize,
    ) -> Result<Vec<T>, TooFew> {
        let mut answers = Vec::with_capacity(needed);
        let mut asked: FuturesUnordered<_> = asked.into_iter().collect();
        let waiting = async {
            while answers.len() < needed
                && let Some(answer) = asked.next().await
            {
                answers.extend(answer.ok());
            }
        };
        // Whether the time is up is seen by what has come in.
        let _ = self.clock.timeout(self.timeout, waiting).await;
        let answered = answers.len();
        if answered < needed { Err(TooFew { answered, needed }) } else { Ok(answers) }
    }
}
