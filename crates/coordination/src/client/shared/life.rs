//! What becomes of the session: opened, renewed, lost, refused, closed; and those who wait for it.

use std::sync::Arc;

use futures::future::select;

use super::{NoSession, Shared};
use crate::client::entry::Entry;
use crate::client::lease::Lease;
use crate::client::machine::{Change, Next};
use crate::client::patience::Patience;
use crate::event::{Event, LossCause};
use crate::port::{Error, Opened, SessionId};
use steadfast_time::Monotonic;

impl Shared {
    /// What the keeper has to do now.
    pub(in crate::client) fn next(&self) -> Next {
        self.with(|state, now| state.machine.next(now))
    }

    pub(in crate::client) fn opened(&self, answer: Result<Opened, Error>) {
        self.with(|state, now| {
            let answer = answer.map_err(|error| {
                if !error.is_transient() {
                    state.machine.unwant();
                }
                state.failed = (state.failed.0 + 1, Some(error));
            });
            let change = state.machine.opened(now, answer.ok());
            if matches!(change, Some(Change::Useless(_))) {
                state.failed.0 += 1;
            }
            self.apply(state, now, change);
            self.look(state, now);
            state.later.changed = true;
        });
    }

    pub(in crate::client) fn renewed(&self, session: SessionId, answered: bool) {
        self.with(|state, now| {
            let change = state.machine.renewed(now, session, answered);
            self.apply(state, now, change);
        });
    }

    /// The server says that a session is over.
    pub(in crate::client) fn session_over(&self, session: SessionId) {
        self.lose(session, LossCause::Server);
    }

    fn lose(&self, session: SessionId, cause: LossCause) {
        self.with(|state, now| {
            let change = state.machine.lose(session, now, Some(cause));
            self.apply(state, now, change);
        });
    }

    pub(in crate::client) fn quarantine(&self, reason: &str) {
        self.with(|state, now| {
            if state.machine.quarantined().is_some_and(|before| **before == *reason) {
                return;
            }
            let reason: Arc<str> = reason.into();
            state.later.events.push(Event::Quarantined { reason: Arc::clone(&reason) });
            let change = state.machine.quarantine(now, reason);
            self.apply(state, now, change);
            state.later.changed = true;
        });
    }

    pub(in crate::client) fn readmit(&self) {
        self.with(|state, _| {
            if state.machine.readmit() {
                state.later.events.push(Event::Readmitted);
                state.later.wake = true;
            }
        });
    }

    /// Gives everything back, for good.
    pub(in crate::client) fn close(&self) {
        self.with(|state, now| {
            if !state.machine.is_closed() {
                let change = state.machine.close();
                self.apply(state, now, change);
                state.later.wake = true;
                state.later.changed = true;
            }
        });
    }

    /// The keeper has ended.
    pub(in crate::client) fn finish(&self) {
        self.close();
        self.with(|state, _| {
            state.finished = true;
            state.later.changed = true;
        });
    }

    /// Completes when the keeper has ended.
    pub(in crate::client) async fn finished(&self) {
        loop {
            let changed = self.changed.notified();
            if self.with(|state, _| state.finished) {
                return;
            }
            changed.await;
        }
    }

    /// Whether a session can be relied on now.
    pub(in crate::client) fn is_live(&self, lease: &Lease) -> bool {
        if lease.loss().is_some() {
            return false;
        }
        let now = self.clock.monotonic();
        if now < lease.deadline() && !self.stalled(lease, now) {
            return true;
        }
        self.with(|_, _| ());
        lease.loss().is_none()
    }

    /// Completes when a session is lost, or one of its entries is and `entry` is among them.
    pub(in crate::client) async fn lost(&self, lease: &Lease, entry: Option<&Entry>) {
        loop {
            let changed = lease.changed.notified();
            if !self.is_live(lease) || entry.is_some_and(Entry::is_evicted) {
                return;
            }
            select(std::pin::pin!(changed), self.clock.sleep_until(lease.deadline())).await;
        }
    }

    /// A session that can be relied on, waited for until `end`. Without patience, the first failure
    /// to open one counts.
    pub(in crate::client) async fn lease(
        &self,
        patience: Patience,
        end: Option<Monotonic>,
    ) -> Result<Arc<Lease>, NoSession> {
        let before = self.with(|state, _| state.failed.0);
        loop {
            let changed = self.changed.notified();
            let answer = self.with(|state, now| {
                if let Some(error) = state.refusal() {
                    return Some(Err(NoSession::Never(error)));
                }
                if let Some(lease) = &state.lease {
                    return Some(Ok(Arc::clone(lease)));
                }
                if state.failed.0 > before
                    && let Some(error) = &state.failed.1
                {
                    if !error.is_transient() {
                        return Some(Err(NoSession::Never(error.clone())));
                    }
                    if patience == Patience::Try {
                        return Some(Err(NoSession::Late(Some(error.clone()))));
                    }
                }
                if end.is_some_and(|end| now >= end) {
                    return Some(Err(NoSession::Late(state.failed.1.clone())));
                }
                if state.machine.want() {
                    state.later.wake = true;
                }
                None
            });
            if let Some(answer) = answer {
                return answer;
            }
            match end {
                Some(end) => {
                    select(std::pin::pin!(changed), self.clock.sleep_until(end)).await;
                }
                None => changed.await,
            }
        }
    }
}
