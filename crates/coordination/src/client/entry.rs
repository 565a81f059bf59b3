//! One entry of ours, from the first request for it until the server has confirmed its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::Handle;
use super::lease::Lease;
use crate::port::{EntryId, Mode, Name, Request};

/// What its owner and the keeper both know of an entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) lease: Arc<Lease>,
    pub(super) name: Name,
    pub(super) mode: Mode,
    pub(super) id: EntryId,
    pub(super) value: Arc<[u8]>,
    /// Whether nothing is reported of it.
    pub(super) hidden: bool,
    /// Known once the server has answered.
    token: OnceLock<FencingToken>,
    /// When it was its turn.
    since: OnceLock<Monotonic>,
    /// When the server was last asked whether it is still there, in nanoseconds.
    looked: AtomicU64,
    /// Somebody else has taken it out of its queue.
    evicted: AtomicBool,
    /// A request for it was given up without an answer. It may still arrive, at any time.
    doubtful: AtomicBool,
}

impl Entry {
    pub(super) fn new(
        lease: Arc<Lease>,
        name: Name,
        mode: Mode,
        value: Arc<[u8]>,
        id: EntryId,
    ) -> Self {
        Self {
            lease,
            name,
            mode,
            id,
            value,
            hidden: false,
            token: OnceLock::new(),
            since: OnceLock::new(),
            looked: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
        }
    }

    /// The same, but nothing is reported of it: it is a part of something else.
    pub(super) fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    pub(super) fn request(&self, wait: bool) -> Request<'_> {
        let session = self.lease.session;
        Request { session, id: self.id, mode: self.mode, value: &self.value, wait }
    }

    pub(super) fn token(&self) -> Option<FencingToken> {
        self.token.get().copied()
    }

    /// For how long it has been held.
    pub(super) fn held(&self, now: Monotonic) -> Duration {
        self.since.get().map_or(Duration::ZERO, |since| now - *since)
    }

    /// It is its turn.
    pub(super) fn hold(&self, now: Monotonic) {
        let _ = self.since.set(now);
        self.look(now);
    }

    pub(super) fn look(&self, now: Monotonic) {
        self.looked.store(now.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn looked(&self) -> Monotonic {
        Monotonic::from_nanos(self.looked.load(Ordering::Relaxed))
    }

    pub(super) fn evict(&self) {
        self.evicted.store(true, Ordering::Release);
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }
}

/// The duty to take an entry out of its queue again. Dropped, it becomes the keeper's.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) handle: Arc<Handle>,
    pub(super) entry: Arc<Entry>,
    /// Whether the server may have the entry.
    owed: bool,
    /// Whether a request is on the way.
    asking: bool,
}

impl Ticket {
    pub(super) fn new(handle: Arc<Handle>, entry: Entry) -> Self {
        Self { handle, entry: Arc::new(entry), owed: false, asking: false }
    }

    /// A request for it goes out. Until it is answered, nobody knows.
    pub(super) fn ask(&mut self) {
        self.give_up();
        (self.owed, self.asking) = (true, true);
    }

    /// The request on the way, if there is one, will not be waited for.
    fn give_up(&mut self) {
        if self.asking {
            self.entry.doubtful.store(true, Ordering::Release);
        }
    }

    /// The server has it, under this token.
    pub(super) fn entered(&mut self, token: FencingToken) {
        self.asking = false;
        let _ = self.entry.token.set(token);
    }

    /// The server has answered that it did not take the request. An earlier one may have been taken.
    pub(super) fn refused(&mut self) {
        self.asking = false;
        self.owed = self.entry.is_doubtful();
    }

    /// The server does not have it, unless an earlier request still arrives.
    pub(super) fn settled(&mut self) {
        (self.owed, self.asking) = (false, false);
        if self.entry.is_doubtful() {
            self.handle.shared.doubt(&self.entry, None);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.owed {
            self.give_up();
            self.handle.shared.owe(&self.entry);
        }
    }
}
