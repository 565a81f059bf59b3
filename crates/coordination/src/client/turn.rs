//! The wait for one's turn.
//!
//! An attempt asks for an entry, and while others are ahead waits for the nearest of them to be
//! gone. It asks for its place again then, and at least every
//! [`Options::ask_every`](crate::Options::ask_every), should the news of it have been lost.
//!
//! Three things make it safe:
//!
//! - **A turn counts only while the session does.** The server's answer may be old: it was sent while
//!   the session was alive, and read after the process had stood still. So the session is looked at
//!   once more, by our own count and after the answer, before a guard is given. (etcd's lock lacked
//!   this once, its election does still.)
//! - **An entry that may exist is never forgotten**: from the first request on there is a
//!   [`Ticket`], and wherever the attempt is dropped, the keeper sees to it.
//! - **It ends in time.** Every request has a limit; the end of the patience is a moment, not a
//!   number of tries.
//!
//! An attempt that loses its session while it waits queues again under the next one, at the end of
//! the line: order of arrival is kept among those whose sessions live. One whose entry was taken out
//! of the queue by somebody else ends in [`Error::Over`]: that was meant.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::call::{Answer, call};
use super::entry::{Entry, Ticket};
use super::guard::Guard;
use super::lease::Lease;
use super::patience::Patience;
use super::shared::{NoSession, Shared};
use super::{Client, Handle};
use crate::event::Event;
use crate::port::{Error, Mode, Name, Place};

/// One attempt to hold something.
pub(super) struct Attempt<'a> {
    client: &'a Client,
    name: &'a Name,
    mode: Mode,
    value: Arc<[u8]>,
    patience: Patience,
    started: Monotonic,
    /// When it ends at the latest.
    end: Option<Monotonic>,
    contended: bool,
    /// What went wrong last, to be told when patience ends.
    last: Option<Error>,
    /// Whether it is still to be reported that it came to nothing.
    open: bool,
    /// Whether nothing is reported of the attempt: it is a part of something else.
    quiet: bool,
    /// Whether nothing is reported of what becomes of its entry.
    hidden: bool,
}

