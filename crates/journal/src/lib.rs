//! One value, one transaction, one group commit.
//!
//! Most ways to double-charge a customer come from two writes that should have been one: the
//! order is stored and the message is not, the message is handled and the mark that it was is
//! not, the answer is sent and the key that would have recognised the retry is lost. Here
//! everything that must happen together is one [`Write`]. A journal commits it whole or not at
//! all, many writes per `fsync`, and answers a writer only after its bytes are durable.
//!
//! | in a [`Write`] | keeps |
//! |---|---|
//! | [`Claim`] | one effect per idempotency key; the answer is replayed byte for byte |
//! | [`Fence`] | a replaced owner out |
//! | [`Guard`] | a counter within its bounds |
//! | [`Append`] | one history per stream, each event chained to its predecessor by a hash |
//! | [`Message`] | no event without its message: the outbox, in commit order |
//! | [`Processed`] | one effect per message: the inbox |
//! | [`TimerChange`] | what must happen later |
//! | [`RecordChange`] | small keyed state: read models, checkpoints, snapshots |
//!
//! [`Journal`] is the handle: [`Journal::commit`] to write, [`Store`] to read, [`Feed`] to
//! follow. The engines are [`memory`] (which can crash at any step, for simulation) and
//! `sqlite`; `conformance`, behind the feature of that name, is the suite that every engine
//! passes.
//!
//! On top: [`projection`] for read models, [`snapshot`] for long streams, [`upcast`] for events
//! of old schemas, [`verify`] for the chain of hashes.
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
mod event;
mod feed;
mod hash;
mod journal;
pub mod limits;
pub mod memory;
pub mod projection;
mod queue;
pub mod snapshot;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod store;
mod stream;
pub mod upcast;
pub mod verify;
mod write;
mod writer;

pub use engine::{Applied, Engine, Pruned};
pub use error::{Error, Refusal, StorageError};
pub use event::{Event, NewEvent, Position, Recorded, Version};
pub use feed::{Batch, Feed};
pub use hash::{ChainBreak, Hash};
pub use journal::{Journal, Stats};
pub use store::{Claimed, Head, MessageStatus, OutboxRow, Store};
pub use stream::{StreamId, StreamIdError};
pub use write::{
    Append, Claim, Committed, Expected, Fence, Guard, Message, MessageRef, OutboxChange, Processed,
    RecordChange, StoredResponse, Timer, TimerChange, Write,
};
pub use writer::{Writer, WriterThread};

/// The examples of the README are run as tests.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
