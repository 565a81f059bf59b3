//! A register on `N` replicas: linearizable reads and writes without a leader.
//!
//! A write asks `R` replicas for their tags, takes a higher one, and is done when `W` have it. A read
//! asks `R` replicas and takes the value with the highest tag; unless `W` of them had that one, it
//! brings the value to `W` replicas first and answers then. Without this second half a read could
//! see a write that is still under way, and a later read could miss it: new, then old. That is a
//! *regular* register ([`ReadRepair::Never`]), the broken twin of the atomic one.
//!
//! All replicas are asked at once and the first answers count, so one that is slow or away costs
//! nothing. Requests that are still under way when enough have answered are dropped; what a replica
//! missed comes to it with the next read that meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use steadfast_time::{Clock, Elapsed};

use super::{Quorum, Replica, ReplicaError, Tag, Tagged};
use crate::limits::REPLICAS_MAX;
use crate::port::Name;

/// What a read does about replicas that miss the value it has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadRepair {
    /// Brings it to a write quorum before it answers: linearizable.
    #[default]
    BeforeAnswer,
    /// Leaves them. A later read may answer an older value than an earlier one.
    Never,
}

/// How the register is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// See there.
    pub read_repair: ReadRepair,
    /// How long each of the two halves of an operation may take.
    pub timeout: Duration,
}

impl Default for Options {
    /// Linearizable; a second for each half.
    fn default() -> Self {
        Self { read_repair: ReadRepair::BeforeAnswer, timeout: Duration::from_secs(1) }
    }
}

/// A write that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its version.
    pub tag: Tag,
}

/// An operation that is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The register was put together wrongly.
    #[error("{replicas} replicas do not fit {quorum}; at most {REPLICAS_MAX} are allowed")]
    Replicas {
        /// How many there are.
        replicas: usize,
        /// What was to be made of them.
        quorum: Quorum,
    },
    /// Too few replicas answered. Nothing was written; a read has no value.
    #[error(
        "{answered} of the {needed} replicas that are needed answered a read of {name}{causes}"
    )]
    NoReadQuorum {
        /// The register.
        name: Name,
        /// How many answered.
        answered: usize,
        /// How many must.
        needed: u32,
        /// What the others said.
        causes: Causes,
    },
    /// Too few replicas took the value. A write may come into effect yet, or never; ask with a
    /// read. A read that ends so has no value.
    #[error(
        "{taken} of the {needed} replicas that are needed took a value of {name}; whether it will be \
         read is unknown{causes}"
    )]
    Unknown {
        /// The register.
        name: Name,
        /// How many took it.
        taken: usize,
        /// How many must.
        needed: u32,
        /// What the others said.
        causes: Causes,
    },
    /// Tags have run out.
    #[error("the versions of {0} have run out")]
    Exhausted(Name),
}

/// What replicas said that did not do what they were asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(Vec<(usize, String)>);

impl std::fmt::Display for Causes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lead = " (";
        for (index, cause) in &self.0 {
            write!(f, "{lead}replica {index}: {cause}")?;
            lead = "; ";
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// See the module.
pub struct Register {
    replicas: Vec<Arc<dyn Replica>>,
    quorum: Quorum,
    clock: Clock,
    writer: NonZeroU64,
    /// The highest counter that this writer has used: two of its writes never share a tag.
    counter: AtomicU64,
    options: Options,
}

/// A request to a replica, by the replica's index.
type Asked<'a, T> = (usize, BoxFuture<'a, Result<T, ReplicaError>>);

/// Answers by replica, and what the others said.
type Gathered<T> = (BTreeMap<usize, T>, Causes);

impl Register {
    /// A register on replicas.
    ///
    /// `writer` must never have been used before, also not by this process before a restart: what it
    /// wrote then may stand on a single replica under a tag that it would give away again. The number
    /// of a session or a fencing token is such a number.
    ///
    /// # Errors
    /// [`Error::Replicas`] when their number is not the quorum's `N`.
    pub fn new(
        replicas: Vec<Arc<dyn Replica>>,
        quorum: Quorum,
        writer: NonZeroU64,
        clock: Clock,
        options: Options,
    ) -> Result<Self, Error> {
        if replicas.len() > REPLICAS_MAX || u32::try_from(replicas.len()) != Ok(quorum.n()) {
            return Err(Error::Replicas { replicas: replicas.len(), quorum });
        }
        Ok(Self { replicas, quorum, clock, writer, counter: AtomicU64::new(0), options })
    }

