//! What a flawed engine remembers, and how it shows the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

use futures::future::BoxFuture;
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::limits::VALUE_BYTES_MAX;
use steadfast_coordination::port::{
    Coordinator, Error, Listing, Mode, Name, Place, Register, Request, SessionId,
};
use steadfast_fencing::FencingToken;
use steadfast_time::Uuid;
use tokio::sync::Notify;

use super::Flaw;

/// The memory engine with a flaw.
pub(super) struct Flawed {
    pub(super) inner: Memory,
    pub(super) flaw: Flaw,
    pub(super) state: Mutex<State>,
    pub(super) ids: AtomicU64,
    pub(super) poisoned: AtomicBool,
    /// Tells of all changes that were asked for.
    pub(super) changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// The tokens of each queue (or of all): the one at index n is called n + 1.
    pub(super) tokens: BTreeMap<Option<Name>, Vec<FencingToken>>,
    pub(super) places: HashMap<FencingToken, Place>,
    pub(super) sessions: Vec<SessionId>,
    /// By queue and version, the version that it is shown as.
    pub(super) shown: HashMap<(Name, u64), u64>,
    pub(super) changes: u64,
    pub(super) last: HashMap<Name, Option<Register>>,
    pub(super) entered: BTreeMap<(Name, Uuid), FencingToken>,
    pub(super) left: BTreeSet<FencingToken>,
    pub(super) renewed: BTreeSet<SessionId>,
    pub(super) values: HashMap<Name, Vec<u8>>,
}

pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

