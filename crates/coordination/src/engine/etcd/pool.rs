//! Which member is asked, and when it is given up.
//!
//! One member is used until it fails; then the next one in the list. A member that is frozen, or
//! cut off while its connection stays open, looks like one that is slow. So a call that gets no
//! answer puts it under suspicion: when nothing that needs a majority has been answered for
//! [`SUSPICIOUS`] meanwhile, the connection is given up. A call that its caller drops counts too,
//! because callers have deadlines of their own and may be less patient than
//! [`Options::request_timeout`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use steadfast_time::{Clock, Monotonic};

use super::ENGINE;
use super::failure::Failure;
use super::link::Link;
use super::options::Options;
use super::proto::path;
use crate::port::Error;

/// How long a member may keep silent while somebody waits for its answer, once that somebody has
/// run out of patience. Half of etcd's election timeout: no disk takes longer for one write.
const SUSPICIOUS: Duration = Duration::from_millis(500);

type Search = BoxFuture<'static, Result<Arc<Link>, Error>>;

/// The members, and the one that is used.
pub(super) struct Pool {
    pub(super) options: Options,
    pub(super) clock: Clock,
    address: Arc<str>,
    state: Mutex<State>,
    revision: AtomicI64,
}

#[derive(Default)]
struct State {
    /// Where the next search begins.
    next: usize,
    link: Option<Arc<Link>>,
    /// The search that is under way; ends when nobody waits for it.
    dialling: Option<WeakShared<Search>>,
}

impl Pool {
    pub(super) fn new(options: Options, clock: Clock) -> Self {
        let address = options.endpoints.join(",").into();
        Self { options, clock, address, state: Mutex::default(), revision: AtomicI64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The member in use, or else the next that can be used. Concurrent callers share one search,
    /// and its failure.
    pub(super) async fn link(self: &Arc<Self>) -> Result<Arc<Link>, Error> {
        let dialling: Shared<Search> = {
            let mut state = self.state();
            if let Some(link) = &state.link {
                return Ok(Arc::clone(link));
            }
            match state.dialling.as_ref().and_then(WeakShared::upgrade) {
                Some(dialling) => dialling,
                None => {
                    let pool = Arc::clone(self);
                    let dialling = async move { pool.search().await }.boxed().shared();
                    state.dialling = dialling.downgrade();
                    dialling
                }
            }
        };
        dialling.await
    }

    /// Asks each member once, beginning with the one after the last that failed. One that knows of
    /// no leader is better than none: the next leader may be seconds away.
    async fn search(self: Arc<Self>) -> Result<Arc<Link>, Error> {
        let (count, first) = (self.options.endpoints.len(), self.state().next);
        let limit = self.options.connect_timeout;
        let mut spare = None;
        let mut failures = Vec::new();
        for offset in 0..count {
            let index = (first + offset) % count;
            // Before it is asked: when all who wait lose their patience, this search ends here, and
            // the next one is not to be stuck at the same member.
            self.state().next = (index + 1) % count;
            let dialled = Link::dial(&self.options, index, &self.clock);
            match self.clock.timeout(limit, dialled).await {
                Ok(Ok((link, true))) => return Ok(self.adopt(link)),
                Ok(Ok((link, false))) => spare = spare.or(Some(link)),
                Ok(Err(failure)) => failures.push((index, failure)),
                Err(_) => failures.push((index, Failure::Silence)),
            }
        }
        if let Some(link) = spare {
            return Ok(self.adopt(link));
        }
        self.state().dialling = None;
        Err(self.unreachable(failures))
    }

    fn adopt(&self, link: Link) -> Arc<Link> {
        tracing::debug!(member = %self.options.endpoints[link.index], "connected to etcd");
        self.saw(link.revision);
        let link = Arc::new(link);
        let mut state = self.state();
        state.next = link.index;
        state.link = Some(Arc::clone(&link));
        state.dialling = None;
        link
    }

    /// What to say when no member can be used: refused only if all refuse.
    fn unreachable(&self, failures: Vec<(usize, Failure)>) -> Error {
        let refused = failures
            .iter()
            .all(|(_, failure)| matches!(failure, Failure::Refused(_) | Failure::Anonymous));
        let reasons: Vec<String> = failures
            .into_iter()
            .map(|(index, failure)| {
                let member = &self.options.endpoints[index];
                let text = match failure {
                    Failure::Silence => {
                        format!("it did not become ready within {:?}", self.options.connect_timeout)
                    }
                    other => other.text(),
                };
                if self.options.endpoints.len() == 1 { text } else { format!("{member}: {text}") }
            })
            .collect();
        let reason = reasons.join("; ");
        if refused { self.refused(&reason) } else { self.unavailable(&reason) }
    }

    pub(super) fn refused(&self, reason: &str) -> Error {
        Error::Refused { engine: ENGINE, address: Arc::clone(&self.address), reason: reason.into() }
    }

    pub(super) fn unavailable(&self, reason: &str) -> Error {
        Error::Unavailable {
            engine: ENGINE,
            address: Arc::clone(&self.address),
            reason: reason.into(),
        }
    }

    /// The store has reached a revision.
    pub(super) fn saw(&self, revision: i64) {
        self.revision.fetch_max(revision, Ordering::Relaxed);
    }

    /// The latest revision that was seen.
    pub(super) fn revision(&self) -> i64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// A failure for which there is no better word.
    pub(super) fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Refused(reason) => self.refused(&reason),
            Failure::Silence => self.unavailable(&format!(
                "no answer within {:?}; whether it was done is unknown",
                self.options.request_timeout
            )),
            // The user and the password are right, or there would be no token: the users or roles
            // have been changed again meanwhile.
            failure @ (Failure::Token | Failure::Anonymous)
                if self.options.credentials.is_some() =>
            {
                self.unavailable(&failure.text())
            }
            failure @ (Failure::Token | Failure::Anonymous) => self.refused(&failure.text()),
            other => self.unavailable(&other.text()),
        }
    }