/// Why there is no turn under one session.
enum Stop {
    /// The session was lost.
    Session,
    /// The attempt is over.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        client: &'a Client,
        name: &'a Name,
        mode: Mode,
        value: &[u8],
        patience: Patience,
    ) -> Self {
        let shared = &client.handle.shared;
        let started = shared.clock.monotonic();
        let end = match patience {
            Patience::Try => Some(started + shared.options.call_limit()),
            Patience::Until(end) => Some(end),
            Patience::Forever => None,
        };
        Self {
            client,
            name,
            mode,
            value: value.into(),
            patience,
            started,
            end,
            contended: false,
            last: None,
            open: true,
            quiet: false,
            hidden: false,
        }
    }

    /// The same, but nothing is reported of its entry.
    pub(super) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The same, but nothing is reported of the attempt.
    pub(super) fn quietly(mut self) -> Self {
        (self.quiet, self.open) = (true, false);
        self
    }

    fn handle(&self) -> &'a Arc<Handle> {
        &self.client.handle
    }

    fn shared(&self) -> &'a Shared {
        &self.client.handle.shared
    }

    /// Waits for the turn.
    pub(super) async fn run(mut self) -> Result<Guard, Error> {
        loop {
            let lease = match self.shared().lease(self.patience, self.end).await {
                Ok(lease) => lease,
                Err(NoSession::Never(error)) => return Err(error),
                Err(NoSession::Late(error)) => {
                    self.last = error.or_else(|| self.last.take());
                    return Err(self.late());
                }
            };
            match self.queue(lease).await {
                Ok(guard) => {
                    self.open = false;
                    return Ok(guard);
                }
                Err(Stop::Session) => {}
                Err(Stop::Error(error)) => return Err(error),
            }
        }
    }

    /// Waits for the turn under one session.
    async fn queue(&mut self, lease: Arc<Lease>) -> Result<Guard, Stop> {
        let id = self.client.ids.next(self.shared().clock.now());
        let value = Arc::clone(&self.value);
        let handle = Arc::clone(self.handle());
        let new = Entry::new(Arc::clone(&lease), self.name.clone(), self.mode, value, id);
        let mut ticket = Ticket::new(handle, if self.hidden { new.hidden() } else { new });
        let mut place = self.enter(&mut ticket).await?;
        let token = place.token;
        ticket.entered(token);
        let mut early = 0;
        while let Some(ahead) = place.ahead {
            if !self.contended {
                self.contended = true;
                let (name, depth) = (self.name.clone(), place.depth);
                self.report(&Event::Contended { name, depth });
            }
            let told = self.wait(&lease, ahead, early).await?;
            place = self.place(&mut ticket, token).await?;
            // The news may come early. When it does so again and again, ask less often; who asks
            // because it is time to has been told nothing.
            early = if told && place.ahead == Some(ahead) { early + 1 } else { 0 };
        }
        if !self.shared().hold(&ticket.entry, token) {
            return Err(Stop::Session);
        }
        let waited = self.shared().clock.monotonic() - self.started;
        let (name, contended) = (self.name.clone(), self.contended);
        self.report(&Event::Acquired { name, token, waited, contended });
        Ok(Guard::new(ticket, token, waited, contended))
    }

    fn report(&self, event: &Event) {
        if !self.quiet {
            self.shared().emit(event);
        }
    }

    /// Asks for an entry until there is an answer.
    async fn enter(&mut self, ticket: &mut Ticket) -> Result<Place, Stop> {
        let wait = self.patience != Patience::Try;
        let entry = Arc::clone(&ticket.entry);
        let mut failures = 0;
        loop {
            ticket.ask();
            let work = self.shared().coordinator.enter(&entry.name, entry.request(wait));
            match call(self.shared(), &entry.lease, self.end, work).await {
                Answer::Given(Ok(place)) => return Ok(place),
                Answer::Given(Err(Error::SessionOver { session })) => {
                    ticket.settled();
                    self.shared().session_over(session);
                    return Err(Stop::Session);
                }
                Answer::Given(Err(error @ Error::Busy { .. })) => {
                    ticket.settled();
                    return Err(error.into());
                }
                Answer::Given(Err(error @ Error::Unavailable { .. })) => self.last = Some(error),
                Answer::Given(Err(error)) => {
                    ticket.refused();
                    return Err(error.into());
                }
                Answer::Late(_) => {}
                Answer::Lost => return Err(Stop::Session),
            }
            if !wait {
                return Err(self.late().into());
            }
            self.pause(&entry.lease, failures).await?;
            failures += 1;
        }
    }

    /// Asks for the entry's place until there is an answer.
    async fn place(&mut self, ticket: &mut Ticket, token: FencingToken) -> Result<Place, Stop> {
        let entry = Arc::clone(&ticket.entry);
        let mut failures = 0;
        loop {
            let work = self.shared().coordinator.place(&entry.name, token);
            match call(self.shared(), &entry.lease, self.end, work).await {
                Answer::Given(Ok(place)) => return Ok(place),
                Answer::Given(Err(error @ Error::Over { .. })) => {
                    ticket.settled();
                    return Err(self.gone(&entry.lease, error).await);
                }
                Answer::Given(Err(error @ Error::Unavailable { .. })) => self.last = Some(error),
                Answer::Given(Err(Error::SessionOver { session })) => {
                    self.shared().session_over(session);
                    return Err(Stop::Session);
                }
                Answer::Given(Err(error)) => return Err(error.into()),
                Answer::Late(_) => {}
                Answer::Lost => return Err(Stop::Session),
            }
            self.pause(&entry.lease, failures).await?;
            failures += 1;
        }
    }

    /// The entry has gone while it waited: with its session, or because somebody took it out. The
    /// server knows which.
    async fn gone(&mut self, lease: &Lease, error: Error) -> Stop {
        let mut failures = 0;
        loop {
            let work = self.shared().coordinator.renew(lease.session);
            match call(self.shared(), lease, self.end, work).await {
                Answer::Given(Ok(())) => return error.into(),
                Answer::Given(Err(Error::SessionOver { session })) => {
                    self.shared().session_over(session);
                    return Stop::Session;
                }
                Answer::Given(Err(other)) => self.last = Some(other),
                Answer::Late(_) => {}
                Answer::Lost => return Stop::Session,
            }
            if let Err(stop) = self.pause(lease, failures).await {
                return stop;
            }
            failures += 1;
        }
    }

    /// Waits until the one ahead is gone, or it is time to ask. Says whether the server has said that
    /// it is gone, or would not tell.
    async fn wait(&mut self, lease: &Lease, ahead: FencingToken, early: u32) -> Result<bool, Stop> {
        if early > 0 {
            self.pause(lease, early - 1).await?;
        }
        let shared = self.shared();
        let ask = shared.clock.monotonic() + shared.options.ask_every;
        let until = self.end.map_or(ask, |end| end.min(ask));
        let gone = shared.coordinator.gone(self.name, ahead);
        let lost = std::pin::pin!(shared.lost(lease, None));
        let stop = select(lost, shared.clock.sleep_until(until));
        match select(gone, stop).await {
            Either::Left((Ok(()), _)) => Ok(true),
            Either::Left((Err(error), _)) => {
                self.last = Some(error);
                self.pause(lease, early).await?;
                Ok(true)
            }
            Either::Right((Either::Left(_), _)) => Err(Stop::Session),
            Either::Right((Either::Right(_), _)) => self.still_patient().map(|()| false),
        }
    }

    /// Waits a little, after so many failures in a row.
    async fn pause(&mut self, lease: &Lease, failures: u32) -> Result<(), Stop> {
        self.still_patient()?;
        let shared = self.shared();
        let until = shared.clock.monotonic() + shared.options.backoff(failures);
        let until = self.end.map_or(until, |end| end.min(until));
        let lost = std::pin::pin!(shared.lost(lease, None));
        match select(lost, shared.clock.sleep_until(until)).await {
            Either::Left(_) => Err(Stop::Session),
            Either::Right(_) => self.still_patient(),
        }
    }

    fn still_patient(&mut self) -> Result<(), Stop> {
        let now = self.shared().clock.monotonic();
        if self.end.is_some_and(|end| now >= end) { Err(self.late().into()) } else { Ok(()) }
    }

    /// What to say when the patience has ended.
    fn late(&mut self) -> Error {
        let waited = self.shared().clock.monotonic() - self.started;
        match (self.patience, self.last.take()) {
            (Patience::Try, Some(error)) => error,
            (Patience::Try, None) => self.client.silent(waited),
            _ => Error::Timeout { name: self.name.clone(), waited },
        }
    }

    fn waited(&self) -> Duration {
        self.shared().clock.monotonic() - self.started
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open {
            let (name, waited) = (self.name.clone(), self.waited());
            self.shared().emit(&Event::Abandoned { name, waited });
        }
    }
}