    /// The latest value.
    ///
    /// # Errors
    /// [`Error::NoReadQuorum`]; [`Error::Unknown`] when a value was found and could not be brought to
    /// a write quorum.
    pub async fn read(&self, name: &Name) -> Result<Tagged, Error> {
        let answers = self.query(name).await?;
        let latest = answers.values().max_by_key(|answer| answer.tag).cloned().unwrap_or_default();
        if self.options.read_repair == ReadRepair::BeforeAnswer {
            let have = answers.iter().filter(|(_, answer)| answer.tag == latest.tag);
            let have: Vec<usize> = have.map(|(&index, _)| index).collect();
            self.spread(name, &latest, &have).await?;
        }
        Ok(latest)
    }

    /// Writes a value over whatever is there.
    ///
    /// # Errors
    /// [`Error::NoReadQuorum`]: nothing was written. [`Error::Unknown`].
    pub async fn write(&self, name: &Name, value: impl Into<Vec<u8>>) -> Result<Written, Error> {
        let answers = self.query(name).await?;
        let found = answers.values().map(|answer| answer.tag.counter).max().unwrap_or(0);
        let counter = self.draw(found).ok_or_else(|| Error::Exhausted(name.clone()))?;
        let tag = Tag { counter, writer: self.writer.get() };
        self.spread(name, &Tagged { tag, value: value.into() }, &[]).await?;
        Ok(Written { tag })
    }

    /// A counter above the one that was found and above all that were drawn.
    fn draw(&self, found: u64) -> Option<u64> {
        let above = |last: u64| last.max(found).checked_add(1);
        let last = self.counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, above).ok()?;
        above(last)
    }

    async fn query(&self, name: &Name) -> Result<BTreeMap<usize, Tagged>, Error> {
        let asked = self.replicas.iter().map(|replica| replica.read(name)).enumerate().collect();
        let needed = self.quorum.r();
        let (answers, causes) = self.gather(asked, needed as usize).await;
        if answers.len() < needed as usize {
            let answered = answers.len();
            return Err(Error::NoReadQuorum { name: name.clone(), answered, needed, causes });
        }
        Ok(answers)
    }

    /// Brings a value to a write quorum, of which some have it.
    async fn spread(&self, name: &Name, tagged: &Tagged, have: &[usize]) -> Result<(), Error> {
        let needed = self.quorum.w();
        let missing = (needed as usize).saturating_sub(have.len());
        if missing == 0 {
            return Ok(());
        }
        let others = self.replicas.iter().enumerate().filter(|(index, _)| !have.contains(index));
        let asked = others.map(|(index, replica)| (index, replica.write(name, tagged))).collect();
        let (took, causes) = self.gather(asked, missing).await;
        if took.len() < missing {
            let taken = have.len() + took.len();
            return Err(Error::Unknown { name: name.clone(), taken, needed, causes });
        }
        Ok(())
    }

    /// Waits for so many answers, for no longer than is allowed.
    async fn gather<T>(&self, asked: Vec<Asked<'_, T>>, needed: usize) -> Gathered<T> {
        let mut silent: BTreeSet<usize> = asked.iter().map(|(index, _)| *index).collect();
        let mut answers = BTreeMap::new();
        let mut causes = Causes::default();
        let mut asked: FuturesUnordered<_> = asked
            .into_iter()
            .map(|(index, asked)| asked.map(move |answer| (index, answer)))
            .collect();
        let waiting = async {
            while answers.len() < needed
                && let Some((index, answer)) = asked.next().await
            {
                silent.remove(&index);
                match answer {
                    Ok(answer) => {
                        answers.insert(index, answer);
                    }
                    Err(ReplicaError(cause)) => causes.0.push((index, cause)),
                }
            }
        };
        if let Err(Elapsed(limit)) = self.clock.timeout(self.options.timeout, waiting).await {
            let silent = silent.into_iter();
            causes.0.extend(silent.map(|index| (index, format!("no answer within {limit:?}"))));
        }
        causes.0.sort();
        (answers, causes)
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quorum, writer, options, .. } = self;
        f.debug_struct("Register")
            .field("quorum", quorum)
            .field("writer", writer)
            .field("options", options)
            .finish_non_exhaustive()
    }
}
