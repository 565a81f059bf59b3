//! The checkers: each on histories made by hand, against brute force on thousands of small random
//! ones, on objects with one flaw, on input that is wrong, and at their limits.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a failed test is a panic")]

mod configurations;
mod differential;
mod flaws;
mod inputs;
mod limits;
mod models;
mod oracle;
mod random;

use std::time::Duration;

use serde_json::Value;
use steadfast_lab::check::{Model, Options, Report, check};
use steadfast_lab::history::{Event, Kind};
use steadfast_time::Clock;

/// An event of the only key; its time is its place, in milliseconds.
fn event(process: u64, kind: Kind, f: &'static str, value: Value) -> Event {
    Event { process, kind, f: f.into(), key: None, value, time: 0, error: None }
}

fn on(key: &'static str, event: Event) -> Event {
    Event { key: Some(key.into()), ..event }
}

/// Gives events their times.
fn timed(mut events: Vec<Event>) -> Vec<Event> {
    for (place, event) in (0..).zip(&mut events) {
        event.time = place * 1_000_000;
    }
    events
}

fn within(seconds: u64) -> Options {
    Options { time: Duration::from_secs(seconds), clock: Clock::system() }
}

fn checked(model: Model, events: &[Event]) -> Report {
    check(model, events, &within(20)).expect("a history of this model")
}
