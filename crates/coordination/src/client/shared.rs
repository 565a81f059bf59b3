//! What a client's handles and its keeper share.
//!
//! One lock over the state machine, what is held and what is owed; never held across an `await` or
//! while a listener is called. Every use of it looks at the clock and at the stalls first, so that
//! a session that has run out is lost before anything else is decided.

mod holdings;
mod life;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};
use tokio::sync::Notify;

use super::Stalls;
use super::debts::{Debt, Debts, Owed};
use super::entry::Entry;
use super::lease::Lease;
use super::machine::{Change, Machine};
use crate::event::{Event, Listener, LossCause};
use crate::options::Options;
use crate::port::{Coordinator, Error, Opened, SessionId};

pub(super) struct Shared {
    pub(super) coordinator: Arc<dyn Coordinator>,
    pub(super) clock: Clock,
    pub(super) options: Options,
    state: Mutex<State>,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
    stalls: OnceLock<Arc<dyn Stalls>>,
    /// Rung when there is something to do for the keeper.
    pub(super) wake: Notify,
    /// Rung when there is a session, or a reason why there will be none.
    changed: Notify,
    /// The broken twin: takes the server's word for it that a turn has come, however old.
    #[cfg(test)]
    pub(super) trusting: std::sync::atomic::AtomicBool,
}

pub(super) struct State {
    pub(super) machine: Machine,
    lease: Option<Arc<Lease>>,
    held: BTreeMap<FencingToken, Arc<Entry>>,
    pub(super) debts: Debts,
    /// Sessions that could not be opened, counted, and the last reason.
    failed: (u64, Option<Error>),
    /// The keeper has ended.
    finished: bool,
    /// To be told once the lock is free.
    later: Later,
}

/// What is done once the lock is free: a listener may take its time, and what a waker wakes, or
/// drops, may come back for the lock.
#[derive(Default)]
struct Later {
    events: Vec<Event>,
    leases: Vec<Arc<Lease>>,
    changed: bool,
    wake: bool,
}

/// Why there is no session.
pub(super) enum NoSession {
    /// It was not opened in time; with the last reason, if there is one.
    Late(Option<Error>),
    /// There will be none.
    Never(Error),
}

impl Shared {
    pub(super) fn new(coordinator: Arc<dyn Coordinator>, clock: Clock, options: Options) -> Self {
        let state = State {
            machine: Machine::new(options),
            lease: None,
            held: BTreeMap::new(),
            debts: Debts::default(),
            failed: (0, None),
            finished: false,
            later: Later::default(),
        };
        Self {
            coordinator,
            clock,
            options,
            state: Mutex::new(state),
            listeners: RwLock::new(Vec::new()),
            stalls: OnceLock::new(),
            wake: Notify::new(),
            changed: Notify::new(),
            #[cfg(test)]
            trusting: std::sync::atomic::AtomicBool::new(false),
        }
    }

    pub(super) fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(super) fn watch_stalls(&self, stalls: Arc<dyn Stalls>) {
        let _ = self.stalls.set(stalls);
    }

