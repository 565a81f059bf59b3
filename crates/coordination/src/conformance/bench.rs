//! What every check needs.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic, Uuid};

use super::Subject;
use crate::port::{
    Capabilities, Coordinator, EntryId, Error, Mode, Name, Place, Request, SessionId,
};

/// How long sessions of checks that do not test sessions live: longer than any check.
const LONG: Duration = Duration::from_secs(120);

/// How long a wait that must not end is watched.
const QUIET: Duration = Duration::from_millis(250);

/// What an engine has done wrong, and where the check is that found it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({at})")]
pub struct Problem {
    what: String,
    at: &'static Location<'static>,
}

impl Problem {
    #[track_caller]
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: Location::caller() }
    }
}

pub(super) type Checked = Result<(), Problem>;

/// Finds a problem unless something holds.
#[track_caller]
pub(super) fn ensure(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(Problem::new(what)) }
}

/// Finds a problem unless two values are the same.
#[track_caller]
pub(super) fn ensure_eq<T: PartialEq + fmt::Debug>(found: T, expected: T, what: &str) -> Checked {
    if found == expected {
        return Ok(());
    }
    Err(Problem::new(format!("{what}: found {found:?}, expected {expected:?}")))
}

/// Finds a problem unless a request was refused in a certain way.
#[track_caller]
pub(super) fn ensure_refused<T: fmt::Debug>(
    result: Result<T, Error>,
    expected: impl FnOnce(&Error) -> bool,
    what: &str,
) -> Checked {
    match result {
        Err(error) if expected(&error) => Ok(()),
        other => Err(Problem::new(format!("{what}: found {other:?}"))),
    }
}

/// One check's workplace.
pub(super) struct Bench {
    /// Two clients of the server, perhaps the same one.
    pub(super) a: Arc<dyn Coordinator>,
    pub(super) b: Arc<dyn Coordinator>,
    pub(super) clock: Clock,
    prefix: String,
    ids: AtomicUsize,
    opened: Mutex<Vec<SessionId>>,
}

impl Bench {
    pub(super) fn new(subject: &Subject, check: &str) -> Self {
        let short = check.rsplit("::").next().unwrap_or(check);
        let initials: String = short.split('_').filter_map(|word| word.chars().next()).collect();
        Self {
            a: Arc::clone(&subject.coordinator),
            b: Arc::clone(&subject.other),
            clock: subject.clock.clone(),
            prefix: format!("{}{initials}{}/", subject.prefix, short.len()),
            ids: AtomicUsize::new(0),
            opened: Mutex::default(),
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.a.capabilities()
    }

    /// The prefix of all names of this check.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn name(&self, text: &str) -> Result<Name, Problem> {
        let name = Name::new(format!("{}{text}", self.prefix));
        name.map_err(|error| Problem::new(error.to_string()))
    }

    /// Another id each time.
    pub(super) fn id(&self) -> EntryId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u64_pair(0x00c0_ffee_0000_4000, (1 << 63) | number as u64)
    }

    /// A session of a length, at the first client or at the second one.
    pub(super) async fn open(
        &self,
        at: &Arc<dyn Coordinator>,
        length: Duration,
    ) -> Result<(SessionId, Duration), Error> {
        let opened = at.open(length).await?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(opened.session);
        Ok((opened.session, opened.length))
    }

    /// A session of the first client that outlives the check.
    pub(super) async fn session(&self) -> Result<SessionId, Error> {
        self.long(&self.a).await
    }

    /// One of the second client.
    pub(super) async fn session_b(&self) -> Result<SessionId, Error> {
        self.long(&self.b).await
    }

    async fn long(&self, at: &Arc<dyn Coordinator>) -> Result<SessionId, Error> {
        let Capabilities { session_min, session_max, .. } = at.capabilities();
        Ok(self.open(at, LONG.max(session_min).min(session_max)).await?.0)
    }

    pub(super) async fn close_all(&self) {
        let opened =
            std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for session in opened {
            // The check has its result; what cannot be closed ends by itself.
            let close = self.clock.timeout(Duration::from_secs(5), self.a.close(session));
            drop(close.await);
        }
    }

    /// A request for a new entry that waits.
    pub(super) fn request<'a>(
        &self,
        session: SessionId,
        mode: Mode,
        value: &'a [u8],
    ) -> Request<'a> {
        Request { session, id: self.id(), mode, value, wait: true }
    }

    /// Enters with the first client, exclusively, without a value.
    pub(super) async fn enter(&self, queue: &Name, session: SessionId) -> Result<Place, Error> {
        self.a.enter(queue, self.request(session, Mode::Exclusive, b"")).await
    }

    /// The tokens in a queue, in order, as the second client sees them.
    pub(super) async fn tokens(&self, queue: &Name) -> Result<Vec<FencingToken>, Error> {
        let listing = self.b.list(queue, None).await?;
        Ok(listing.entries.iter().map(|entry| entry.token).collect())
    }

    /// Finds a problem if a wait ends though nothing has happened.
    pub(super) async fn quiet<F: Future + Unpin>(&self, wait: &mut F, what: &str) -> Checked {
        match select(wait, self.clock.sleep(QUIET)).await {
            Either::Left(_) => Err(Problem::new(format!("{what} ended though nothing happened"))),
            Either::Right(_) => Ok(()),
        }
    }

    /// Between two attempts: an engine that answers wrongly at once must not keep a check from
    /// coming to its end.
    pub(super) async fn pause(&self) {
        self.clock.sleep(Duration::from_millis(1)).await;
    }

    /// How long ago a moment is.
    pub(super) fn since(&self, moment: Monotonic) -> Duration {
        self.clock.monotonic() - moment
    }
}
