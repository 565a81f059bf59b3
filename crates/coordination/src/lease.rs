//! The guard that a holder has.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};
use tokio::sync::Notify;

use crate::coordinator::{Coordinator, Error};
use crate::options::{Invalid, Options};

/// Asks a coordinator for leases of one length. Clones are the same.
#[derive(Clone)]
pub struct Leases {
    coordinator: Arc<dyn Coordinator>,
    clock: Clock,
    options: Options,
}

impl Leases {
    /// Leases of `options.length` from a coordinator.
    ///
    /// # Errors
    /// [`Invalid`] when the length does not outlast clock skew and round trip.
    pub fn new(
        coordinator: Arc<dyn Coordinator>,
        clock: Clock,
        options: Options,
    ) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { coordinator, clock, options })
    }

    /// Asks for the lease on a resource, once.
    ///
    /// # Errors
    /// [`Error::Held`] when another holds it; see [`Error`].
    pub async fn acquire(&self, resource: &str) -> Result<Lease, Error> {
        let sent = self.clock.monotonic();
        let grant = self.coordinator.grant(resource, self.options.length).await?;
        let state = State { deadline: sent + self.options.usable(), lost: false };
        let lease = Lease {
            coordinator: Arc::clone(&self.coordinator),
            clock: self.clock.clone(),
            options: self.options,
            resource: resource.to_owned(),
            token: grant.token,
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        // An answer that took longer than the lease is useless; dropping it gives it back.
        match lease.check() {
            Ok(_) => Ok(lease),
            Err(Lost { token, .. }) => Err(Error::Over { resource: resource.to_owned(), token }),
        }
    }

    /// Waits for the lease on a resource: asks again when the current one should end, and
    /// at least every [`Options::ask_every`].
    ///
    /// # Errors
    /// The name cannot be used. Everything else is waited for.
    pub async fn wait(&self, resource: &str) -> Result<Lease, Error> {
        loop {
            let pause = match self.acquire(resource).await {
                Ok(lease) => return Ok(lease),
                Err(error @ Error::Name { .. }) => return Err(error),
                Err(Error::Held { remaining, .. }) => remaining.min(self.options.ask_every),
                Err(Error::Over { .. }) => Duration::ZERO,
                Err(error @ (Error::Full { .. } | Error::Unavailable(_))) => {
                    tracing::warn!(resource, %error, "no lease yet; asking again");
                    self.options.ask_every
                }
            };
            self.clock.sleep(pause.max(Duration::from_millis(1))).await;
        }
    }
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The lease is lost: another may hold it now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease on {resource} (token {token}) is lost; another may hold it now")]
pub struct Lost {
    /// What was leased.
    pub resource: String,
    /// The token of the lease.
    pub token: FencingToken,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Until when the holder may rely on it.
    deadline: Monotonic,
    /// Once lost, a lease stays lost, whatever answers still come.
    lost: bool,
}

/// A lease that is held. Dropping it releases it, without waiting.
///
/// Poll [`Lease::keep_alive`] beside the work that it protects, and put [`Lease::token`] into
/// every write. The guard is an opinion, if a cautious one: it gives up before the coordinator
/// does. What keeps a replaced holder out is the token.
#[must_use = "dropping a lease releases it"]
pub struct Lease {
    coordinator: Arc<dyn Coordinator>,
    clock: Clock,
    options: Options,
    resource: String,
    token: FencingToken,
    state: Mutex<State>,
    changed: Notify,
}

impl Lease {
    /// What is leased.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The token that belongs into every write under this lease. It remains the same through
    /// all renewals, and may be used after the lease is lost: then the storage decides.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.token
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it may be relied on, unless it is renewed; before the coordinator's own end by
    /// [`Options::margin`].
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.state().deadline
    }

    /// Whether it may be relied on now. Cheap; ask before each piece of work.
    ///
    /// # Errors
    /// [`Lost`], and from then on always.
    pub fn check(&self) -> Result<FencingToken, Lost> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.lost |= now >= state.deadline;
        if state.lost { Err(self.loss()) } else { Ok(self.token) }
    }

    fn loss(&self) -> Lost {
        Lost { resource: self.resource.clone(), token: self.token }
    }

    /// Completes when the lease is lost: its deadline has passed without a renewal, or the
    /// coordinator has said so.
    pub async fn lost(&self) -> Lost {
        loop {
            let changed = self.changed.notified();
            if let Err(lost) = self.check() {
                return lost;
            }
            let deadline = self.deadline();
            let _ = first(self.clock.sleep_until(deadline), changed).await;
        }
    }

    /// Renews the lease until it is lost: after a third of its length, and again soon when that
    /// fails. Completes with the loss, no later than [`Lease::deadline`].
    pub async fn keep_alive(&self) -> Lost {
        let mut next = self.clock.monotonic() + self.options.renew_after();
        loop {
            let deadline = self.deadline();
            self.clock.sleep_until(next.min(deadline)).await;
            let sent = self.clock.monotonic();
            if let Err(lost) = self.check() {
                return self.lose(lost);
            }
            let renewal = self.coordinator.renew(&self.resource, self.token);
            match self.clock.timeout(deadline - sent, renewal).await {
                Ok(Ok(())) => {
                    if let Err(lost) = self.extend(sent + self.options.usable()) {
                        return self.lose(lost);
                    }
                    next = sent + self.options.renew_after();
                }
                Ok(Err(Error::Unavailable(error))) => {
                    let resource = &self.resource;
                    tracing::warn!(resource, %error, "a lease was not renewed; asking again");
                    next = self.clock.monotonic() + self.options.renew_after() / 4;
                }
                Ok(Err(_)) | Err(_) => return self.lose(self.loss()),
            }
        }
    }

    /// A renewal that comes too late renews nothing.
    fn extend(&self, deadline: Monotonic) -> Result<(), Lost> {
        self.check()?;
        let mut state = self.state();
        state.deadline = state.deadline.max(deadline);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn lose(&self, lost: Lost) -> Lost {
        self.state().lost = true;
        self.changed.notify_waiters();
        tracing::warn!(resource = self.resource, token = %self.token, "a lease is lost");
        lost
    }
}

/// Waits for the first of two.
async fn first(
    sleep: steadfast_time::Sleep,
    changed: impl Future<Output = ()>,
) -> futures::future::Either<(), ()> {
    use futures::future::{Either, select};
    match select(sleep, std::pin::pin!(changed)).await {
        Either::Left(_) => Either::Left(()),
        Either::Right(_) => Either::Right(()),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.coordinator.release(&self.resource, self.token);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resource, token, .. } = self;
        let deadline = self.deadline();
        f.debug_struct("Lease")
            .field("resource", resource)
            .field("token", token)
            .field("deadline", &deadline)
            .finish_non_exhaustive()
    }
}
