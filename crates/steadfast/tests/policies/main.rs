//! What stands between the parts, in the real program: circuits open and close, slow services are
//! given up on, an operator sees it and has a say, and no order is lost or done twice over it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;
mod circuit;
mod configuration;
mod office;
mod recovery;
mod slow;
#[path = "../support/mod.rs"]
mod support;
mod town;
