//! The rule, for one thread.

use steadfast_time::Monotonic;

use super::terms::{Tally, Terms};
use super::{Figures, Options, SLICES, Spent};
use crate::Invalid;
use crate::window::Time;

/// A budget for one thread, and the definition of what the shared one does: an extra attempt is
/// allowed when, over the window that ends now,
///
/// ```text
/// (extra attempts issued + 1) ≤ ratio · calls + floor_per_second · window
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Terms,
    sums: Time<2>,
}

impl Machine {
    /// A budget in which nothing has happened yet. The floor is there from the start.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        Ok(Self { terms: options.terms()?, sums: Time::new(options.window, SLICES) })
    }

    /// A call is made: its first attempt.
    pub fn deposit(&mut self, now: Monotonic) {
        self.sums.add(now, [1, 0]);
    }

    /// Takes one extra attempt, which counts as issued from now on.
    ///
    /// # Errors
    /// Nothing is left; nothing is taken.
    pub fn take(&mut self, now: Monotonic) -> Result<(), Spent> {
        let tally = Tally::new(self.sums.totals(now));
        if !self.terms.permit(tally) {
            return Err(self.terms.figures(tally).into());
        }
        self.sums.add(now, [0, 1]);
        Ok(())
    }

    /// How it stands.
    pub fn figures(&mut self, now: Monotonic) -> Figures {
        self.terms.figures(Tally::new(self.sums.totals(now)))
    }
}
