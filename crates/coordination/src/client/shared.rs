//! What a client's handles and its keeper share.
//!
//! One lock over the state machine, what is held and what is owed; never held across an `await` or
//! while a listener is called. Every use of it looks at the clock and at the stalls first, so that
//! a session that has run out is lost before anything else is decided.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures::future::select;
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};
use tokio::sync::Notify;

use super::Stalls;
use super::debts::{Debt, Debts, Owed};
use super::entry::Entry;
use super::lease::Lease;
use super::machine::{Change, Machine, Next};
use super::patience::Patience;
use crate::event::{Event, Listener, LossCause};
use crate::limits::LATE_MAX;
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

    /// What the keeper has to do now.
    pub(super) fn next(&self) -> Next {
        self.with(|state, now| state.machine.next(now))
    }

    pub(super) fn opened(&self, answer: Result<Opened, Error>) {
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

    pub(super) fn renewed(&self, session: SessionId, answered: bool) {
        self.with(|state, now| {
            let change = state.machine.renewed(now, session, answered);
            self.apply(state, now, change);
        });
    }

    /// The server says that a session is over.
    pub(super) fn session_over(&self, session: SessionId) {
        self.lose(session, LossCause::Server);
    }

    fn lose(&self, session: SessionId, cause: LossCause) {
        self.with(|state, now| {
            let change = state.machine.lose(session, now, Some(cause));
            self.apply(state, now, change);
        });
    }

    pub(super) fn quarantine(&self, reason: &str) {
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

    pub(super) fn readmit(&self) {
        self.with(|state, _| {
            if state.machine.readmit() {
                state.later.events.push(Event::Readmitted);
                state.later.wake = true;
            }
        });
    }

    /// Gives everything back, for good.
    pub(super) fn close(&self) {
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
    pub(super) fn finish(&self) {
        self.close();
        self.with(|state, _| {
            state.finished = true;
            state.later.changed = true;
        });
    }

    /// Completes when the keeper has ended.
    pub(super) async fn finished(&self) {
        loop {
            let changed = self.changed.notified();
            if self.with(|state, _| state.finished) {
                return;
            }
            changed.await;
        }
    }

    /// Whether a session can be relied on now.
    pub(super) fn is_live(&self, lease: &Lease) -> bool {
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
    pub(super) async fn lost(&self, lease: &Lease, entry: Option<&Entry>) {
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
    pub(super) async fn lease(
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

    /// It is an entry's turn, if its session can be relied on at this moment: the answer that said
    /// so may be old.
    pub(super) fn hold(&self, entry: &Arc<Entry>, token: FencingToken) -> bool {
        self.with(|state, now| {
            let live = entry.lease.loss().is_none();
            #[cfg(test)]
            let live = live || self.trusting.load(std::sync::atomic::Ordering::Relaxed);
            if live {
                entry.hold(now);
                state.held.insert(token, Arc::clone(entry));
            }
            live
        })
    }

    /// Its owner gives an entry back. Says whether it was still held.
    pub(super) fn give_back(&self, entry: &Entry) -> bool {
        self.with(|state, now| state.give_back(entry, now))
    }

    /// Its owner is gone, and the server may still have the entry.
    pub(super) fn owe(&self, entry: &Arc<Entry>) {
        self.with(|state, now| {
            state.give_back(entry, now);
            self.leave_later(state, now, entry, None);
        });
    }

    /// An entry has left, but an earlier request for it may still be on the way: one that arrives
    /// after the leaving makes it anew, so it is looked for again. `before` is the pause after which
    /// it was looked for last; when that was so long that nothing can still be on the way, the doubt
    /// is at its end.
    pub(super) fn doubt(&self, entry: &Arc<Entry>, before: Option<Duration>) {
        let again = match before {
            None => self.options.call_limit(),
            // The pauses before this one were as long together.
            Some(before) if before >= LATE_MAX / 2 => return,
            Some(before) => before * 2,
        };
        self.with(|state, now| self.leave_later(state, now, entry, Some(again)));
    }

    fn leave_later(
        &self,
        state: &mut State,
        now: Monotonic,
        entry: &Arc<Entry>,
        again: Option<Duration>,
    ) {
        let gone = entry.is_evicted() && !entry.is_doubtful();
        if !gone && entry.lease.loss().is_none() {
            let not_before = again.map_or(now, |pause| now + pause);
            let debt = Debt::Leave { entry: Arc::clone(entry), again };
            if state.debts.add(Owed { debt, failures: 0, not_before }) {
                let session = entry.lease.session;
                let change = state.machine.lose(session, now, Some(LossCause::Releases));
                self.apply(state, now, change);
            }
            state.later.wake = true;
        }
    }

    /// Somebody else has taken an entry out of its queue.
    pub(super) fn evict(&self, entry: &Entry) {
        self.with(|state, now| {
            if entry.lease.loss().is_some() {
                return;
            }
            if let Some(token) = entry.token()
                && state.held.remove(&token).is_some()
            {
                let held = entry.held(now);
                state.later.report(entry, Event::Lost { name: entry.name.clone(), token, held });
            }
            entry.evict();
            state.later.leases.push(Arc::clone(&entry.lease));
            // Or the server has ended the session, which is worth knowing soon.
            state.machine.doubt(now, entry.lease.session);
            state.later.wake = true;
        });
    }

    /// Some of the entries that are held and were not looked at since `before`; whoever asks looks
    /// at them now.
    pub(super) fn unseen(&self, before: Monotonic, limit: usize) -> Vec<Arc<Entry>> {
        self.with(|state, now| {
            let unseen = state.held.values().filter(|entry| entry.looked() <= before);
            let unseen: Vec<_> = unseen.take(limit).cloned().collect();
            unseen.iter().for_each(|entry| entry.look(now));
            unseen
        })
    }

    /// Why nothing can be held at present, however long one waits.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.with(|state, _| state.refusal())
    }

    /// Until when the keeper may have to ask for the end of sessions.
    pub(super) fn closed_by(&self) -> Monotonic {
        self.with(|state, _| state.debts.closed_by())
    }

    /// Whether an entry is held.
    pub(super) fn is_held(&self, token: FencingToken) -> bool {
        self.with(|state, _| state.held.contains_key(&token))
    }

    /// Whether there is a session.
    pub(super) fn is_open(&self) -> bool {
        self.with(|state, _| state.lease.is_some())
    }

    /// Something that was owed has been tried; this is what remains of it.
    pub(super) fn tried(&self, owed: Option<Owed>) {
        self.with(|state, _| {
            state.debts.tried();
            let owed = owed.filter(|owed| match &owed.debt {
                Debt::Leave { entry, .. } => entry.lease.loss().is_none(),
                Debt::Close { .. } => true,
            });
            if let Some(owed) = owed {
                // There was room for it before.
                let _ = state.debts.add(owed);
            }
        });
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
