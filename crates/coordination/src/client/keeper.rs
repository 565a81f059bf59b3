//! The loop that does what the session's state machine says, and ends what nobody needs any more.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, Stream};
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::debts::{Debt, Owed};
use super::entry::Entry;
use super::machine::Next;
use super::shared::Shared;
use crate::limits::{DEBTS_AT_ONCE, LIST_MAX, LOOKS_AT_ONCE};
use crate::port::{Error, Place};

/// Keeps a client's session: opens and renews it, sees to the release of what was dropped, and looks
/// whether what is held is still there.
///
/// Run it on a thread of control of its own: as a task that nothing blocks, or with
/// `client::thread::start` on a thread. It ends after
/// [`Client::shutdown`](super::Client::shutdown), and when the last handle of its client is gone.
/// Dropped before, it closes the client.
#[must_use = "without its keeper, a client has no session"]
pub struct Keeper {
    shared: Arc<Shared>,
}

/// What the keeper is busy with.
struct Work {
    session: Option<BoxFuture<'static, ()>>,
    debts: FuturesUnordered<BoxFuture<'static, Option<Owed>>>,
    looks: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Keeper {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Does its work until the client is shut down and everything is given back, or the server's
    /// own count has ended what could not be.
    pub async fn run(self) {
        let shared = &self.shared;
        let (debts, looks) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut work = Work { session: None, debts, looks };
        let half = shared.options.ask_every / 2;
        let mut look_at = shared.clock.monotonic();
        loop {
            let mut until = self.see_to_session(&mut work);
            if self.see_to_debts(&mut work, &mut until) {
                return;
            }
            let now = shared.clock.monotonic();
            if now >= look_at && work.looks.is_empty() {
                let seen = Monotonic::from_start(now.since_start().saturating_sub(half));
                for entry in shared.unseen(seen, LOOKS_AT_ONCE) {
                    work.looks.push(look(Arc::clone(shared), entry).boxed());
                }
                // When there are more than that, the rest of them follows at once.
                look_at = if work.looks.len() < LOOKS_AT_ONCE { now + half } else { now };
            }
            if work.looks.is_empty() && shared.is_open() {
                until = earlier(until, look_at);
            }
            self.wait(&mut work, until).await;
        }
    }

    /// Does what the state machine says. Returns when to ask it again.
    fn see_to_session(&self, work: &mut Work) -> Option<Monotonic> {
        loop {
            let shared = Arc::clone(&self.shared);
            match self.shared.next() {
                Next::Open { limit } => {
                    let open = async move {
                        let length = shared.options.length;
                        let answer = shared.clock.timeout(limit, shared.coordinator.open(length));
                        let answer = answer.await.unwrap_or_else(|_| Err(shared.silent(limit)));
                        shared.opened(answer);
                    };
                    work.session = Some(open.boxed());
                }
                Next::Renew { session, limit } => {
                    let renew = async move {
                        let answer = shared.clock.timeout(limit, shared.coordinator.renew(session));
                        match answer.await {
                            Ok(Err(Error::SessionOver { .. })) => shared.session_over(session),
                            Ok(answer) => {
                                if let Err(error) = &answer {
                                    tracing::warn!(%session, %error, "not renewed; asking again");
                                }
                                shared.renewed(session, answer.is_ok());
                            }
                            Err(_) => shared.renewed(session, false),
                        }
                    };
                    work.session = Some(renew.boxed());
                }
                Next::Wait(until) => return until,
                Next::Done => {
                    work.session = None;
                    return None;
                }
            }
        }
    }

    /// Tries what is owed. Says whether nothing is left to do, ever.
    fn see_to_debts(&self, work: &mut Work, until: &mut Option<Monotonic>) -> bool {
        let room = DEBTS_AT_ONCE - work.debts.len().min(DEBTS_AT_ONCE);
        let (taken, next, done) = self.shared.with(|state, now| {
            let taken: Vec<Owed> = (0..room).map_while(|_| state.debts.take(now)).collect();
            let next = state.debts.next();
            (taken, next, state.machine.is_closed() && state.debts.is_empty())
        });
        let is_full = taken.len() == room;
        for owed in taken {
            work.debts.push(settle(Arc::clone(&self.shared), owed).boxed());
        }
        if let Some(next) = next.filter(|_| !is_full) {
            *until = earlier(*until, next);
        }
        done && work.debts.is_empty()
    }

    /// Waits for the first of all that can happen. The session goes first.
    async fn wait(&self, work: &mut Work, until: Option<Monotonic>) {
        let woken = self.shared.wake.notified();
        let mut woken = std::pin::pin!(woken);
        let mut sleep = until.map(|until| self.shared.clock.sleep_until(until));
        poll_fn(|context| {
            if let Some(session) = &mut work.session
                && session.poll_unpin(context).is_ready()
            {
                work.session = None;
                return Poll::Ready(());
            }
            if let Poll::Ready(Some(owed)) = Pin::new(&mut work.debts).poll_next(context) {
                self.shared.tried(owed);
                return Poll::Ready(());
            }
            if let Poll::Ready(Some(())) = work.looks.poll_next_unpin(context) {
                return Poll::Ready(());
            }
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }
}

fn earlier(until: Option<Monotonic>, other: Monotonic) -> Option<Monotonic> {
    Some(until.map_or(other, |until| until.min(other)))
}

/// Tries once to end something. Returns what is still owed.
async fn settle(shared: Arc<Shared>, mut owed: Owed) -> Option<Owed> {
    let limit = shared.options.call_limit();
    // When trying again is needless.
    let mut latest = None;
    let done = match &owed.debt {
        Debt::Close { session, until } => {
            let close = shared.coordinator.close(*session);
            let closed = shared.clock.timeout(limit, close).await;
            latest = Some(*until);
            matches!(closed, Ok(Ok(()))) || shared.clock.monotonic() >= *until
        }
        Debt::Leave { entry, again } => {
            let (entry, again) = (Arc::clone(entry), *again);
            let left = async {
                match again {
                    None => leave(&shared, &entry, entry.token()).await,
                    Some(_) => {
                        is_absent(&shared, &entry).await || leave(&shared, &entry, None).await
                    }
                }
            };
            let left = matches!(shared.clock.timeout(limit, left).await, Ok(true));
            if left && entry.is_doubtful() {
                shared.doubt(&entry, again);
            }
            left
        }
    };
    if done {
        return None;
    }
    let not_before = shared.clock.monotonic() + shared.options.backoff(owed.failures);
    owed.not_before = latest.map_or(not_before, |latest| latest.min(not_before));
    owed.failures = owed.failures.saturating_add(1);
    Some(owed)
}

/// Takes an entry of ours out of its queue. Says whether it is out. Without its token, the request
/// for it is repeated: it is the same entry under the same identifier.
async fn leave(shared: &Shared, entry: &Entry, token: Option<FencingToken>) -> bool {
    let token = match token {
        Some(token) => token,
        None => match shared.coordinator.enter(&entry.name, entry.request(true)).await {
            Ok(Place { token, .. }) => token,
            Err(Error::SessionOver { session }) => {
                shared.session_over(session);
                return true;
            }
            // There is no room for it, so it is not there.
            Err(Error::Full { .. }) => return true,
            Err(_) => return false,
        },
    };
    shared.coordinator.leave(&entry.name, token).await.is_ok()
}

/// Whether an entry that has left is certainly not in its queue again. A question, since repeating
/// the request would put an entry into everybody's way for a moment.
async fn is_absent(shared: &Shared, entry: &Entry) -> bool {
    let Ok(listing) = shared.coordinator.list(&entry.name, None).await else { return false };
    let mut ours = listing.entries.iter().filter(|other| other.session == entry.lease.session);
    listing.entries.len() < LIST_MAX && ours.all(|other| shared.is_held(other.token))
}

/// Looks whether an entry that is held is still there.
async fn look(shared: Arc<Shared>, entry: Arc<Entry>) {
    let Some(token) = entry.token() else { return };
    let place = shared.coordinator.place(&entry.name, token);
    // Whether the server can be asked at all is for the renewals to find out.
    let answer = shared.clock.timeout(shared.options.call_limit(), place).await;
    if matches!(answer, Ok(Err(Error::Over { .. }))) {
        shared.evict(&entry);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.finish();
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
