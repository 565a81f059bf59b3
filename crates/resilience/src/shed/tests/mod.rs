//! What load shedding promises, and what it would be without it.

mod gate;
mod goodput;
#[cfg(feature = "tower")]
mod layer;
mod model;
mod queue;

use std::time::Duration;

use steadfast_time::Monotonic;

use crate::deadline::Deadline;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}

const fn by(millis: u64) -> Deadline {
    Deadline::at(at(millis))
}
