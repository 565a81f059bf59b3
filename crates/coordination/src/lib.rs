//! Fenced ownership on any engine.
//!
//! Some work must be done by one process at a time, or by at most N: one dispatcher per zone, one
//! relay per journal. A lock says who should do it; it cannot say who *does*, for a process may stall
//! in the middle of a step, and its next write is already on the way. So everything that is held here
//! has a [`FencingToken`](steadfast_fencing::FencingToken), higher than those of all earlier holders,
//! by which the storage refuses the late write. The lock makes two holders rare; the token makes them
//! harmless.
//!
//! - [`port`] is what an engine can do: sessions, ordered entries, registers. [`engine`] has them:
//!   `embedded`, `postgres`, `etcd`, `zookeeper`, `redis`, and `memory` for simulations. One
//!   conformance suite (`conformance`) holds them to the same promises.
//! - [`client`] keeps one session at an engine: renewals, guaranteed releases, losses that are
//!   noticed. [`Guard`] is what a holder has.
//! - [`recipe`] arranges entries and registers, once for all engines: [`Lock`], [`RwLock`],
//!   [`Semaphore`], [`Election`], [`Sequence`], [`Counter`], membership.
//! - [`quorum`] is the arithmetic of N, W, R and a replicated register; [`ring`] consistent hashing.
//! - [`event`] says what happens, for metrics and logs.
#![forbid(unsafe_code)]

pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod engine;
pub mod event;
pub mod limits;
mod options;
pub mod port;
pub mod quorum;
pub mod recipe;
pub mod redlock;
pub mod ring;

pub use client::{Client, Guard, Keeper, Lost, Patience, Session, SessionLost, Stalls};
pub use options::{Invalid, Options};
pub use port::{Coordinator, Error, Name, NameError};
pub use recipe::{Counter, Election, Leader, Lock, Permit, ReadGuard, RwLock, Semaphore, Sequence};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
