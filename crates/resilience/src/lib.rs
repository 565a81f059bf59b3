//! Policies for calls that may fail, be slow, or never be answered.
//!
//! Every protocol here is a state machine first, `(state, now, input) → decision`, without a
//! clock or a task inside; then a `tower` layer over it; and [`policy`] composes them in the right
//! order from one set of options, for use with or without tower. Whatever a policy decides, it
//! says so: see [`event`].
#![forbid(unsafe_code)]

pub mod breaker;
pub mod budget;
pub mod bulkhead;
mod class;
pub mod deadline;
pub mod detector;
pub mod event;
mod figures;
pub mod hedge;
mod invalid;
pub mod latency;
pub mod limit;
pub mod limits;
pub mod objective;
pub mod policy;
mod refusal;
pub mod retry;
mod share;
pub mod shed;
mod sync;
pub mod timeout;
pub mod window;
#[cfg(feature = "serde")]
mod words;

pub use class::{ByError, Class, Classified, Classify};
pub use invalid::Invalid;
pub use refusal::{Error, Refusal};
pub use share::Share;
