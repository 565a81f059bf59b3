//! A lock under real processes: does it keep updates from being lost when its holder stands still?
//!
//! A register lies at a *storage*. Worker processes update it: lock, read, wait, write what was read
//! and one operation of their own, unlock. Each update is right only if nobody else wrote between
//! its read and its write, which is what the lock is for. Meanwhile workers are stopped (`SIGSTOP`)
//! for longer than their sessions live, and go on. Such a worker finds itself in the middle of its
//! update, and writes: no program looks at its lock between two instructions.
//!
//! The workers are naive on purpose. They look at their guard when they have it, and not again.
//! What a [`Fence`] at the storage does about their late writes is what is measured:
//!
//! - [`Fence::None`]: every write is taken. Updates that were acknowledged are overwritten.
//! - [`Fence::Writes`]: a write with a token below the highest of all writes is refused. The late
//!   write is kept out when the next holder has *written*; when that one has only *read* yet, the
//!   late write is taken, acknowledged, and then overwritten by the next holder, who never saw it.
//! - [`Fence::Full`]: the read of an update presents the token, too, and raises the mark. Whoever
//!   reads to write later has shut the door behind the one before.
//!
//! # What is seen
//! An update is *lost* when it was acknowledged and is not in the register in the end: the register is
//! the list of all operations that it went through, so that can be told one by one. Besides, what the clients saw is a [history](crate::history) of a
//! register with reads and compare-and-set, in which each update is one compare-and-set from what
//! it read to what it wrote: that is what an update under a lock claims to be. A refused write has
//! had no effect.
//!
//! # Processes
//! The storage and whoever stops workers are in one process ([`Hub`], [`Director`]); each worker is
//! one of its own ([`Crew`](crate::real::Crew)), with a client on a thread of its own. All of them have one clock,
//! [`clock::machine`](crate::real::clock::machine).

mod director;
mod handover;
mod hub;
mod locker;
mod outcome;
mod perform;
mod register;
mod run;
mod ways;
mod wire;
mod worker;

pub use super::storage::Fence;
pub use director::{Director, Done, Pauses, Until};
pub use handover::{Handover, killed, released};
pub use hub::{Hub, Known, Told};
pub use outcome::{Figures, Table};
pub use register::Register;
pub use run::{Plan, Working, pause_test};
pub use wire::{Task, Waits, What};

pub(super) use perform::perform;
pub(crate) use worker::{PART, work};
