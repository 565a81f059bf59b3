//! The rule, for many threads.

use steadfast_time::Monotonic;

use super::terms::{Tally, Terms};
use super::{Figures, Options, SLICES, Spent};
use crate::Invalid;
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::window::{Time, nanos};

/// A budget that many threads share: [`super::Machine`] to the unit, without a lock on the way.
///
/// One word holds the calls and the extra attempts of the whole window. A deposit adds to it; a
/// take compares and swaps it, so the figures that it was decided by are the figures that it
/// changes: no two threads can take the same last attempt. Once in a hundredth of the window
/// somebody, under a mutex, subtracts what has grown too old. Others go on meanwhile: what they
/// add goes to the slice that begins.
#[derive(Debug)]
pub struct Budget {
    /// Calls and extra attempts within the window. On a cache line of its own: everything else
    /// here is read often and hardly ever written.
    tally: Padded<AtomicU64>,
    /// When the current slice ends, in nanoseconds.
    end: AtomicU64,
    terms: Terms,
    /// What the slices before the current one add up to, and when each has to go.
    past: Mutex<Time<2>>,
}

impl Budget {
    /// A budget in which nothing has happened yet. The floor is there from the start.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        let terms = options.terms()?;
        let past = Time::new(options.window, SLICES);
        Ok(Self {
            tally: Padded(AtomicU64::new(0)),
            end: AtomicU64::new(past.newest_end()),
            terms,
            past: Mutex::new(past),
        })
    }

    /// A call is made: its first attempt.
    ///
    /// `now` may be a little behind other threads' (a reading that came late): it counts then as
    /// the newest that was seen.
    #[inline]
    pub fn deposit(&self, now: Monotonic) {
        self.slide(now);
        self.tally.0.fetch_add(Tally::CALL.0, Ordering::Relaxed);
    }

    /// Takes one extra attempt, which counts as issued from now on; see the module's
    /// documentation for why it cannot be given back.
    ///
    /// # Errors
    /// Nothing is left; nothing is taken.
    #[inline]
    pub fn take(&self, now: Monotonic) -> Result<(), Spent> {
        self.slide(now);
        let mut tally = Tally(self.tally.0.load(Ordering::Relaxed));
        while self.terms.permit(tally) {
            // The word is all that the decision rests on: if it is the same, so is the decision.
            let taken = tally.0 + Tally::EXTRA.0;
            let swap = self.tally.0.compare_exchange_weak(
                tally.0,
                taken,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swap {
                Ok(_) => return Ok(()),
                Err(newer) => tally = Tally(newer),
            }
        }
        Err(self.terms.figures(tally).into())
    }

    /// How it stands.
    #[must_use]
    pub fn figures(&self, now: Monotonic) -> Figures {
        self.slide(now);
        self.terms.figures(Tally(self.tally.0.load(Ordering::Relaxed)))
    }

    /// Ends the current slice if it is over. Afterwards nothing that has grown too old by `now` is
    /// in the word: whoever sees the new end (`Acquire`) sees the subtraction before it
    /// (`Release`), and whoever does not see it comes to the mutex.
    #[inline]
    fn slide(&self, now: Monotonic) {
        if nanos(now) >= self.end.load(Ordering::Acquire) {
            self.next_slice(now);
        }
    }

    #[cold]
    fn next_slice(&self, now: Monotonic) {
        let mut past = lock(&self.past);
        if nanos(now) < self.end.load(Ordering::Relaxed) {
            return;
        }
        // A moment before all others is the newest slice: the one that ends.
        let ending = Monotonic::default();
        let counted = Tally(self.tally.0.load(Ordering::Relaxed));
        let unknown = counted.beyond(Tally::new(past.sums()));
        if unknown != [0, 0] {
            past.add(ending, unknown);
        }
        let kept = Tally::new(past.totals(now));
        self.tally.0.fetch_sub(counted.0.wrapping_sub(kept.0), Ordering::Relaxed);
        self.end.store(past.newest_end(), Ordering::Release);
    }
}
