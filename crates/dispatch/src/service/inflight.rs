//! Duplicates that arrive while the first request is still at work.
//!
//! They attach to it and wait. Only finished work holds a key in the journal; this map holds
//! those at work in this process, so it is empty after a crash, as it should be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_journal::StoredResponse;
use tokio::sync::watch;

use crate::limits::ATTACHED_MAX;
use crate::names::TenantId;

type Key = (TenantId, String);

/// What the first request has come to: nothing yet, or its stored answer.
type Outcome = Option<Arc<StoredResponse>>;

struct Working {
    fingerprint: [u8; 32],
    outcome: watch::Receiver<Outcome>,
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
                Place::Attached(Follower { inflight: self, outcome: first.outcome.clone() })
            }
            None => {
                let (sender, outcome) = watch::channel(None);
                working.insert(key.clone(), Working { fingerprint, outcome });
                Place::First(Leader { inflight: self, key, sender })
            }
        }
    }
}

/// The first request of a key. When it is dropped, finished or not, the key is free again and
/// those who wait go on.
pub(super) struct Leader<'a> {
    inflight: &'a InFlight,
    key: Key,
    sender: watch::Sender<Outcome>,
}

impl Leader<'_> {
    pub(super) fn finish(self, response: Arc<StoredResponse>) {
        self.sender.send_replace(Some(response));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.inflight.working().remove(&self.key);
    }
}

/// A later request of the same key.
pub(super) struct Follower<'a> {
    inflight: &'a InFlight,
    outcome: watch::Receiver<Outcome>,
}

impl Follower<'_> {
    /// Waits for the first; `None` when it ended without an answer, and it is worth trying
    /// oneself.
    pub(super) async fn wait(mut self) -> Outcome {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone())
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.inflight.attached.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
