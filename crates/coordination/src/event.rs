//! What recipes report: one typed event per thing that happened, for metrics, logs and tests.

use std::sync::Arc;
use std::time::Duration;

use steadfast_fencing::FencingToken;

use crate::port::{Name, SessionId};

/// Something that happened to a client of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session was opened.
    SessionOpened {
        /// Its number.
        session: SessionId,
    },
    /// A session was renewed in time.
    SessionRenewed {
        /// Its number.
        session: SessionId,
        /// How much time was left when the answer came: the near-expiry margin.
        margin: Duration,
    },
    /// A session was lost; all that was held under it is lost with it.
    SessionLost {
        /// Its number.
        session: SessionId,
        /// Why.
        cause: LossCause,
    },
    /// An entry has to wait.
    Contended {
        /// What for.
        name: Name,
        /// How many are ahead, or the least that is known.
        depth: u32,
    },
    /// It is an entry's turn: a lock, permit or leadership is held.
    Acquired {
        /// What is held.
        name: Name,
        /// Its token.
        token: FencingToken,
        /// How long it took from the asking.
        waited: Duration,
        /// Whether it had to wait for another.
        contended: bool,
    },
    /// An attempt ended without a turn: refused, or out of patience.
    Abandoned {
        /// What was asked for.
        name: Name,
        /// How long was waited.
        waited: Duration,
    },
    /// A holder gave back what it held.
    Released {
        /// What was held.
        name: Name,
        /// Its token.
        token: FencingToken,
        /// For how long.
        held: Duration,
    },
    /// A holder lost what it held.
    Lost {
        /// What was held.
        name: Name,
        /// Its token.
        token: FencingToken,
        /// For how long it had been held.
        held: Duration,
    },
    /// This node may hold nothing any more.
    Quarantined {
        /// Why.
        reason: Arc<str>,
    },
    /// This node may hold leases again.
    Readmitted,
}

/// Why a session is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// No renewal was answered before the holder's own deadline.
    Deadline,
    /// The server said that it is over.
    Server,
    /// The process stood still for longer than the lease can bear.
    Stall,
    /// The node was quarantined.
    Quarantine,
    /// More releases were unanswered than can be kept in mind: ending the session ends them all.
    Releases,
}

/// Hears of every event. Called within the operation, so it must be quick and must not block; it may
/// use the client. What happens on several threads at once may be told in either order.
pub trait Listener: Send + Sync + 'static {
    /// Something has happened.
    fn on(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Listener for F {
    fn on(&self, event: &Event) {
        self(event);
    }
}
