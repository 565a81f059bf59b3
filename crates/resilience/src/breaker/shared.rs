//! The breaker that several threads share.
//!
//! The [`Machine`] sits behind a small lock, and publishes in one [`Word`] what the others need
//! to know. A healthy dependency costs next to nothing, because a good call seldom changes
//! anything:
//!
//! - leave to call, closed: one load;
//! - a good call into a full count window without a failure or a slow call in it: one load. The
//!   window would forget a good call and remember a good call, so that not writing it down is
//!   exact;
//! - a good call otherwise, once there are calls enough for a judgement: it can only lower the
//!   rates, so it is written down on the thread's own line of a [`Tally`] (one compare and swap),
//!   and the next who takes the lock puts it into the window first;
//! - a refusal: a load or two.
//!
//! All else takes the lock. Everything counts exactly once, in an order that each thread could
//! have seen: `loom` tries every interleaving, and a million random steps agree with a list of
//! all calls.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::machine::come_back;
use super::permit::Permit;
use super::tally::{CALLS_MAX, Tally};
use super::word::Word;
use super::{
    Acquired, Forced, Grant, Machine, Now, Options, Refused, Snapshot, State, Transition, Window,
};
use crate::Invalid;
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::window::{nanos, nanos_in};

/// A circuit breaker for several threads.
///
/// A call that changes its state is told so, and nobody else is: whoever gets a [`Transition`]
/// says so to whom it may concern.
#[derive(Debug)]
#[repr(align(128))]
pub struct Breaker {
    word: AtomicU64,
    /// Until when calls join the newest ones: the end of a time window's slice.
    same_slice_until: AtomicU64,
    open_until: AtomicU64,
    probe_deadline: AtomicU64,
    /// Calls that take longer are slow; the largest number where nobody asks.
    slow_call: u64,
    /// Whether calls are timed, and whether they are counted by time.
    timed: bool,
    by_time: bool,
    /// So many good calls are written down at most before they are put into the window.
    good_max: u32,
    options: Options,
    tally: Tally,
    /// On cache lines of its own, so that writing it does not slow down those who only read the
    /// word.
    locked: Padded<Mutex<Locked>>,
    #[cfg(test)]
    pub(super) twin: Twin,
}

#[derive(Debug)]
struct Locked {
    machine: Machine,
    /// Whether good calls may be in the tally.
    tally_open: bool,
}

/// Protections that a test can take away, to show that its check would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twin {
    #[cfg(test)]
    None,
    /// Good calls are added without looking whether the word has changed.
    AddsBlindly,
    /// The tally stays open while the lock is held.
    StaysOpen,
    /// Outcomes of earlier periods are counted.
    MixesPeriods,
    /// Nobody looks whether a new slice has begun.
    IgnoresSlices,
}

impl Breaker {
    /// A closed breaker that has seen nothing yet.
    ///
    /// # Errors
    /// The options make no sense: see [`Options::check`].
    pub fn new(options: Options) -> Result<Self, Invalid> {
        let machine = Machine::new(options)?;
        let (by_time, good_max) = match options.window {
            // So many good calls in a row fill the window: then it is clean, and that must be
            // told.
            Window::Count(calls) => (false, calls),
            Window::Time(_) => (true, CALLS_MAX),
        };
        let this = Self {
            word: AtomicU64::new(Word::new(State::Closed, 0).0),
            same_slice_until: AtomicU64::new(0),
            open_until: AtomicU64::new(0),
            probe_deadline: AtomicU64::new(0),
            slow_call: options.slow_call.map_or(u64::MAX, nanos_in),
            timed: options.slow_call.is_some(),
            by_time,
            good_max,
            options,
            tally: Tally::new(),
            locked: Padded(Mutex::new(Locked { machine, tally_open: false })),
            #[cfg(test)]
            twin: Twin::None,
        };
        this.with(|_| {});
        Ok(this)
    }

