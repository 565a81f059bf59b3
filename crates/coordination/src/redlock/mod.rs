//! Redlock, to show what a lock without a fence is worth. Do not protect data with it.
//!
//! Redlock (antirez, "Distributed Locks with Redis") sets one key with a random value and an expiry
//! on N independent Redis servers, and holds the lock when a majority took it in time. It has no
//! number that rises from holder to holder. So there is nothing the storage could check, and the
//! lock is as good as its timing: Kleppmann, "How to do distributed locking" (2016).
//!
//! # How two hold it at once
//!
//! The first two are tests of this crate against real servers (`tests/redlock.rs`); the third needs
//! servers whose clocks can be set, and is an experiment of the lab on simulated ones
//! (`redlock-clock-jump`):
//!
//! - **A pause longer than the expiry** (a stopped process, a garbage collector, a slow disk):
//!   the keys expire, another takes the lock, and the first goes on with its write.
//! - **A server that crashes and restarts without its last writes**: it has forgotten that it
//!   took part, and votes again. With five servers, three votes and one forgotten, the other three
//!   are a second majority. It needs `appendfsync always` on each, or a restart delayed by more
//!   than the longest expiry.
//! - **A clock that jumps forward on one server**: its key expires early, which is the same vote
//!   given twice, without a crash.
//!
//! # What the types do about it
//!
//! Holding it gives an [`Unfenced`], which has no token and is not a guard. What needs a token
//! cannot be given one:
//!
//! ```compile_fail,E0308
//! use steadfast_coordination::redlock::Unfenced;
//! use steadfast_fencing::{FencingToken, HighWater};
//!
//! fn write(storage: &mut HighWater, lock: &Unfenced) {
//!     storage.admit(lock); // expected `FencingToken`, found `&Unfenced`
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use steadfast_coordination::redlock::Unfenced;
//! fn token(lock: &Unfenced) -> steadfast_fencing::FencingToken {
//!     lock.token() // there is none
//! }
//! ```
//!
//! # How
//!
//! The numbers are the algorithm's own: a quorum of N/2 + 1; validity = expiry − elapsed − drift,
//! with a drift of 1 % of the expiry and 2 ms; on failure, all servers are told to let go, and the
//! next attempt is after a random 0 to 200 ms. Letting go deletes the key only if it still has
//! this holder's value.
//!
//! The algorithm knows servers as [`Node`]s: those behind Redis connections come with the feature
//! `redlock` (`Redlock::new`), and simulated ones with whoever simulates ([`Redlock::over`]).

mod node;
#[cfg(feature = "redlock")]
mod redis;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::{BoxFuture, join_all};
use steadfast_time::{Clock, Monotonic, Uuid};

pub use self::node::Node;
use crate::limits::LENGTH_MAX;
use crate::port::{Error, Name};

/// The drift that is allowed for, besides 1 % of the expiry: the precision of Redis' expiry and
/// the least drift of short ones.
const DRIFT_MIN: Duration = Duration::from_millis(2);

/// The longest pause between two attempts.
const RETRY_DELAY_MAX: Duration = Duration::from_millis(200);

/// How long a server may take: little against a lock's expiry, as the algorithm asks for, so that
/// servers that are away do not use the lock up.
const PATIENCE: Duration = Duration::from_millis(100);

const ENGINE: &str = "redlock";

/// Redlock over N independent servers.
#[derive(Clone)]
pub struct Redlock {
    nodes: Arc<[Arc<dyn Node>]>,
    clock: Clock,
    /// For simulations; the holders' values and the pauses are drawn from it.
    rng: Option<Arc<Mutex<Rng>>>,
}

impl fmt::Debug for Redlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.address()).collect();
        f.debug_struct("Redlock").field("nodes", &nodes).finish_non_exhaustive()
    }
}

