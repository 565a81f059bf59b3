//! The order of reasons, pauses, and what retries are paid from.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::*;
use crate::Class;
use crate::budget::{self, Budget, Spent, Throttle, throttle};
use crate::deadline::{Context, Deadline};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const NOW: Monotonic = Monotonic::from_start(ms(5_000));
const SPENT: Spent = Spent { calls: 10, extra: 0, allowed: 0 };
const PLAIN: Options = Options {
    attempts: 4,
    backoff: Backoff { base: ms(100), factor: 2.0, cap: ms(400) },
    jitter: Jitter::None,
    nested: false,
    attempt_least: ms(1),
    retry_after_max: Duration::from_secs(60),
};

const fn told(after: Duration) -> Class {
    Class::Transient { retry_after: Some(after) }
}

fn until(left: Duration) -> Context {
    Context::until(Deadline::within(NOW, left))
}

fn decide(call: &mut Machine, class: Class) -> Result<Retrying, Withheld> {
    call.decide(NOW, class, Duration::ZERO, &mut Rng::with_seed(1), || Ok::<_, Spent>(()))
}

fn first(options: Options, context: Context, class: Class) -> Result<Retrying, Withheld> {
    decide(&mut Machine::new(options, Repeatable::Marked, context), class)
}

#[test]
fn four_attempts_with_pauses_of_100_200_and_400_ms() {
    let mut call = Machine::new(PLAIN, Repeatable::Marked, Context::default());
    for (attempt, pause) in [(2, 100), (3, 200), (4, 400)] {
        assert!(call.may_repeat());
        let retrying = Retrying { attempt, after: ms(pause), told: false };
        assert_eq!(decide(&mut call, Class::TRANSIENT), Ok(retrying));
    }
    assert_eq!((call.attempt(), call.may_repeat()), (4, false));
    assert_eq!(decide(&mut call, Class::TRANSIENT), Err(Withheld::Attempts { made: 4 }));
}

/// Everything speaks against a retry at once; each reason in turn is taken away, and the next one
/// shows. The budget is asked when nothing else is left, and only then.
#[test]
fn reasons_come_in_their_order_and_the_budget_last() {
    let long = told(Duration::from_secs(61));
    let hurried = Context { repeated: true, ..until(ms(50)) };
    let calm = Context { repeated: false, ..hurried };
    let single = Options { attempts: 1, ..PLAIN };
    let deadline = Withheld::Deadline { left: ms(50), needed: ms(101), told: false };
    let max = Duration::from_secs(60);
    let patience = Withheld::RetryAfter { asked: Duration::from_secs(61), max };
    let (no, yes) = (Repeatable::No, Repeatable::Key("k"));
    let rows = [
        (single, no, hurried, Class::Permanent, Withheld::Permanent, false),
        (single, no, hurried, long, Withheld::Attempts { made: 1 }, false),
        (PLAIN, no, hurried, long, Withheld::NotIdempotent, false),
        (PLAIN, yes, hurried, long, Withheld::Nested, false),
        (PLAIN, yes, calm, long, patience, false),
        (PLAIN, yes, calm, Class::TRANSIENT, deadline, false),
        (PLAIN, yes, until(ms(101)), Class::TRANSIENT, Withheld::Budget(SPENT), true),
    ];
    for (options, repeatable, context, class, expected, asked_budget) in rows {
        let mut call = Machine::new(options, repeatable, context);
        let mut asked = false;
        let withheld = call.decide(NOW, class, Duration::ZERO, &mut Rng::with_seed(1), || {
            asked = true;
            Err(SPENT)
        });
        assert_eq!(withheld, Err(expected));
        assert_eq!(asked, asked_budget, "{expected:?}");
        assert_eq!(call.attempt(), 1, "nothing has happened");
    }
}

#[test]
fn answers_are_not_failures() {
    for class in [Class::Success, Class::Refusal, Class::Permanent] {
        assert_eq!(first(PLAIN, Context::default(), class), Err(Withheld::Permanent));
    }
}

#[test]
fn the_other_side_may_name_the_pause() {
    let retrying = |after: u64, told| Ok(Retrying { attempt: 2, after: ms(after), told });
    let calm = Context::default();
    // Longer than the backoff: that long. Shorter: the backoff.
    assert_eq!(first(PLAIN, calm, told(ms(2_000))), retrying(2_000, true));
    assert_eq!(first(PLAIN, calm, told(ms(99))), retrying(100, false));
    assert_eq!(first(PLAIN, calm, told(ms(0))), retrying(100, false));
    assert_eq!(first(PLAIN, calm, told(ms(60_000))), retrying(60_000, true));
    // Not within the deadline: no retry, and it says who wanted the pause.
    assert_eq!(first(PLAIN, until(ms(2_001)), told(ms(2_000))), retrying(2_000, true));
    let withheld = first(PLAIN, until(ms(2_000)), told(ms(2_000))).unwrap_err();
    let expected = Withheld::Deadline { left: ms(2_000), needed: ms(2_001), told: true };
    assert_eq!(withheld, expected);
    assert_eq!(withheld.to_string(), "2 s left, 2 s needed, as the other side asked");
    assert!(first(PLAIN, calm, told(Duration::MAX)).is_err());
}

