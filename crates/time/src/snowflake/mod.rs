//! Numbers that are unique without asking anybody, and sort by time (Twitter's Snowflake, 2010):
//! milliseconds, node, and a sequence within the millisecond, in 63 bits.
//!
//! Three things break such numbers, and each has its answer here:
//!
//! - **The clock steps back.** The generator never goes back with it. A small step is waited for
//!   ([`Options::patience`]), a larger one is an error, until the clock has caught up.
//! - **A restart after such a step.** Times are used only below a durable mark
//!   ([`crate::durable`]), so a new process begins after the old one's last millisecond.
//! - **Two nodes with one number.** Nothing in here can notice. The [`NodeId`] has to come from
//!   somewhere that gives each to one holder only: hold a lease on a slot such as `nodes/17`
//!   while the generator is in use, and drop the generator with the lease.
//!
//! Numbers of one node are in order of their making; those of different nodes only as exactly as
//! their clocks agree. Where the order must be that of cause and effect, use
//! [`hybrid`](crate::logical::hybrid) stamps.

mod layout;
mod number;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use layout::{Layout, LayoutError, NodeId, Parts, TWITTER_EPOCH};
pub use number::{Number, NumberError};

use crate::clock::Clock;
use crate::durable::{self, HighMark, Store};

/// How long to wait before looking whether the millisecond is over: most of one may be left, or
/// nothing.
const A_LITTLE: Duration = Duration::from_micros(100);

/// What happens when a millisecond's sequence is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// [`Snowflake::next`] waits for the next millisecond.
    #[default]
    Wait,
    /// [`Snowflake::next`] answers [`Error::Overflow`].
    Refuse,
}

/// How a generator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How the bits are divided. Default: Twitter's, 41 + 10 + 12.
    pub layout: Layout,
    /// How long [`Snowflake::next`] waits for a clock that stands before the last number. Default:
    /// 1 s; NTP's usual steps back are below, and a restart waits [`Options::reserve`] at most.
    pub patience: Duration,
    /// How far ahead time is reserved in the durable mark: one write in this time. A restart after
    /// a crash waits until the mark has passed; after [`Snowflake::close`] it need not. Default:
    /// 500 ms.
    pub reserve: Duration,
    /// What happens when a millisecond's sequence is used up.
    pub overflow: Overflow,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            patience: Duration::from_secs(1),
            reserve: Duration::from_millis(500),
            overflow: Overflow::Wait,
        }
    }
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clock stands before the last number: it stepped back, or this is a restart. A number
    /// would repeat one, or sort before it.
    #[error("the clock is {by:?} behind the last number; it has to catch up first")]
    Backwards {
        /// How far.
        by: Duration,
    },
    /// The sequence of this millisecond is used up.
    #[error("all {0} numbers of this millisecond are used")]
    Overflow(u64),
    /// The clock stands outside what the layout can write: before its epoch, or after its end.
    #[error("the clock's date does not fit the layout of the numbers")]
    Outside,
    /// The bits cannot be divided so.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A restart would not be waited for.
    #[error("patience ({patience:?}) must not be less than reserve ({reserve:?})")]
    Options {
        /// [`Options::patience`].
        patience: Duration,
        /// [`Options::reserve`].
        reserve: Duration,
    },
    /// The mark could not be made durable.
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

/// One node's generator. Shared by reference; many threads may use it.
pub struct Snowflake {
    clock: Clock,
    options: Options,
    node: NodeId,
    /// Milliseconds since the epoch and sequence of the last number, as one; the next is greater.
    last: AtomicU64,
    /// Milliseconds below this may be used without a write.
    reserved: AtomicU64,
    mark: Mutex<HighMark<Box<dyn Store>>>,
}

