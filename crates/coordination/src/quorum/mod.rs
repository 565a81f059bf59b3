//! Quorums: what `N`, `W` and `R` promise, and what they cannot.
//!
//! With data on `N` replicas, a write that `W` of them took and a read that asks `R` of them meet in
//! at least one replica when `W + R > N`. That is enough to *find* the latest write, and less than
//! most people think (Kleppmann, *Designing Data-Intensive Applications*, chapter 9, "Linearizability
//! and quorums"): a read that finds a write on one replica of three must bring it to a majority
//! before it answers, or the next read may miss it again.
//!
//! - [`Quorum`] is the arithmetic as a type: it cannot be made of numbers that do not overlap, unless
//!   one asks for it by the name [`Quorum::partial`], which is another type.
//! - [`Register`] is the register of Attiya, Bar-Noy and Dolev ("Sharing Memory Robustly in
//!   Message-Passing Systems", JACM 1995) for many writers, with read repair before the answer: it is
//!   linearizable, and needs no leader, no lease and no clock.
//! - [`Replica`] is what it needs of a node: [`MemoryReplica`] for tests, [`CoordinatorReplica`] over
//!   the registers of independent coordination servers.
//!
//! # Why a quorum cannot count
//!
//! A register remembers what was written last. To count, a client reads 5 and writes 6; another
//! one, at the same time, does the same, and both are told that all is well: one of two increments is
//! lost, with every read and write linearizable. No choice of `N`, `W` and `R` helps, because what
//! is missing is the comparison *at the moment of the write*: a compare-and-set has the power of
//! consensus, reads and writes have not (Herlihy, "Wait-Free Synchronization", 1991). So whatever
//! counts, such as a zone's dispatches, uses [`Counter`](crate::Counter), on a coordinator's
//! compare-and-set, or the journal's guards. `examples/quorum.rs` shows both.

mod arithmetic;
mod register;
mod replica;

pub use arithmetic::{Partial, Quorum, Unsafe, majority};
pub use register::{Error, Options, ReadRepair, Register, Written};
pub use replica::{CoordinatorReplica, MemoryReplica, Replica, ReplicaError, Tag, Tagged};