/// A thousand clients are told "in 2 s": with jitter they come back within the pause that they
/// would have made anyway, none of them earlier than asked, rather than all at once.
#[test]
fn those_who_were_told_the_same_do_not_come_back_at_the_same_instant() {
    let options = Options { jitter: Jitter::Full, ..PLAIN };
    let mut rng = Rng::with_seed(2);
    let mut afters: Vec<Duration> = (0..1_000)
        .map(|_| {
            let mut call = Machine::new(options, Repeatable::Marked, Context::default());
            let take = || Ok::<_, Spent>(());
            call.decide(NOW, told(ms(2_000)), Duration::ZERO, &mut rng, take).unwrap().after
        })
        .collect();
    afters.sort();
    assert!(afters[0] >= ms(2_000) && afters[999] <= ms(2_100));
    let half = afters[500] - ms(2_000);
    assert!((ms(45)..ms(55)).contains(&half), "{half:?}");
}

#[test]
fn a_retry_that_cannot_be_done_in_time_is_not_issued() {
    let mut rng = Rng::with_seed(1);
    for (left, expected, fits) in
        [(200, 100, true), (199, 100, false), (101, 0, true), (100, 0, false)]
    {
        let mut call = Machine::new(PLAIN, Repeatable::Marked, until(ms(left)));
        let take = || Ok::<_, Spent>(());
        let decided = call.decide(NOW, Class::TRANSIENT, ms(expected), &mut rng, take);
        assert_eq!(decided.is_ok(), fits, "{left} ms left, {expected} ms an attempt");
    }
    let passed = Context::until(Deadline::at(Monotonic::default()));
    assert!(first(Options { attempt_least: ms(0), ..PLAIN }, passed, Class::TRANSIENT).is_err());
}

#[test]
fn a_repeated_attempt_says_so_and_layers_below_hold_back() {
    let mut call = Machine::new(PLAIN, Repeatable::Marked, until(ms(1_000)));
    assert!(!call.context().repeated);
    decide(&mut call, Class::TRANSIENT).unwrap();
    assert!(call.context().repeated);
    assert_eq!(call.context().deadline, until(ms(1_000)).deadline);
    assert_eq!(first(PLAIN, call.context(), Class::TRANSIENT), Err(Withheld::Nested));
    let nested = Options { nested: true, ..PLAIN };
    assert!(first(nested, call.context(), Class::TRANSIENT).is_ok());
}

#[test]
fn withheld_retries_cost_nothing_and_issued_ones_count_while_they_wait() {
    let options = budget::Options { ratio: 0.5, floor_per_second: 0.0, ..Default::default() };
    let budget = Arc::new(Budget::new(&options).unwrap());
    let retry = Retry::new(PLAIN, Arc::clone(&budget), Rng::with_seed(1)).unwrap();
    let failed = |repeatable| {
        let mut call = retry.begin(NOW, repeatable, Context::default());
        retry.failed(&mut call, NOW, Class::TRANSIENT, Duration::ZERO)
    };
    for _ in 0..3 {
        assert_eq!(failed(Repeatable::No), Err(Withheld::NotIdempotent));
    }
    assert_eq!(budget.figures(NOW).left(), 1);
    assert!(failed(Repeatable::Marked).is_ok());
    assert!(failed(Repeatable::Marked).is_ok());
    let spent = Spent { calls: 5, extra: 2, allowed: 2 };
    // The fifth call was the one that was refused: 2.5 for five, and 3 for six.
    assert_eq!(budget.figures(NOW), budget::Figures { calls: 5, extra: 2, allowed: 2 });
    assert!(failed(Repeatable::Marked).is_ok());
    assert_eq!(
        failed(Repeatable::Marked),
        Err(Withheld::Budget(Spent { calls: 7, extra: 3, allowed: 3 }))
    );
    assert_eq!(Withheld::Budget(spent).as_str(), "budget");
}

#[test]
fn a_throttle_counts_every_failure_retried_or_not() {
    let throttle = Arc::new(Throttle::new(&throttle::Options::default()).unwrap());
    let retry = Retry::new(PLAIN, Arc::clone(&throttle), Rng::with_seed(1)).unwrap();
    let failed = |class| {
        let mut call = retry.begin(NOW, Repeatable::Marked, Context::default());
        retry.failed(&mut call, NOW, class, Duration::ZERO)
    };
    for _ in 0..4 {
        assert!(failed(Class::TRANSIENT).is_ok());
    }
    assert_eq!(failed(Class::Permanent), Err(Withheld::Permanent));
    let throttled = failed(Class::TRANSIENT).unwrap_err();
    assert_eq!(throttled.as_str(), "throttled");
    assert_eq!(throttled.to_string(), "throttled: 5 tokens left, more than 5 needed");
    retry.answered(Class::Refusal);
    assert!(throttle.permit().is_err());
    retry.answered(Class::Success);
    assert!(throttle.permit().is_ok());
}

#[test]
fn no_allowance_lets_everything_through() {
    let retry = Retry::new(PLAIN, Allowance::Unlimited, Rng::with_seed(1)).unwrap();
    for _ in 0..1_000 {
        let mut call = retry.begin(NOW, Repeatable::Marked, Context::default());
        assert!(retry.failed(&mut call, NOW, Class::TRANSIENT, Duration::ZERO).is_ok());
    }
}

#[test]
fn bad_options_are_refused() {
    let options = Options { attempts: 0, ..PLAIN };
    let invalid = Retry::new(options, Allowance::Unlimited, Rng::with_seed(1)).unwrap_err();
    assert_eq!(invalid.key, "attempts");
}

#[cfg(feature = "tower")]
mod layer;
