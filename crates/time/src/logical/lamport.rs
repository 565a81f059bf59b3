//! Lamport clocks (L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System",
//! 1978): a counter that is raised above everything its node has seen.
//!
//! Stamps of different nodes never tie, because the node's number decides; so all events stand in
//! one order that agrees with cause and effect. The order says nothing more: of two events that
//! did not know of each other, either may come first.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Stamps above this are refused: whoever sends one would use up the counter for everybody. It
/// leaves 2⁶³ ticks, 292 years of one a nanosecond.
pub const TIME_MAX: u64 = u64::MAX / 2;

/// A point in the total order: by time, then by node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// The counter.
    pub time: u64,
    /// The node, which decides between equal counters. Each node's is its own.
    pub node: u64,
}

/// The stamp cannot come from a clock that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Lamport time of {0} cannot have been counted to; it was not taken over")]
pub struct Absurd(pub u64);

/// One node's clock.
#[derive(Debug)]
pub struct Lamport {
    node: u64,
    last: AtomicU64,
}

impl Lamport {
    /// A clock of `node` that stands at zero. After a restart, start with
    /// [`Lamport::observe`] of the last stamp that was stored.
    #[must_use]
    pub fn new(node: u64) -> Self {
        Self { node, last: AtomicU64::new(0) }
    }

    /// The stamp of the last event.
    pub fn last(&self) -> Stamp {
        Stamp { time: self.last.load(Ordering::Acquire), node: self.node }
    }

    /// An event of this node, such as a message that is sent.
    pub fn tick(&self) -> Stamp {
        Stamp { time: self.last.fetch_add(1, Ordering::AcqRel) + 1, node: self.node }
    }

    /// A message with `seen` has arrived, which is an event too.
    ///
    /// # Errors
    /// [`Absurd`] above [`TIME_MAX`]; nothing is changed.
    pub fn observe(&self, seen: Stamp) -> Result<Stamp, Absurd> {
        if seen.time > TIME_MAX {
            return Err(Absurd(seen.time));
        }
        let raise = |last: u64| Some(last.max(seen.time) + 1);
        let before = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
        let before = before.unwrap_or_else(|last| last);
        Ok(Stamp { time: before.max(seen.time) + 1, node: self.node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_s_rules() {
        let (a, b) = (Lamport::new(1), Lamport::new(2));
        let sent = [a.tick(), a.tick(), a.tick()][2];
        assert_eq!(b.tick(), Stamp { time: 1, node: 2 });
        let received = b.observe(sent).unwrap();
        assert_eq!(received, Stamp { time: 4, node: 2 });
        let answered = a.observe(b.tick()).unwrap();
        assert_eq!(answered, Stamp { time: 6, node: 1 });
        assert!(
            b.observe(Stamp { time: 2, node: 1 }).unwrap() > received,
            "the past changes nothing"
        );
        assert!(Stamp { time: 4, node: 1 } < Stamp { time: 4, node: 2 }, "the node decides");
    }

    #[test]
    fn a_stamp_that_would_use_up_the_counter_is_refused() {
        let clock = Lamport::new(1);
        let absurd = Stamp { time: u64::MAX, node: 2 };
        assert_eq!(clock.observe(absurd), Err(Absurd(u64::MAX)));
        assert_eq!(clock.tick().time, 1);
        assert!(clock.observe(Stamp { time: TIME_MAX, node: 2 }).is_ok());
        assert_eq!(clock.tick().time, TIME_MAX + 2);
    }

    #[test]
    fn threads_get_different_stamps() {
        let clock = Lamport::new(1);
        let mut all: Vec<Stamp> = std::thread::scope(|scope| {
            let work = || (0..1_000).map(|_| clock.tick()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4_000);
    }
}
