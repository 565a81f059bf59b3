//! To be written: see the module list in the brief.

mod decision;

pub use decision::{Changed, Refused};
