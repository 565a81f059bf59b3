//! What a session's users and its keeper both see: until when it may be relied on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use steadfast_time::Monotonic;
use tokio::sync::Notify;

use super::machine::Live;
use crate::event::LossCause;
use crate::port::SessionId;

/// One session of a client. Written under the client's lock only; read without it, since a holder
/// asks before each piece of its work.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) session: SessionId,
    /// [`Live::deadline`], in nanoseconds.
    deadline: AtomicU64,
    /// [`Live::sent`], in nanoseconds.
    sent: AtomicU64,
    /// Set once: that it is lost, and why if it was not given back.
    lost: OnceLock<Option<LossCause>>,
    /// Rung when it is lost, and when one of its entries is.
    pub(super) changed: Notify,
}

impl Lease {
    pub(super) fn new(live: &Live) -> Self {
        Self {
            session: live.session,
            deadline: AtomicU64::new(live.deadline.as_nanos()),
            sent: AtomicU64::new(live.sent.as_nanos()),
            lost: OnceLock::new(),
            changed: Notify::new(),
        }
    }

    pub(super) fn renew(&self, live: &Live) {
        self.sent.store(live.sent.as_nanos(), Ordering::Release);
        self.deadline.store(live.deadline.as_nanos(), Ordering::Release);
    }

    pub(super) fn lose(&self, cause: Option<LossCause>) {
        let _ = self.lost.set(cause);
    }

    pub(super) fn deadline(&self) -> Monotonic {
        Monotonic::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    /// When the request was sent from which the deadline counts.
    pub(super) fn sent(&self) -> Monotonic {
        Monotonic::from_nanos(self.sent.load(Ordering::Acquire))
    }

    /// Whether its loss has been noticed, and the cause if there is one.
    pub(super) fn loss(&self) -> Option<Option<LossCause>> {
        self.lost.get().copied()
    }
}