    /// How it judges.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        Word(self.word.load(Ordering::Acquire)).state()
    }

    /// Asks for leave to make a call. The first to ask after the wait turns it half-open.
    #[inline]
    pub fn acquire(&self, now: impl Now) -> Acquired {
        let word = Word(self.word.load(Ordering::Acquire));
        if word.is_closed() {
            let started = if self.timed { nanos(now.now()) } else { 0 };
            return (Ok(Grant { started, period: word.period(), probe: false }), None);
        }
        self.acquire_unless_open(word, now.now())
    }

    /// Tells what came of a call. Neither an outcome from before the last change of state nor a
    /// late one while it is open counts.
    #[inline]
    pub fn record(&self, now: impl Now, grant: Grant, failed: bool) -> Option<Transition> {
        let moment = if self.timed | self.by_time { now.now() } else { Monotonic::default() };
        let at = nanos(moment);
        let good = !failed & (at.saturating_sub(grant.started) <= self.slow_call);
        if good && self.record_good(at, &grant) {
            return None;
        }
        let moment = if self.timed | self.by_time { moment } else { now.now() };
        self.record_locked(moment, grant, failed)
    }

    /// Tells that nothing came of a call, neither good nor bad: it was given up, or never made. A
    /// probe's place is free again.
    pub fn cancel(&self, grant: Grant) {
        if grant.probe {
            self.with(|machine| machine.cancel(grant));
        }
    }

    /// Like [`Breaker::acquire`], but what came of the call is told to the permit; one that is
    /// dropped without a word is cancelled.
    #[inline]
    pub fn permit(&self, now: impl Now) -> (Result<Permit<&Self>, Refused>, Option<Transition>) {
        Permit::acquire(self, now)
    }

    /// Tells that the retry budget is spent. Counted; it opens a closed breaker that was set to
    /// ([`Options::open_when_budget_spent`]).
    pub fn budget_spent(&self, now: impl Now) -> Option<Transition> {
        let now = now.now();
        self.with(|machine| machine.budget_spent(now))
    }

    /// Takes the judgement out of its hands, or gives it back.
    pub fn force(&self, now: impl Now, forced: Forced) -> Option<Transition> {
        let now = now.now();
        self.with(|machine| machine.force(now, forced))
    }

    /// How it stands now.
    pub fn snapshot(&self, now: impl Now) -> Snapshot {
        let now = now.now();
        self.with(|machine| machine.snapshot(now))
    }

    /// Counts a good call without the lock, if that is exact.
    #[inline]
    fn record_good(&self, at: u64, grant: &Grant) -> bool {
        let word = Word(self.word.load(Ordering::Acquire));
        if word.period() != grant.period {
            return !self.lacks(Twin::MixesPeriods);
        }
        if word.is_clean() {
            return true;
        }
        // Looked at after the tally was: whoever opens it for the next slice has said so before.
        let same_slice = || {
            !self.by_time
                || at < self.same_slice_until.load(Ordering::Acquire)
                || self.lacks(Twin::IgnoresSlices)
        };
        let blindly = self.lacks(Twin::AddsBlindly);
        word.is_steady() && self.tally.add(grant.period, self.good_max, same_slice, blindly)
    }

    #[inline(never)]
    fn record_locked(&self, now: Monotonic, grant: Grant, failed: bool) -> Option<Transition> {
        if self.lacks(Twin::MixesPeriods) {
            let mix = |machine: &mut Machine| {
                let period = machine.period();
                machine.record(now, Grant { period, ..grant }, failed)
            };
            return self.with(mix);
        }
        // What comes late in a great number, just after the circuit has opened, need not queue.
        if Word(self.word.load(Ordering::Acquire)).period() != grant.period {
            return None;
        }
        self.with(|machine| machine.record(now, grant, failed))
    }

    /// Refuses without the lock where the word says enough.
    #[inline(never)]
    fn acquire_unless_open(&self, word: Word, now: Monotonic) -> Acquired {
        let at = nanos(now);
        let state = word.state();
        let refused = match state {
            State::Open => {
                let until = self.open_until.load(Ordering::Acquire);
                (at < until).then(|| Some(Duration::from_nanos(until - at)))
            }
            State::HalfOpen if word.is_exhausted() => {
                let until = self.probe_deadline.load(Ordering::Acquire);
                (at < until).then(|| Some(come_back(at, until)))
            }
            State::ForcedOpen => Some(None),
            State::HalfOpen | State::Closed | State::ForcedClosed => None,
        };
        match refused {
            Some(retry_after) => (Err(Refused { state, retry_after }), None),
            None => self.with(|machine| machine.acquire(now)),
        }
    }

    /// Does something to the machine: puts what was written down elsewhere into it first, and
    /// publishes what holds afterwards.
    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut locked = lock(&self.locked.0);
        let Locked { machine, tally_open } = &mut *locked;
        if *tally_open {
            let good = self.tally.collect(self.lacks(Twin::StaysOpen));
            if good > 0 {
                machine.record_good(good);
            }
        }
        let result = act(machine);
        self.publish(machine, tally_open);
        result
    }

    fn publish(&self, machine: &Machine, tally_open: &mut bool) {
        // Before the word and the tally, so that whoever sees the new ones sees these too.
        if self.by_time {
            self.same_slice_until.store(machine.same_slice_until(), Ordering::Release);
        }
        if let Some(until) = machine.open_until() {
            self.open_until.store(until, Ordering::Release);
        }
        let probe_deadline = machine.probe_deadline();
        if let Some(until) = probe_deadline {
            self.probe_deadline.store(until, Ordering::Release);
        }
        let (steady, exhausted) = (machine.is_steady(), probe_deadline.is_some());
        let clean = steady && machine.is_clean();
        let word = Word::new(machine.state(), machine.period()).flagged(clean, steady, exhausted);
        // Only what has changed is written, so that the others' copies stay good.
        if self.word.load(Ordering::Relaxed) != word.0 {
            self.word.store(word.0, Ordering::Release);
        }
        *tally_open = steady && !clean;
        if *tally_open {
            self.tally.open(machine.period());
        }
    }

    /// Whether a protection is off: never, except in tests.
    #[inline]
    const fn lacks(&self, protection: Twin) -> bool {
        #[cfg(test)]
        return self.twin as u8 == protection as u8;
        #[cfg(not(test))]
        {
            let _ = protection;
            false
        }
    }
}
