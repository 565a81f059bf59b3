//! What a deadline decides, with its figures.

use std::time::Duration;

use crate::figures::Brief;

/// Work that is not started because it could not be done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct Refused {
    /// How much time is left.
    pub left: Duration,
    /// How much is needed; nothing when the deadline has simply passed.
    pub needed: Duration,
}

impl Refused {
    fn words(&self) -> String {
        if self.left.is_zero() {
            "the deadline has passed".to_owned()
        } else {
            format!("{} left, {} needed", Brief(self.left), Brief(self.needed))
        }
    }
}
