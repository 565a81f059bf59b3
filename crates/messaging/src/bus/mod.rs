//! The bus port.
//!
//! A bus takes responsibility for messages and brings each to every group that has subscribed to
//! its topic. What responsibility means is the engine's affair: a broker has written the message
//! to its own disks; the [`embedded`] bus has no memory of its own, so it answers when every
//! group has acknowledged, that is, when the effects are durable in the journal.
//!
//! Promises of every engine (checked by `conformance`):
//!
//! - every published parcel is answered exactly once through [`Receipts`];
//! - messages of one key, `(topic, aggregate_id)`, go to one lane of a group, in the order in
//!   which they were published;
//! - a message that was not acknowledged is either answered with an error or brought again.
//!
//! It promises no more than that: a message may come twice, and one that was refused and
//! published again comes late. The [consumer](crate::consumer) makes both harmless.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
mod receipts;

use std::future::Future;
use std::sync::Arc;

pub use receipts::{Receipt, Receipts};

use crate::Envelope;
use crate::limits::NAME_BYTES_MAX;

/// Why the bus did not take a message, or could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A consumer gave the message back, to be brought again later.
    #[error("a consumer gave the message back")]
    Returned,
    /// A consumer stopped with the message in its hands.
    #[error("a consumer stopped before it had acknowledged the message")]
    Abandoned,
    /// The message or its acknowledgement was lost on the way.
    #[error("the message or its acknowledgement was lost")]
    Lost,
    /// The bus is closed.
    #[error("the bus is closed")]
    Closed,
    /// A subscription came after the bus was opened.
    #[error("{group} subscribes after the bus was opened; subscribe everyone first")]
    Late {
        /// Who subscribes.
        group: String,
    },
    /// The group has subscribed before.
    #[error("{group} has subscribed before")]
    Again {
        /// Who subscribes.
        group: String,
    },
    /// A name of a topic or a group cannot be used.
    #[error(
        "{name:?} cannot name a topic or a group: 1 to {NAME_BYTES_MAX} of a-z, 0-9, '-', '_', '.'"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A group without lanes or topics would never receive anything.
    #[error("{group} subscribes with no lane or no topic")]
    Empty {
        /// Who subscribes.
        group: String,
    },
    /// The engine's own report.
    #[error("the bus failed: {0}")]
    Engine(Arc<str>),
}

/// A message to publish, and the number under which its receipt is filed.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The publisher's number for it.
    pub ticket: u64,
    /// The message.
    pub envelope: Envelope,
}

/// Who wants which messages, in how many lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The group. Every group gets every message of its topics once.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
    /// How many lanes share the work. A key always goes to the same lane.
    pub lanes: usize,
}

impl Subscription {
    /// Checks the names and that there is something to receive.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Empty`].
    pub fn check(&self) -> Result<(), Error> {
        for name in std::iter::once(&self.group).chain(&self.topics) {
            check_name(name)?;
        }
        if self.lanes == 0 || self.topics.is_empty() {
            return Err(Error::Empty { group: self.group.clone() });
        }
        Ok(())
    }
}

/// Names are parts of keys (`<topic>/<aggregate_id>`), so they hold no `/`.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(Error::Name { name: name.to_owned() })
    }
}

/// Brings messages from a publisher to groups of consumers.
pub trait Bus: Send + Sync + 'static {
    /// Where a group receives.
    type Lane: Lane;

    /// Takes parcels, in this order; completes when it has room for the next ones. Each answer
    /// arrives in `receipts`. Dropping the future gives up on the receipts of what it had not
    /// yet taken.
    fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts)
    -> impl Future<Output = ()> + Send;

    /// Adds a group.
    ///
    /// # Errors
    /// The subscription cannot be served; see [`Error`].
    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<Self::Lane>, Error>;
}

/// One lane of a group: some of the keys, all of their messages.
pub trait Lane: Send + 'static {
    /// Waits for at least one message and adds up to `limit` to `into`. Says `false` when the
    /// bus is closed and everything has been handed out. Dropping the future loses nothing.
    fn receive(
        &mut self,
        into: &mut Vec<Incoming>,
        limit: usize,
    ) -> impl Future<Output = bool> + Send;
}

/// A message that has come, and the duty to answer for it.
#[derive(Debug)]
pub struct Incoming {
    /// The message.
    pub envelope: Envelope,
    /// How to answer.
    pub ack: Ack,
}

/// What an engine does with an answer.
pub trait Settle: Send + Sync {
    /// Files the answer for the `index`-th message of whatever this stands for.
    fn settle(&self, index: u32, outcome: Result<(), Error>);
}

/// The duty to answer for a message. Dropping it says [`Error::Abandoned`].
pub struct Ack {
    to: Option<Arc<dyn Settle>>,
    index: u32,
}

impl Ack {
    /// An answer to be filed under `index`.
    #[must_use]
    pub fn new(to: Arc<dyn Settle>, index: u32) -> Self {
        Self { to: Some(to), index }
    }

    /// The message's effect is durable (or it is parked durably): it need not come again.
    pub fn accept(mut self) {
        self.settle(Ok(()));
    }

    /// The message cannot be handled now: bring it again.
    pub fn give_back(mut self) {
        self.settle(Err(Error::Returned));
    }

    fn settle(&mut self, outcome: Result<(), Error>) {
        if let Some(to) = self.to.take() {
            to.settle(self.index, outcome);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.settle(Err(Error::Abandoned));
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Which of `lanes` a key goes to: FNV-1a, then a multiplication that spreads its weak low bits.
#[must_use]
pub fn lane_of(topic: &str, aggregate_id: &str, lanes: usize) -> usize {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    if lanes <= 1 {
        return 0;
    }
    let bytes = topic.bytes().chain(std::iter::once(b'/')).chain(aggregate_id.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(spread).map_or(0, |spread| spread % lanes)
}
