//! What timeouts promise.

mod adaptive;
#[cfg(feature = "tower")]
mod layer;
mod options;
mod within;