impl Flawed {
    pub(super) fn new(inner: Memory, flaw: Flaw) -> Self {
        Self {
            inner,
            flaw,
            state: Mutex::default(),
            ids: AtomicU64::new(1 << 40),
            poisoned: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    pub(super) fn another_id(&self) -> Uuid {
        Uuid::from_u64_pair(7, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The name by which a server knows a queue or register that folds them.
    pub(super) fn known(&self, name: &Name) -> Name {
        match self.flaw {
            Flaw::NamesFolded => Name::new(name.as_str().to_lowercase()).unwrap(),
            Flaw::NamesUnescaped => Name::new(name.as_str().replace("%2F", "/")).unwrap(),
            _ => name.clone(),
        }
    }

    pub(super) fn renumbers(&self) -> bool {
        use Flaw::{TokensFallAtClose, TokensPerQueue, TokensStartAnew, TokensTwice};
        matches!(self.flaw, TokensPerQueue | TokensStartAnew | TokensFallAtClose | TokensTwice)
    }

    pub(super) fn group(&self, queue: &Name) -> Option<Name> {
        (self.flaw != Flaw::TokensFallAtClose).then(|| queue.clone())
    }

    /// What a token is called.
    pub(super) fn shown(&self, queue: &Name, token: FencingToken) -> FencingToken {
        if !self.renumbers() {
            return token;
        }
        let mut state = self.state();
        let tokens = state.tokens.entry(self.group(queue)).or_default();
        let at = tokens.iter().position(|known| *known == token).unwrap_or_else(|| {
            tokens.push(token);
            tokens.len() - 1
        });
        FencingToken::new(at as u64 + 1).unwrap()
    }

    /// The token that is called so.
    pub(super) fn real(&self, queue: &Name, shown: FencingToken) -> FencingToken {
        if !self.renumbers() {
            return shown;
        }
        let mut state = self.state();
        let tokens = state.tokens.entry(self.group(queue)).or_default();
        let known = tokens.get(shown.get() as usize - 1).copied();
        known.unwrap_or_else(|| FencingToken::new(u64::MAX).unwrap())
    }

    pub(super) fn shown_place(&self, queue: &Name, mut place: Place) -> Place {
        place.token = self.shown(queue, place.token);
        place.ahead = place.ahead.map(|ahead| self.shown(queue, ahead));
        place
    }

    pub(super) fn shown_error(&self, queue: &Name, error: Error) -> Error {
        match error {
            Error::Busy { name, holder } => Error::Busy { name, holder: self.shown(queue, holder) },
            Error::Over { name, token } => Error::Over { name, token: self.shown(queue, token) },
            other => other,
        }
    }

    pub(super) async fn is_over(&self, session: SessionId) -> bool {
        let probe = Name::new("probe").unwrap();
        let id = self.another_id();
        let request = Request { session, id, mode: Mode::Shared, value: b"", wait: true };
        match self.inner.enter(&probe, request).await {
            Ok(place) => {
                self.inner.leave(&probe, place.token).await.unwrap();
                false
            }
            Err(_) => true,
        }
    }

    pub(super) fn value(&self, value: &[u8]) -> Vec<u8> {
        match self.flaw {
            Flaw::ValuesAreText => String::from_utf8_lossy(value).into_owned().into_bytes(),
            Flaw::ValuesAreCut => value.iter().take(VALUE_BYTES_MAX).copied().collect(),
            _ => value.to_vec(),
        }
    }

    pub(super) async fn entered(
        &self,
        queue: &Name,
        mut request: Request<'_>,
    ) -> Result<Place, Error> {
        match self.flaw {
            Flaw::SharedExcludes => request.mode = Mode::Exclusive,
            Flaw::ExclusiveShares => request.mode = Mode::Shared,
            Flaw::EntryEachTime => request.id = self.another_id(),
            Flaw::NoWaitWaits => request.wait = true,
            Flaw::NoWaitStays if !request.wait => {
                let waiting = Request { wait: true, id: self.another_id(), ..request };
                let place = self.inner.enter(queue, waiting).await?;
                if place.ahead.is_none() {
                    self.inner.leave(queue, place.token).await?;
                }
            }
            Flaw::RepetitionSets => {
                let place = self.inner.enter(queue, request).await?;
                self.inner.set(queue, place.token, request.value).await?;
            }
            Flaw::IdsOfAllSessions => {
                let known = self.state().entered.get(&(queue.clone(), request.id)).copied();
                if let Some(token) = known {
                    return self.inner.place(queue, token).await;
                }
            }
            Flaw::DroppedEnterStays => {
                let key = (queue.clone(), request.id);
                let known = self.state().entered.get(&key).copied();
                if let Some(token) = known {
                    return self.inner.place(queue, token).await;
                }
                request.id = self.another_id();
                let place = self.inner.enter(queue, request).await?;
                // The answer is under way when the caller may drop the call.
                yield_once().await;
                self.state().entered.insert(key, place.token);
                return Ok(place);
            }
            Flaw::TokensStartAnew if self.inner.list(queue, None).await?.entries.is_empty() => {
                self.state().tokens.clear();
            }
            _ => {}
        }
        let place = self.inner.enter(queue, request).await?;
        self.state().entered.insert((queue.clone(), request.id), place.token);
        Ok(place)
    }

    pub(super) async fn listed(&self, queue: &Name) -> Result<Listing, Error> {
        let mut listing = self.inner.list(queue, None).await?;
        let mut state = self.state();
        match self.flaw {
            Flaw::ListReversed => listing.entries.reverse(),
            Flaw::ListHasAGhost if listing.entries.is_empty() && listing.version == 0 => {
                let session = state.sessions[0];
                let (token, mode) = (FencingToken::FIRST, Mode::Shared);
                let ghost =
                    steadfast_coordination::port::Entry { token, session, mode, value: vec![] };
                listing.entries.push(ghost);
            }
            Flaw::VersionIsLength => listing.version = listing.entries.len() as u64,
            Flaw::VersionOfAllQueues => listing.version = state.changes,
            Flaw::VersionMissesValues => {
                let key = (queue.clone(), listing.version);
                listing.version = state.shown.get(&key).copied().unwrap_or(listing.version);
            }
            Flaw::FirstValueStays => {
                for entry in &mut listing.entries {
                    let first =
                        state.values.entry(Name::new(entry.token.get().to_string()).unwrap());
                    entry.value = first.or_insert_with(|| entry.value.clone()).clone();
                }
            }
            _ => {}
        }
        drop(state);
        for entry in &mut listing.entries {
            entry.token = self.shown(queue, entry.token);
        }
        Ok(listing)
    }

    pub(super) fn has_changed(&self) {
        self.state().changes += 1;
        self.changed.notify_waiters();
    }
}

/// Gives others a turn.
pub(super) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Poisons the engine if it is dropped before it is defused.
pub(super) struct Poison<'a>(pub(super) &'a AtomicBool, pub(super) bool);

impl Drop for Poison<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
