//! The real stage: what it starts does not outlive it, whatever happens.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

#[path = "../support/again.rs"]
mod again;
mod calls;
mod fencing;
mod left_behind;
mod proxy;

/// Not a test but the other processes of the tests, when they ask for it.
#[test]
fn another_process() {
    again::play();
}

/// Not a test but a whole run in a process of its own, when a test asks for it.
#[test]
fn a_whole_run() {
    left_behind::play();
}
