//! Which keys of a consumer are parked.
//!
//! The journal's dead letters are the truth; this is what the process knows of them, shared by
//! the lanes, which add letters, and by the operator's hand, which takes them away. A key is
//! un-parked only when its last letter is gone and no lane is just writing another one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_journal::Store;
use steadfast_time::Timestamp;

use crate::dead_letters::{Error, Letters};
use crate::limits::{LETTERS_PAGE_MAX, PARKED_KEYS_MAX};

#[derive(Default)]
struct Parked {
    /// Letters that are being written.
    writing: usize,
    /// Whether a letter is known to be durable.
    written: bool,
    /// Counts letters begun, so that whoever looked for the last one can tell that more came.
    begun: u64,
}

#[derive(Default)]
struct State {
    keys: HashMap<Arc<str>, Parked>,
    /// The last number given to a message that has none of its own.
    arrival: u64,
    replaying: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Parking {
    /// So that a lane need not take the lock while nothing is parked.
    count: AtomicUsize,
    state: Mutex<State>,
}

impl Parking {
    /// Learns from the journal which keys are parked.
    pub(crate) fn open(store: &dyn Store, letters: &Letters) -> Result<Self, Error> {
        let mut state = State::default();
        let mut after: Option<String> = None;
        loop {
            let page = letters.page(store, "", after.as_deref(), LETTERS_PAGE_MAX)?;
            let Some(last) = page.last() else { break };
            after = Some(last.place.clone());
            for letter in page {
                state.arrival = state.arrival.max(letter.arrival().unwrap_or(0));
                state.keys.entry(letter.key().into()).or_default().written = true;
            }
        }
        let count = AtomicUsize::new(state.keys.len());
        Ok(Self { count, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys are parked.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether a key is parked.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.len() > 0 && self.state().keys.contains_key(key)
    }

    /// A key was found to have letters that this process did not know of.
    pub(crate) fn adopt(&self, key: &Arc<str>) {
        let mut state = self.state();
        state.keys.entry(Arc::clone(key)).or_default().written = true;
        self.count.store(state.keys.len(), Ordering::Release);
    }

    /// Parks a key for a letter that is about to be written; refused when too many are parked.
    pub(crate) fn begin(self: &Arc<Self>, key: &Arc<str>) -> Option<Writing> {
        let mut state = self.state();
        if !state.keys.contains_key(key) && state.keys.len() >= PARKED_KEYS_MAX {
            return None;
        }
        let parked = state.keys.entry(Arc::clone(key)).or_default();
        parked.writing += 1;
        parked.begun += 1;
        self.count.store(state.keys.len(), Ordering::Release);
        Some(Writing { parking: Arc::clone(self), key: Arc::clone(key), written: false })
    }

    /// A number for a message that has none: later ones are higher, also after a restart and
    /// when the wall clock steps back.
    pub(crate) fn arrival(&self, now: Timestamp) -> u64 {
        let mut state = self.state();
        let now = u64::try_from(now.as_micros()).unwrap_or(0);
        state.arrival = now.max(state.arrival + 1);
        state.arrival
    }

    /// What to compare with in [`Parking::unpark`]; nothing while a letter is being written.
    pub(crate) fn begun(&self, key: &str) -> Option<u64> {
        self.state().keys.get(key).filter(|parked| parked.writing == 0).map(|parked| parked.begun)
    }

    /// Lets a key go on whose last letter was seen to be gone after `begun` was read. Says
    /// whether it could.
    pub(crate) fn unpark(&self, key: &str, begun: u64) -> bool {
        let mut state = self.state();
        let Some(parked) = state.keys.get(key) else {
            return true;
        };
        if parked.writing > 0 || parked.begun != begun {
            return false;
        }
        state.keys.remove(key);
        self.count.store(state.keys.len(), Ordering::Release);
        true
    }

    /// Claims the one right to take letters away.
    pub(crate) fn operate(self: &Arc<Self>) -> Option<Operating> {
        let mut state = self.state();
        let free = !std::mem::replace(&mut state.replaying, true);
        free.then(|| Operating { parking: Arc::clone(self) })
    }
}

/// A letter that is being written.
pub(crate) struct Writing {
    parking: Arc<Parking>,
    key: Arc<str>,
    written: bool,
}

impl Writing {
    /// The letter is durable.
    pub(crate) fn written(mut self) {
        self.written = true;
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.parking.state();
        let Some(parked) = state.keys.get_mut(&self.key) else {
            return;
        };
        parked.writing -= 1;
        parked.written |= self.written;
        if parked.writing == 0 && !parked.written {
            state.keys.remove(&self.key);
            self.parking.count.store(state.keys.len(), Ordering::Release);
        }
    }
}

/// The right to take letters away, held by one at a time.
pub(crate) struct Operating {
    parking: Arc<Parking>,
}

impl Drop for Operating {
    fn drop(&mut self) {
        self.parking.state().replaying = false;
    }
}
