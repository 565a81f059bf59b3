//! When more comes than can be done: do what is still of use, and say no to the rest at once.
//!
//! A queue in front of a server evens out bursts. Under overload it is the worst thing there is:
//! it fills up, everything waits for as long as the queue is long, and whoever is served first
//! come, first served, has waited the longest and is the most likely to have given up. The server
//! is busy all the time and useful to nobody: at twice its capacity the goodput is zero, and with
//! the rules below it is the whole capacity (`examples/shed.rs` shows both). So under overload this
//! queue serves the newest first, throws away what has waited for too long, and lets less important
//! work go first.
//!
//! - [`Queue`] is the state machine: bounded, with [`Priority`] and deadlines.
//! - [`Gate`] is the way in for many threads: so much at once, and the queue in front of it. How
//!   much is a fixed number or found out by a [`crate::limit`].
//! - [`Layer`] (feature `tower`) puts a gate in front of a service.
//!
//! **When to use it:** in front of oneself, before anything expensive is done for a request.
//! **When not:** in front of a dependency (a [`crate::bulkhead`] is first come, first served, and
//! isolates); where order matters; for work that nobody waits for and that must be done anyway:
//! that belongs into a durable queue.
//!
//! **What it costs:** while nobody waits 10 ns for the place, 42 ns through the layer, 61 ns if the
//! gate is adaptive (`benches/bulkhead.rs`), and no allocation. A call that waits takes a lock and a
//! timer.
//!
//! **Where the rules come from.** That there is overload when for 100 ms somebody has always
//! waited for more than 5 ms is CoDel's rule (Nichols and Jacobson, *Controlling Queue Delay*,
//! ACM Queue 10(5), 2012); that it is over when a worker finds the queue empty, that waiting is cut
//! down to the target meanwhile, and that the newest are served first is Facebook's practice
//! (Maurer, *Fail at Scale*, ACM Queue 13(8), 2015). Priorities, deadlines, and that a free worker
//! never goes without because of the 5 ms, are ours.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::shed::{Options, Priority, Queue, Reason};
//! use steadfast_time::Monotonic;
//!
//! let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
//! let mut queue = Queue::new(&Options { queue: 2, ..Options::default() }).unwrap();
//! queue.push(at(0), "refresh", Priority::Background, None, |_| {}).unwrap();
//! queue.push(at(1), "order", Priority::Normal, None, |_| {}).unwrap();
//! let mut thrown = Vec::new();
//! queue.push(at(2), "capture payment", Priority::Critical, None, |it| thrown.push(it)).unwrap();
//! assert_eq!((thrown[0].item, thrown[0].refused.reason), ("refresh", Reason::Displaced));
//! assert_eq!(queue.pop(at(3), |_| {}).unwrap().item, "order");
//! ```

mod decision;
mod gate;
#[cfg(feature = "tower")]
mod layer;
mod options;
mod overload;
mod queue;
#[cfg(test)]
mod tests;

pub use crate::bulkhead::Ticket;
pub use decision::{Reason, Refused};
pub use gate::{Concurrency, Enter, Gate, Permit};
#[cfg(feature = "tower")]
pub use layer::{Call, Layer, Service};
pub use options::Options;
pub use queue::{Queue, Taken, Thrown};

/// How important a piece of work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The first to be thrown away: refreshes, prefetching, batch work.
    Background,
    /// Ordinary work.
    #[default]
    Normal,
    /// The last to be thrown away: what finishes work that has been begun.
    Critical,
}

impl Priority {
    /// All of them, the least important first.
    pub const ALL: [Self; 3] = [Self::Background, Self::Normal, Self::Critical];
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Background => "background",
            Self::Normal => "normal",
            Self::Critical => "critical",
        })
    }
}
