//! What hedging promises.

mod gate;
mod hedger;
#[cfg(feature = "tower")]
mod layer;
mod race;
mod tail;
