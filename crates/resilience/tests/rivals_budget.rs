//! Finagle's budget vectors, run against tower's `TpsBudget` and against ours.
//!
//! What is asserted of tower is what version 0.5.3 does, right or wrong, so that a release which
//! mends it (tower#857) makes this fail and the table in the documentation is put right.
//!
//! `cargo test -p steadfast-resilience --test rivals_budget -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use steadfast_resilience::budget::{Budget, Options};
use steadfast_time::Monotonic;
use tower::retry::budget::{Budget as _, TpsBudget};

const CALLS: u32 = 10_000;

/// Each of 10,000 calls is followed by an attempt to retry.
fn retried(mut call_and_retry: impl FnMut() -> bool) -> u32 {
    (0..CALLS).map(|_| u32::from(call_and_retry())).sum()
}

fn tower(ratio: f32, floor_per_second: u32, seconds: u64) -> u32 {
    let budget = TpsBudget::new(Duration::from_secs(seconds), floor_per_second, ratio);
    retried(|| {
        budget.deposit();
        budget.withdraw()
    })
}

fn ours(ratio: f32, floor_per_second: u32, seconds: u64) -> u32 {
    // The same decimal number as a double.
    let ratio = format!("{ratio}").parse().unwrap();
    let (floor_per_second, window) = (floor_per_second.into(), Duration::from_secs(seconds));
    let budget = Budget::new(&Options { ratio, floor_per_second, window }).unwrap();
    let now = Monotonic::default();
    retried(|| {
        budget.deposit(now);
        budget.take(now).is_ok()
    })
}

/// tower's budget reads the real clock; all of this takes some milliseconds of its window.
#[test]
fn of_ten_thousand_calls_how_many_are_retried() {
    // Ratio, floor a second, window in seconds; expected (exactly), and what tower 0.5.3 does.
    let rows = [
        // Finagle `RetryBudgetTest`.
        (0.1, 0, 60, 1_000, 1_000),
        (0.5, 0, 60, 5_000, 5_000),
        (0.25, 0, 60, 2_500, 2_500),
        (0.75, 0, 60, 7_500, 10_000),
        (0.99, 0, 60, 9_900, 10_000),
        (0.999, 0, 60, 9_990, 10_000),
        (0.9999, 0, 60, 9_999, 10_000),
        (0.01, 0, 60, 100, 100),
        (0.001, 0, 60, 10, 10),
        (0.0001, 0, 60, 1, 1),
        (0.0, 10, 1, 10, 10),
        (0.0, 5, 2, 10, 10),
        (0.1, 10, 1, 1_010, 1_010),
        (0.5, 5, 2, 5_010, 5_010),
        // tower#857.
        (0.05, 0, 10, 500, 500),
        (0.2, 0, 10, 2_000, 2_000),
        (0.3, 0, 10, 3_000, 3_333),
        (0.4, 0, 10, 4_000, 5_000),
        (0.6, 0, 10, 6_000, 10_000),
        (0.9, 0, 10, 9_000, 10_000),
    ];
    println!("| ratio | floor and window | exact | Steadfast | tower 0.5.3 | |");
    println!("|---|---|---|---|---|---|");
    for (ratio, floor, seconds, exact, rival) in rows {
        let (mine, theirs) = (ours(ratio, floor, seconds), tower(ratio, floor, seconds));
        let verdict = if theirs == exact { "" } else { "over" };
        println!("| {ratio} | {floor}/s, {seconds} s | {exact} | {mine} | {theirs} | {verdict} |");
        assert_eq!(mine, exact, "ours, ratio {ratio}");
        assert_eq!(theirs, rival, "tower's, ratio {ratio}");
    }
}

/// Finagle `RetryBudgetTest`, "maxPercentOver greater than 1.0".
#[test]
fn of_ten_thousand_calls_two_retries_each() {
    let budget = TpsBudget::new(Duration::from_secs(60), 0, 2.0);
    (0..CALLS).for_each(|_| budget.deposit());
    assert_eq!((0..30_000).filter(|_| budget.withdraw()).count(), 20_000);

    let options = Options { ratio: 2.0, floor_per_second: 0.0, window: Duration::from_secs(60) };
    let (budget, now) = (Budget::new(&options).unwrap(), Monotonic::default());
    (0..CALLS).for_each(|_| budget.deposit(now));
    assert_eq!((0..30_000).filter(|_| budget.take(now).is_ok()).count(), 20_000);
}