    /// Gives a member up; the next call begins with the one after it.
    pub(super) fn retire(&self, link: &Arc<Link>, reason: &str) {
        link.retire();
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            tracing::debug!(member = %self.options.endpoints[link.index], reason, "left etcd");
            state.link = None;
            state.next = (link.index + 1) % self.options.endpoints.len();
        }
    }

    /// Somebody has waited in vain since `sent`.
    fn suspect(&self, link: &Arc<Link>, sent: Monotonic) {
        let silent = self.clock.monotonic() - sent.max(link.heard());
        if silent >= SUSPICIOUS {
            self.retire(link, "silence");
        }
    }

    /// Asks the member in use.
    pub(super) async fn call<Q, A>(
        self: &Arc<Self>,
        path: &'static str,
        message: Q,
    ) -> Result<A, Error>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let link = self.link().await?;
        self.call_on(&link, path, message).await.map_err(|failure| self.error(failure))
    }

    /// Asks one member, within the time for a request. A token that is no longer good is replaced
    /// once.
    pub(super) async fn call_on<Q, A>(
        &self,
        link: &Arc<Link>,
        path: &'static str,
        message: Q,
    ) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut waiting = Waiting { pool: self, link, sent: Some(self.clock.monotonic()) };
        let asking = async {
            let introduced = link.introductions();
            match link.unary(path, message.clone()).await {
                Err(Failure::Token | Failure::Anonymous) if self.options.credentials.is_some() => {
                    link.introduce(&self.options, introduced).await?;
                    link.unary(path, message).await
                }
                other => other,
            }
        };
        let Ok(answer) = self.clock.timeout(self.options.request_timeout, asking).await else {
            // `waiting` draws the conclusions.
            return Err(Failure::Silence);
        };
        waiting.sent = None;
        match &answer {
            // A member without a majority can still answer these.
            Ok(_) if path == path::LEASE_KEEP_ALIVE => {}
            Ok(_) => link.hear(self.clock.monotonic()),
            Err(Failure::Connection(reason)) => self.retire(link, reason),
            Err(Failure::Member(reason)) if self.options.endpoints.len() > 1 => {
                self.retire(link, reason);
            }
            Err(_) => {}
        }
        answer
    }
}

/// A call without an answer so far. Dropped with `sent` still there, nobody has the patience to
/// wait for it any longer.
struct Waiting<'a> {
    pool: &'a Pool,
    link: &'a Arc<Link>,
    sent: Option<Monotonic>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.sent {
            self.pool.suspect(self.link, sent);
        }
    }
}
