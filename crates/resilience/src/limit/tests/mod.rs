//! Published values, a server whose capacity changes, and many threads.

#[cfg(feature = "tower")]
mod layer;
mod server;
mod shared;
mod vectors;

use std::time::Duration;

use steadfast_time::Monotonic;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}
