//! Duplicates that arrive while the first request is still at work.
//!
//! They attach to it and wait. Only finished work holds a key in the journal; this map holds
//! those at work in this process, so it is empty after a crash, as it should be.
//!
//! They go on in the order in which they came: whoever simulates this needs the same order each
//! time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use steadfast_journal::StoredResponse;
use tokio::sync::Notify;

use crate::limits::ATTACHED_MAX;
use crate::names::TenantId;

type Key = (TenantId, String);

/// What the first request has come to: its stored answer, or nothing.
type Outcome = Option<Arc<StoredResponse>>;

struct Working {
    fingerprint: [u8; 32],
    first: Arc<First>,
}

/// The first request.
#[derive(Default)]
struct First {
    outcome: OnceLock<Outcome>,
    over: Notify,
}

#[derive(Default)]
pub(super) struct InFlight {
    working: Mutex<HashMap<Key, Working>>,
    attached: std::sync::atomic::AtomicUsize,
}

/// The caller's place.
pub(super) enum Place<'a> {
    /// It is the first: do the work.
    First(Leader<'a>),
    /// Another one is at work on the same request.
    Attached(Follower<'a>),
    /// Another one is at work on another request under the same key.
    Reused,
    /// Too many wait already.
    Full,
}

impl InFlight {
    fn working(&self) -> MutexGuard<'_, HashMap<Key, Working>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, tenant: &TenantId, key: &str, fingerprint: [u8; 32]) -> Place<'_> {
        use std::sync::atomic::Ordering::Relaxed;

        let key = (tenant.clone(), key.to_owned());
        let mut working = self.working();
        match working.get(&key) {
            Some(other) if other.fingerprint != fingerprint => Place::Reused,
            Some(first) => {
                if self.attached.fetch_add(1, Relaxed) >= ATTACHED_MAX {
                    self.attached.fetch_sub(1, Relaxed);
                    return Place::Full;
                }
                Place::Attached(Follower { inflight: self, first: Arc::clone(&first.first) })
            }
            None => {
                let first = Arc::<First>::default();
                working.insert(key.clone(), Working { fingerprint, first: Arc::clone(&first) });
                Place::First(Leader { inflight: self, key, first })
            }
        }
    }
}

/// The first request of a key. When it is dropped, finished or not, the key is free again and
/// those who wait go on.
pub(super) struct Leader<'a> {
    inflight: &'a InFlight,
    key: Key,
    first: Arc<First>,
}

impl Leader<'_> {
    pub(super) fn finish(self, response: Arc<StoredResponse>) {
        // It is over once, here or with the drop that follows.
        let _ = self.first.outcome.set(Some(response));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.inflight.working().remove(&self.key);
        let _ = self.first.outcome.set(None);
        self.first.over.notify_waiters();
    }
}

/// A later request of the same key.
pub(super) struct Follower<'a> {
    inflight: &'a InFlight,
    first: Arc<First>,
}

impl Follower<'_> {
    /// Waits for the first; `None` when it ended without an answer, and it is worth trying
    /// oneself.
    pub(super) async fn wait(self) -> Outcome {
        let mut over = std::pin::pin!(self.first.over.notified());
        // From here on the end is not missed.
        over.as_mut().enable();
        if self.first.outcome.get().is_none() {
            over.await;
        }
        self.first.outcome.get().cloned().flatten()
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.inflight.attached.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