    pub(super) fn emit(&self, event: &Event) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            if catch_unwind(AssertUnwindSafe(|| listener.on(event))).is_err() {
                tracing::error!(?event, "a listener panicked");
            }
        }
    }

    /// Looks at the clock, then does `work` under the lock.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State, Monotonic) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        self.look(&mut state, now);
        let result = work(&mut state, now);
        let later = std::mem::take(&mut state.later);
        drop(state);
        for event in &later.events {
            self.emit(event);
        }
        for lease in later.leases {
            lease.changed.notify_waiters();
        }
        if later.changed {
            self.changed.notify_waiters();
        }
        if later.wake {
            self.wake.notify_one();
        }
        result
    }

    /// Loses what has run out.
    fn look(&self, state: &mut State, now: Monotonic) {
        let stalled = state.lease.as_ref().filter(|lease| self.stalled(lease, now));
        let change = match stalled.map(|lease| lease.session) {
            Some(session) => state.machine.lose(session, now, Some(LossCause::Stall)),
            None => state.machine.tick(now),
        };
        self.apply(state, now, change);
    }

    /// Whether a session may have run out in a stall that the clock does not show: it has, when the
    /// stall was longer than what the clock says is left.
    fn stalled(&self, lease: &Lease, now: Monotonic) -> bool {
        self.stalls.get().is_some_and(|stalls| {
            let stall = stalls.since(lease.sent(), now);
            stall > self.options.stall_max().min(lease.deadline() - now)
        })
    }

    fn apply(&self, state: &mut State, now: Monotonic, change: Option<Change>) {
        match change {
            None => return,
            Some(Change::Opened(live)) => {
                state.lease = Some(Arc::new(Lease::new(&live)));
                state.failed.1 = None;
                state.later.events.push(Event::SessionOpened { session: live.session });
            }
            Some(Change::Renewed(live)) => {
                if let Some(lease) = &state.lease {
                    let margin = lease.deadline() - now;
                    lease.renew(&live);
                    state
                        .later
                        .events
                        .push(Event::SessionRenewed { session: live.session, margin });
                }
                return;
            }
            Some(Change::Lost(live, cause)) => {
                if let Some(lease) = state.lease.take() {
                    lease.lose(cause);
                    state.later.leases.push(lease);
                }
                state.lost(live.session, now, cause);
                if cause != Some(LossCause::Server) {
                    state.close_later(live.session, now, now + live.length);
                }
                if let Some(cause) = cause {
                    tracing::warn!(session = %live.session, ?cause, "a session is lost");
                }
            }
            Some(Change::Useless(Opened { session, length })) => {
                state.close_later(session, now, now + length);
            }
        }
        state.later.wake = true;
        state.later.changed = true;
    }

    /// Why nothing can be held at present, however long one waits.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.with(|state, _| state.refusal())
    }

    /// Until when the keeper may have to ask for the end of sessions.
    pub(super) fn closed_by(&self) -> Monotonic {
        self.with(|state, _| state.debts.closed_by())
    }

    /// Whether there is a session.
    pub(super) fn is_open(&self) -> bool {
        self.with(|state, _| state.lease.is_some())
    }

    /// What to say of a server that does not answer.
    pub(super) fn silent(&self, waited: Duration) -> Error {
        Error::Unavailable {
            engine: self.coordinator.capabilities().engine,
            address: "its address".into(),
            reason: format!("no answer within {waited:?}").into(),
        }
    }
}

impl Later {
    fn report(&mut self, entry: &Entry, event: Event) {
        if !entry.hidden {
            self.events.push(event);
        }
    }
}

impl State {
    fn refusal(&self) -> Option<Error> {
        if self.machine.is_closed() {
            return Some(Error::Closed);
        }
        let reason = Arc::clone(self.machine.quarantined()?);
        Some(Error::Quarantined { reason })
    }

    /// All that was held under a session is lost, or given back when there is no cause.
    fn lost(&mut self, session: SessionId, now: Monotonic, cause: Option<LossCause>) {
        for (token, entry) in std::mem::take(&mut self.held) {
            let (name, held) = (entry.name.clone(), entry.held(now));
            let event = match cause {
                Some(_) => Event::Lost { name, token, held },
                None => Event::Released { name, token, held },
            };
            self.later.report(&entry, event);
        }
        if let Some(cause) = cause {
            self.later.events.push(Event::SessionLost { session, cause });
        }
        self.debts.forget(session);
    }

    fn give_back(&mut self, entry: &Entry, now: Monotonic) -> bool {
        let Some(token) = entry.token().filter(|token| self.held.contains_key(token)) else {
            return false;
        };
        self.held.remove(&token);
        let (name, held) = (entry.name.clone(), entry.held(now));
        self.later.report(entry, Event::Released { name, token, held });
        true
    }

    fn close_later(&mut self, session: SessionId, now: Monotonic, until: Monotonic) {
        let owed = Owed { debt: Debt::Close { session, until }, failures: 0, not_before: now };
        // Few: one for each session that is lost, for no longer than it lives.
        let _ = self.debts.add(owed);
    }
}
