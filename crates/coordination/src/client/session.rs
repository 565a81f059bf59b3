//! A session, as those see it who tie their own things to it.

use std::sync::Arc;

use steadfast_time::Monotonic;

use super::Handle;
use super::lease::Lease;
use crate::event::LossCause;
use crate::port::SessionId;

/// The session of a [`Client`](super::Client) at one time. The client may have another one later.
///
/// It is a view: dropping it ends nothing.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    lease: Arc<Lease>,
}

/// The session has ended, and its entries with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session {session} is lost, and what was held under it")]
pub struct SessionLost {
    /// The session.
    pub session: SessionId,
    /// Why; `None` when it was given back.
    pub cause: Option<LossCause>,
}

impl Session {
    pub(super) const fn new(handle: Arc<Handle>, lease: Arc<Lease>) -> Self {
        Self { handle, lease }
    }

    /// Its number at the engine.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.lease.session
    }

    /// Until when it may be relied on, unless it is renewed; before the server's own end by at least
    /// [`Options::margin`](crate::Options::margin).
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.lease.deadline()
    }

    /// Whether it may be relied on now. Cheap.
    ///
    /// # Errors
    /// [`SessionLost`], and from then on always.
    pub fn check(&self) -> Result<(), SessionLost> {
        if self.handle.shared.is_live(&self.lease) { Ok(()) } else { Err(self.loss()) }
    }

    /// Completes when it is lost.
    pub async fn lost(&self) -> SessionLost {
        self.handle.shared.lost(&self.lease, None).await;
        self.loss()
    }

    fn loss(&self) -> SessionLost {
        SessionLost { session: self.id(), cause: self.lease.loss().flatten() }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}