impl std::fmt::Debug for Snowflake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snowflake").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Snowflake {
    /// A generator for `node`, which this process alone holds, with a mark that belongs to the
    /// same node. Use [`durable::MemoryMark`] where numbers do not outlive the process.
    ///
    /// # Errors
    /// [`Error`] when the node does not fit the layout or the mark cannot be read.
    pub fn new(
        clock: Clock,
        node: NodeId,
        options: Options,
        store: Box<dyn Store>,
    ) -> Result<Self, Error> {
        options.layout.check(node)?;
        let Options { patience, reserve, .. } = options;
        if patience < reserve {
            return Err(Error::Options { patience, reserve });
        }
        let mark = HighMark::open(store)?;
        if mark.floor() > options.layout.time_max() {
            return Err(Error::Outside);
        }
        // Everything before the mark is used, so the last number is the end of the millisecond
        // before it.
        let last = (mark.floor() << options.layout.sequence_bits()).saturating_sub(1);
        Ok(Self {
            clock,
            options,
            node,
            last: AtomicU64::new(last),
            reserved: AtomicU64::new(mark.reserved()),
            mark: Mutex::new(mark),
        })
    }

    /// The next number, without waiting for the clock. (About once in [`Options::reserve`] it
    /// writes the mark, which blocks on the disk; [`Snowflake::reserve`] does so beforehand.)
    ///
    /// # Errors
    /// [`Error::Backwards`] or [`Error::Overflow`] when it would have to wait.
    pub fn try_next(&self) -> Result<Number, Error> {
        let layout = &self.options.layout;
        let bits = layout.sequence_bits();
        loop {
            // Before the clock is read: what another thread made meanwhile is noticed below, and
            // not taken for a step back.
            let last = self.last.load(Ordering::Acquire);
            let now = layout.time_of(self.clock.now()).ok_or(Error::Outside)?;
            let (last_time, next) = (last >> bits, last + 1);
            let next = if now > last_time { now << bits } else { next };
            if now < last_time {
                return Err(Error::Backwards { by: Duration::from_millis(last_time - now) });
            }
            let time = next >> bits;
            if time > now {
                return Err(Error::Overflow(1 << bits));
            }
            if time >= self.reserved.load(Ordering::Acquire) {
                self.cover(time)?;
            }
            let taken = self.last.compare_exchange(last, next, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() {
                let sequence = next & ((1 << bits) - 1);
                return Ok(layout.compose(time, self.node, sequence));
            }
        }
    }

    /// The next number, after a wait where that helps: for a clock that stepped back by
    /// [`Options::patience`] at most, and for the next millisecond when the sequence is used up.
    ///
    /// # Errors
    /// [`Error`] when waiting does not help.
    pub async fn next(&self) -> Result<Number, Error> {
        let began = self.clock.monotonic();
        loop {
            let result = self.try_next();
            let wait = match &result {
                Err(Error::Backwards { by }) => *by,
                Err(Error::Overflow(_)) if self.options.overflow == Overflow::Wait => A_LITTLE,
                _ => return result,
            };
            if self.clock.monotonic() - began + wait > self.options.patience {
                return result;
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Makes the coming milliseconds usable without a write. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Durable`] when the mark could not be written.
    pub fn reserve(&self) -> Result<(), Error> {
        let now = self.options.layout.time_of(self.clock.now()).ok_or(Error::Outside)?;
        let half = self.block() / 2;
        if self.reserved.load(Ordering::Acquire) <= now + half {
            self.cover(now + half)?;
        }
        Ok(())
    }

    /// Gives back the time that was reserved and not used, so that the next process need not wait
    /// for it.
    ///
    /// # Errors
    /// [`Error::Durable`] when that could not be written; the next process then waits.
    pub fn close(self) -> Result<(), Error> {
        let bits = self.options.layout.sequence_bits();
        let last = self.last.into_inner();
        let mut mark = self.mark.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(mark.give_back((last >> bits) + 1)?)
    }

    fn block(&self) -> u64 {
        u64::try_from(self.options.reserve.as_millis()).unwrap_or(u64::MAX >> 24)
    }

    fn cover(&self, time: u64) -> Result<(), Error> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.cover(time, self.block())?;
        self.reserved.store(mark.reserved(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
