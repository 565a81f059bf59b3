//! Measurements of this machine.
//!
//! A figure without its conditions is an advertisement. So each bench measures the disk's own
//! sync latency beside its result, reports percentiles that coordinated omission has not
//! flattered, and says what it could not do.

pub mod journal;
pub mod locks;
pub mod orders;
pub mod probe;
pub mod progress;
mod quantiles;
mod scratch;
mod window;

pub use quantiles::{Micros, Millis, as_f64, histogram};
pub use scratch::Scratch;
pub use window::Window;
