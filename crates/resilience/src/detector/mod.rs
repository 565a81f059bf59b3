//! Who has stopped answering, and how sure is that.
//!
//! A fixed timeout asks one question of everybody: silent for ten seconds? For a peer on the same
//! rack that is an eternity, for a phone in a lift it is nothing. A φ-accrual detector (Hayashibara,
//! Défago, Yared and Katayama, *The φ Accrual Failure Detector*, SRDS 2004) learns the rhythm of
//! each peer's heartbeats and says how surprising its silence is:
//!
//! ```text
//! φ = −log₁₀ P(the next heartbeat comes even later than now)
//! ```
//!
//! φ = 1 is wrong once in ten times, φ = 3 once in a thousand, φ = 8, where a peer is isolated
//! here, once in a hundred million — if the delays are [distributed](Distribution) as assumed,
//! which is why there is an [acceptable pause](Options::acceptable_pause) besides.
//!
//! - [`Distribution`] is the arithmetic, as pure functions; [`History`] what is remembered.
//! - [`Detector`] judges one peer.
//! - [`Monitor`] judges many, tells [an event stream](crate::event) what it decides, knows when it
//!   is itself that stood still, and counts [how often it was wrong](Monitor::false_suspect_rate).
//!
//! **Use it** where peers send heartbeats at a steady pace and to stop relying on one of them is
//! cheap to take back: to leave a courier out of the next round, a replica out of the rotation.
//! **Do not use it** to decide who owns something: no detector can tell the dead from the slow,
//! and a suspected owner may be writing at this very moment. That needs a lease and a fencing
//! token. Nor where requests go to the peer all the time: their outcomes say more and sooner (see
//! [`crate::breaker`]).
//!
//! **What it costs**: 4 bytes per remembered interval and about 200 bytes per peer. A heartbeat is
//! a few integer sums and a square root, 36 ns, and among 10,000 peers of a monitor 0.2 µs, most
//! of it to find the peer. Whether a silence is too long is one comparison, since the silence that
//! is allowed is worked out when it changes and not when it is asked for: a tick takes 13 ns
//! while nobody can be due, and 0.4 ms when 10,000 peers have to be looked through. φ itself is
//! worked out for whoever wants to see it, in 10 to 52 ns. Nothing is allocated once the histories
//! are full, but for the news of a suspicion. (`benches/detector.rs`, 2-core virtual machine.)
//!
//! **Where the defaults come from**: φ ≥ 8 from the sources, and as in Akka, Pekko and Cassandra;
//! the others are those of Akka's cluster, see [`Options`].
//!
//! **Limits**. Own stalls are noticed because nothing at all comes in; a process that reads its
//! timers but not its sockets looks to itself as if everybody had died. Lost heartbeats are
//! indistinguishable from a dead peer for as long as they are lost, whatever the mathematics.

mod accuracy;
mod decision;
mod distribution;
mod history;
mod monitor;
mod options;
mod pulse;

#[cfg(test)]
mod model;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod vectors;

pub use accuracy::{Counts, FALSE_SUSPECT_RATE_MAX};
pub use decision::{Suspected, Trusted};
pub use distribution::Distribution;
pub use history::History;
pub use monitor::{Full, Monitor};
pub use options::Options;
pub use pulse::Detector;
