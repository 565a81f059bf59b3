//! What a holder has.

use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::call::{Answer, call};
use super::entry::Ticket;
use crate::event::LossCause;
use crate::port::{Error, Name};

/// What was held is lost: another may hold it now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} (token {token}) is lost; another may hold it now")]
pub struct Lost {
    /// What was held.
    pub name: Name,
    /// Its token.
    pub token: FencingToken,
}

/// Something that is held: a lock, a permit, the lead. Dropping it gives it back, without waiting.
///
/// Put [`Guard::token`] into every write. The guard itself is an opinion, if a cautious one: it
/// gives up before the server does. What keeps a replaced holder out is the token, at the storage.
///
/// It is lost when its session is (see [`Client`](super::Client)), and when somebody else has taken
/// its entry out of the queue, as an operator may. The keeper asks the server for that once in
/// [`Options::ask_every`](crate::Options::ask_every): one request for each guard that is held for
/// longer than half of that, rather than a watch for each that is held at all.
#[must_use = "dropping a guard gives back what it holds"]
#[derive(Debug)]
pub struct Guard {
    ticket: Ticket,
    token: FencingToken,
    waited: Duration,
    contended: bool,
}

impl Guard {
    pub(super) fn new(
        ticket: Ticket,
        token: FencingToken,
        waited: Duration,
        contended: bool,
    ) -> Self {
        Self { ticket, token, waited, contended }
    }

    /// What is held.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.ticket.entry.name
    }

    /// The token that belongs into every write. It remains the same as long as this is held, and
    /// may be used after it is lost: then the storage decides.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Until when it may be relied on, unless the session is renewed.
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.ticket.entry.lease.deadline()
    }

    /// How long it took to get, from the asking.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether others were ahead.
    #[must_use]
    pub fn contended(&self) -> bool {
        self.contended
    }

    /// Whether it may be relied on now. Cheap; ask before each piece of work.
    ///
    /// # Errors
    /// [`Lost`], and from then on always.
    pub fn check(&self) -> Result<FencingToken, Lost> {
        let entry = &self.ticket.entry;
        let held = !entry.is_evicted() && self.ticket.handle.shared.is_live(&entry.lease);
        if held { Ok(self.token) } else { Err(self.loss()) }
    }

    /// Completes when it is lost, no later than [`Guard::deadline`].
    pub async fn lost(&self) -> Lost {
        let entry = &self.ticket.entry;
        self.ticket.handle.shared.lost(&entry.lease, Some(entry)).await;
        self.loss()
    }

    fn loss(&self) -> Lost {
        Lost { name: self.name().clone(), token: self.token }
    }

    fn over(&self) -> Error {
        Error::Over { name: self.name().clone(), token: self.token }
    }

    /// Changes what others read in its entry.
    ///
    /// A change that was not answered may still arrive, on an engine with several connections also
    /// after a later one, and stands then. What must be right in the end is to be set from time to
    /// time, or belongs into a register.
    ///
    /// # Errors
    /// [`Error::Over`] when it is lost; [`Error::TooLarge`]; [`Error::Unavailable`] or
    /// [`Error::Timeout`] when it is not known whether the value was changed: set it again.
    pub async fn set(&self, value: &[u8]) -> Result<(), Error> {
        let shared = &self.ticket.handle.shared;
        super::check_value(value)?;
        self.check().map_err(|_| self.over())?;
        let entry = &self.ticket.entry;
        let work = shared.coordinator.set(&entry.name, self.token, value);
        match call(shared, &entry.lease, None, work).await {
            Answer::Given(Err(error @ Error::Over { .. })) => {
                shared.evict(entry);
                Err(error)
            }
            Answer::Given(answer) => answer,
            Answer::Late(waited) => Err(Error::Timeout { name: self.name().clone(), waited }),
            Answer::Lost => Err(self.over()),
        }
    }

    /// Gives it back, and waits for the server to say so. Dropping it does the same without
    /// waiting.
    ///
    /// # Errors
    /// [`Error::Over`] when it was lost before: another may have held it meanwhile. After any
    /// other error it is not known yet whether the server has heard; it is asked again until it
    /// has, as after a drop.
    pub async fn release(mut self) -> Result<(), Error> {
        self.check().map_err(|_| self.over())?;
        let entry = std::sync::Arc::clone(&self.ticket.entry);
        let shared = std::sync::Arc::clone(&self.ticket.handle.shared);
        let started = shared.clock.monotonic();
        shared.give_back(&entry);
        let work = shared.coordinator.leave(&entry.name, self.token);
        match call(&shared, &entry.lease, None, work).await {
            Answer::Given(Ok(())) => {
                self.ticket.settled();
                Ok(())
            }
            Answer::Given(Err(error)) => Err(error),
            Answer::Late(waited) => Err(Error::Timeout { name: entry.name.clone(), waited }),
            Answer::Lost if entry.lease.loss() == Some(Some(LossCause::Server)) => Ok(()),
            // The session is given up, and the server is told so. It may not have heard it yet.
            Answer::Lost => {
                let waited = shared.clock.monotonic() - started;
                Err(Error::Timeout { name: entry.name.clone(), waited })
            }
        }
    }
}
