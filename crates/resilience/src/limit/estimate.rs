//! What every algorithm sees, and what it says.

use std::time::Duration;

/// What was seen of a call, or of all calls of a window together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long the answer took; of a window, on average.
    pub rtt: Duration,
    /// How many calls were under way when it began, itself included; of a window, the most.
    pub in_flight: u32,
    /// Whether it was dropped: timed out, or turned away for lack of capacity; of a window,
    /// whether one was.
    pub dropped: bool,
}

/// Finds out how many calls at once the other side can take: `(state, sample) → limit`.
pub trait Estimate: Send {
    /// What it says now.
    fn limit(&self) -> u32;

    /// What it says after this.
    fn update(&mut self, sample: &Sample) -> u32;
}

/// Down to a whole number, as all algorithms round.
pub(super) fn whole(limit: f64) -> u32 {
    // Saturates; limits are checked to be below 2^20.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let whole = limit as u32;
    whole
}
