//! The pause test: does a lock keep updates from being lost when its holder stands still?
//!
//! A register lies at a *storage*. Worker processes update it: lock, read, wait, write what was read
//! and one operation of their own, unlock. Each update is right only if nobody else wrote between
//! its read and its write, which is what the lock is for. Meanwhile a [`director`] stops workers
//! (`SIGSTOP`) for longer than their sessions live, and lets them go on. Such a worker finds itself
//! in the middle of its update, and writes: no program looks at its lock between two instructions.
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
//! # What is checked
//!
//! An update is *lost* when it was acknowledged and is not in the register in the end: the register
//! is the list of all operations that it went through, so that can be told one by one. Besides, what
//! the clients saw is written down ([`history`]) and must be linearizable as a register with reads
//! and compare-and-set, in which each update is one compare-and-set from what it read to what it
//! wrote: that is what an update under a lock claims to be. A refused write has had no effect.
//!
//! # Processes
//!
//! The storage and the director are in one process ([`hub`]); each worker is one of its own, this
//! program again ([`role`]), with a client on a thread of its own. All of them have one clock,
//! [`clock::machine`].
#![allow(dead_code, reason = "each program uses a part of it")]

pub mod clock;
pub mod crew;
pub mod director;
pub mod engine;
pub mod history;
pub mod hub;
pub mod outcome;
pub mod role;
pub mod run;
pub mod scratch;
pub mod storage;
pub mod wire;
pub mod worker;

pub use storage::Fence;

/// What can go wrong in the rig itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the rig gives.
pub type Outcome<T> = Result<T, Failure>;
