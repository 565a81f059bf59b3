//! Whether a member's silence is too long.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use crate::port::Name;

/// Judges members by their heartbeats. A deterministic machine: it is told the time.
///
/// The φ-accrual monitor of `steadfast-resilience` fits it: `heartbeat` is its `heartbeat_of`,
/// `overdue` its own, `suspected` its `tick` and `suspects`, `due` its time between ticks.
pub trait Suspicion: Send + 'static {
    /// A member has been heard; it is judged from the first time on. A higher incarnation is
    /// another life of it.
    fn heartbeat(&mut self, member: &Name, incarnation: FencingToken, now: Monotonic);

    /// A member is gone and not to be judged any more.
    fn forget(&mut self, member: &Name, now: Monotonic);

    /// For this long, until now, nobody could be heard, as the engine was out of reach; and nobody
    /// could beat, perhaps. That is not to be held against anybody.
    fn deaf(&mut self, length: Duration, now: Monotonic);

    /// Whether [`suspected`](Self::suspected) would say somebody whom it did not say before. A watcher
    /// looks once more, then, before it asks that: a heartbeat is in the entry, however long it takes
    /// this process to read it.
    fn overdue(&mut self, now: Monotonic) -> bool;

    /// All who are suspected now.
    fn suspected(&mut self, now: Monotonic) -> Vec<Name>;

    /// When to ask again at the latest, if nothing is heard before; `None` for not at all.
    fn due(&self, now: Monotonic) -> Option<Monotonic>;
}

/// Suspects whoever is silent for longer than a fixed time.
///
/// Easy to predict; wrong for members with a rhythm of their own, for which a φ-accrual monitor
/// learns what is usual.
#[derive(Clone, Debug)]
pub struct Missed {
    allowed: Duration,
    heard: BTreeMap<Name, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Monotonic,
    is_suspected: bool,
}

impl Missed {
    /// Suspects whoever has missed `beats` beats in a row, at one every `interval`. A beat that is
    /// half an interval late is not missed yet.
    #[must_use]
    pub fn beats(beats: u32, interval: Duration) -> Self {
        let allowed = interval.saturating_mul(beats.max(1)).saturating_add(interval / 2);
        Self { allowed, heard: BTreeMap::new() }
    }

    /// The longest silence without suspicion.
    #[must_use]
    pub const fn allowed(&self) -> Duration {
        self.allowed
    }
}

impl Suspicion for Missed {
    fn heartbeat(&mut self, member: &Name, _: FencingToken, now: Monotonic) {
        self.heard.insert(member.clone(), Heard { at: now, is_suspected: false });
    }

    fn forget(&mut self, member: &Name, _: Monotonic) {
        self.heard.remove(member);
    }

    fn deaf(&mut self, length: Duration, now: Monotonic) {
        // Whoever is suspected was silent while somebody listened.
        for heard in self.heard.values_mut().filter(|heard| !heard.is_suspected) {
            heard.at = (heard.at + length).min(now);
        }
    }

    fn overdue(&mut self, now: Monotonic) -> bool {
        let mut trusted = self.heard.values().filter(|heard| !heard.is_suspected);
        trusted.any(|heard| now - heard.at > self.allowed)
    }

    fn suspected(&mut self, now: Monotonic) -> Vec<Name> {
        let mut suspected = Vec::new();
        for (member, heard) in &mut self.heard {
            heard.is_suspected |= now - heard.at > self.allowed;
            if heard.is_suspected {
                suspected.push(member.clone());
            }
        }
        suspected
    }

    fn due(&self, now: Monotonic) -> Option<Monotonic> {
        let trusted = self.heard.values().filter(|heard| !heard.is_suspected);
        // A nanosecond after what is allowed, it is longer than that.
        let over = trusted.map(|heard| heard.at + self.allowed + Duration::from_nanos(1));
        over.min().map(|due| due.max(now))
    }
}
