//! What a failure detector decides, with its figures.

use std::fmt;
use std::time::Duration;

use crate::figures::Brief;

/// A peer that is suspected from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspected {
    /// Who.
    pub peer: String,
    /// How strongly.
    pub phi: f64,
    /// How long nothing has been heard.
    pub silent: Duration,
}

impl fmt::Display for Suspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: silent for {}, φ = {:.1}", self.peer, Brief(self.silent), self.phi)
    }
}

/// A peer that is trusted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Who.
    pub peer: String,
    /// How long it was suspected.
    pub suspected: Duration,
    /// It had been alive all the time: the suspicion was false.
    pub was_false: bool,
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.was_false { "falsely suspected" } else { "suspected" };
        write!(f, "{}: back after being {kind} for {}", self.peer, Brief(self.suspected))
    }
}