/// How many of `nodes` are a majority.
#[must_use]
pub const fn quorum(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// How long a lock is valid that took `elapsed` to get; `None` when nothing is left of it.
#[must_use]
pub fn validity(ttl: Duration, elapsed: Duration) -> Option<Duration> {
    let drift = ttl / 100 + DRIFT_MIN;
    ttl.checked_sub(elapsed)?.checked_sub(drift).filter(|left| !left.is_zero())
}

impl Redlock {
    /// Over the servers at these URLs. Connections are made when they are needed: a minority of
    /// servers may be away.
    ///
    /// # Errors
    /// [`Error::Refused`] when a URL cannot be used, or there is none.
    #[cfg(feature = "redlock")]
    pub fn new(urls: &[&str], clock: Clock) -> Result<Self, Error> {
        Self::over(redis::nodes(urls)?, clock)
    }

    /// Over any servers.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none.
    pub fn over(nodes: Vec<Arc<dyn Node>>, clock: Clock) -> Result<Self, Error> {
        if nodes.is_empty() {
            return Err(Error::Refused {
                engine: ENGINE,
                address: "?".into(),
                reason: "there are no servers".into(),
            });
        }
        Ok(Self { nodes: nodes.into(), clock, rng: None })
    }

    /// Draws the holders' values and the pauses from a generator that repeats itself, as a simulation
    /// does. Clones draw from the same one. Two clients with one seed would take each other's locks
    /// for their own.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { rng: Some(Arc::new(Mutex::new(Rng::with_seed(seed)))), ..self }
    }

    /// What tells this holder from all others.
    fn value(&self) -> String {
        let value = match &self.rng {
            Some(rng) => Uuid::from_u128(drawing(rng, |rng| rng.u128(..))),
            None => Uuid::new_v4(),
        };
        value.to_string()
    }

    fn retry_delay(&self) -> Duration {
        RETRY_DELAY_MAX.mul_f64(match &self.rng {
            Some(rng) => drawing(rng, Rng::f64),
            None => fastrand::f64(),
        })
    }

    /// One attempt. `None` when no majority took it in time.
    ///
    /// # Errors
    /// [`Error::Length`] for an expiry of which nothing would be left, or beyond an hour.
    pub async fn try_lock(&self, name: &Name, ttl: Duration) -> Result<Option<Unfenced>, Error> {
        let min = DRIFT_MIN * 2;
        if ttl < min || ttl > LENGTH_MAX {
            return Err(Error::Length { asked: ttl, min, max: LENGTH_MAX });
        }
        let (key, value) = (format!("redlock:{name}"), self.value());
        let start = self.clock.monotonic();
        let set = self.nodes.iter().map(|node| node.set_if_absent(&key, &value, ttl));
        let taken = votes(&self.clock, set).await;
        let now = self.clock.monotonic();
        let left = validity(ttl, now - start);
        let lock = Unfenced {
            nodes: Arc::clone(&self.nodes),
            clock: self.clock.clone(),
            name: name.clone(),
            key,
            value,
            until: now + left.unwrap_or_default(),
        };
        if taken >= quorum(self.nodes.len()) && left.is_some() {
            return Ok(Some(lock));
        }
        lock.unlock().await;
        Ok(None)
    }

    /// Attempts until it is held or `patience` is over.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Length`].
    pub async fn lock(
        &self,
        name: &Name,
        ttl: Duration,
        patience: Duration,
    ) -> Result<Unfenced, Error> {
        let start = self.clock.monotonic();
        loop {
            if let Some(lock) = self.try_lock(name, ttl).await? {
                return Ok(lock);
            }
            let waited = self.clock.monotonic() - start;
            if waited >= patience {
                return Err(Error::Timeout { name: name.clone(), waited });
            }
            self.clock.sleep(self.retry_delay().min(patience - waited)).await;
        }
    }
}

/// A lock that proves nothing: no token, so no storage can tell its holder from the next one.
///
/// It is not released when dropped; it expires.
#[must_use = "the lock is held until it expires, or is unlocked"]
pub struct Unfenced {
    nodes: Arc<[Arc<dyn Node>]>,
    clock: Clock,
    name: Name,
    key: String,
    value: String,
    until: Monotonic,
}

impl fmt::Debug for Unfenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfenced")
            .field("name", &self.name)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Unfenced {
    /// What is locked.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Until when the holder believes that nobody else holds it, by its own clock.
    #[must_use]
    pub fn believed_until(&self) -> Monotonic {
        self.until
    }

    /// Whether the holder still believes so. A pause may come right after the answer.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.clock.monotonic() < self.until
    }

    /// Lets go on all servers that answer, and answers on how many it was still there.
    pub async fn unlock(self) -> usize {
        let delete = self.nodes.iter().map(|node| node.delete_if_equal(&self.key, &self.value));
        votes(&self.clock, delete).await
    }
}

/// How many servers say yes. All are asked at once; silence is no.
async fn votes(clock: &Clock, asked: impl Iterator<Item = BoxFuture<'_, bool>>) -> usize {
    let votes = join_all(asked.map(|vote| clock.timeout(PATIENCE, vote))).await;
    votes.into_iter().filter(|vote| *vote == Ok(true)).count()
}

fn drawing<T>(rng: &Mutex<Rng>, draw: impl FnOnce(&mut Rng) -> T) -> T {
    draw(&mut rng.lock().unwrap_or_else(PoisonError::into_inner))
}
