//! Every interleaving of few threads.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use steadfast_time::Monotonic;

use super::*;

fn ms(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

/// A window of one second slides every 10 ms.
fn budget(ratio: f64, floor_per_second: f64) -> Arc<Budget> {
    let window = Duration::from_secs(1);
    Arc::new(Budget::new(&Options { ratio, floor_per_second, window }).unwrap())
}

/// Both in threads of their own: what the main thread reads, loom explores less of.
fn in_parallel<T: 'static>(
    left: impl FnOnce() -> T + 'static,
    right: impl FnOnce() -> T + 'static,
) -> (T, T) {
    let (left, right) = (thread::spawn(left), thread::spawn(right));
    (left.join().unwrap(), right.join().unwrap())
}

#[test]
fn the_last_attempt_is_taken_once() {
    loom::model(|| {
        let budget = budget(0.0, 1.0);
        let other = Arc::clone(&budget);
        let (a, b) = in_parallel(move || other.take(ms(1)).is_ok(), {
            let budget = Arc::clone(&budget);
            move || budget.take(ms(1)).is_ok()
        });
        assert!(a ^ b, "{a} {b}");
        assert_eq!(budget.figures(ms(1)).extra, 1);
    });
}

/// The broken twin: look, then take.
#[test]
#[should_panic(expected = "taken twice")]
fn a_twin_that_looks_first_takes_it_twice() {
    loom::model(|| {
        let left = Arc::new(AtomicU64::new(1));
        let take = |left: &AtomicU64| {
            let enough = left.load(Ordering::SeqCst) > 0;
            if enough {
                left.fetch_sub(1, Ordering::SeqCst);
            }
            enough
        };
        let other = Arc::clone(&left);
        let (a, b) = in_parallel(move || take(&other), {
            let left = Arc::clone(&left);
            move || take(&left)
        });
        assert!(!(a && b), "taken twice");
    });
}

#[test]
fn a_deposit_during_a_roll_over_is_not_lost() {
    loom::model(|| {
        let budget = budget(1.0, 0.0);
        budget.deposit(ms(1));
        let other = Arc::clone(&budget);
        in_parallel(move || other.deposit(ms(9)), {
            let budget = Arc::clone(&budget);
            move || budget.deposit(ms(500))
        });
        assert_eq!(budget.figures(ms(500)).calls, 3);
        // The first leaves with its slice. The second was made in it or in the one after the
        // roll-over, whichever came first; the third stays until its own slice leaves.
        assert!((1..=2).contains(&budget.figures(ms(1_000)).calls));
        assert_eq!(budget.figures(ms(1_500)).calls, 0);
    });
}

#[test]
fn both_roll_over_and_what_is_old_leaves_once() {
    loom::model(|| {
        let budget = budget(1.0, 0.0);
        budget.deposit(ms(1));
        budget.deposit(ms(600));
        let other = Arc::clone(&budget);
        in_parallel(move || other.deposit(ms(1_001)), {
            let budget = Arc::clone(&budget);
            move || budget.deposit(ms(1_011))
        });
        assert_eq!(budget.figures(ms(1_011)).calls, 3);
        assert_eq!(budget.figures(ms(3_000)).calls, 0);
    });
}

/// The call that would pay for it is too old at 1,001 ms, so nobody gets anything then, whoever
/// slides the window.
#[test]
fn nobody_takes_against_a_window_that_has_gone() {
    loom::model(|| {
        let budget = budget(1.0, 0.0);
        budget.deposit(ms(1));
        let other = Arc::clone(&budget);
        let (a, b) = in_parallel(move || other.take(ms(1_001)).is_ok(), {
            let budget = Arc::clone(&budget);
            move || budget.take(ms(1_001)).is_ok()
        });
        assert!(!a && !b);
        assert_eq!(budget.figures(ms(1_001)), Figures { calls: 0, extra: 0, allowed: 0 });
    });
}

/// Two calls are too old at 1,001 ms. Whoever looks then sees none of them, even if it was the
/// other who slid the window.
#[test]
fn whoever_sees_the_new_slice_sees_what_has_left() {
    loom::model(|| {
        let budget = budget(1.0, 0.0);
        budget.deposit(ms(1));
        budget.deposit(ms(1));
        let other = Arc::clone(&budget);
        let (_, calls) = in_parallel(
            move || {
                other.deposit(ms(1_001));
                0
            },
            move || budget.figures(ms(1_001)).calls,
        );
        assert!(calls <= 1, "{calls}");
    });
}

#[test]
fn a_take_during_a_roll_over_is_counted_once() {
    loom::model(|| {
        let budget = budget(0.0, 2.0);
        let other = Arc::clone(&budget);
        let (a, b) = in_parallel(move || other.take(ms(9)).is_ok(), {
            let budget = Arc::clone(&budget);
            move || budget.take(ms(11)).is_ok()
        });
        assert!(a && b);
        assert!(budget.take(ms(11)).is_err());
        assert_eq!(budget.figures(ms(11)).extra, 2);
        assert_eq!(budget.figures(ms(1_011)).extra, 0);
    });
}

#[test]
fn a_throttle_loses_no_token() {
    loom::model(|| {
        let options = throttle::Options { tokens_max: 4, token_ratio: 0.5 };
        let throttle = Arc::new(Throttle::new(&options).unwrap());
        let other = Arc::clone(&throttle);
        let (a, b) = in_parallel(move || other.failed().is_ok(), {
            let throttle = Arc::clone(&throttle);
            move || throttle.failed().is_ok()
        });
        assert!(a ^ b, "the second of two failures reaches the half");
        throttle.succeeded();
        assert_eq!(throttle.permit(), Ok(()));
    });
}
