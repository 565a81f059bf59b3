//! The gates, one by one, and the bound on the share.

use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use crate::budget::Spent;
use crate::hedge::{Call, Delay, Figures, Gate, Options, Withheld};
use crate::{Share, latency};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}

const CALL: Call = Call { repeatable: true, repeated: false, left: None };

fn slow() -> Figures {
    let [median, p95, delay] = [Some(ms(50)), Some(ms(400)), Some(ms(380))];
    Figures { observed: 1_000, median, p95, delay }
}

#[test]
fn the_defaults_are_the_sources_numbers() {
    let options = Options::default();
    assert_eq!(options.check(), Ok(()));
    assert_eq!(options.p95_above, ms(300));
    assert_eq!(options.error_budget_above, Share::percent(50));
    assert_eq!(options.share_max, Share::percent(2));
    assert_eq!(options.delay, Delay::Quantile(Share::percent(95)));
}

#[test]
fn each_mistake_is_named() {
    let fine = Options::default();
    for (wrong, said) in [
        (Options { share_max: Share::NONE, ..fine }, "share_max = 0 %: must be above 0 %"),
        (Options { error_budget_above: Share::ALL, ..fine }, "error_budget_above = 100 %"),
        (Options { observed_min: 19, ..fine }, "observed_min = 19: must be at least 20"),
        (Options { delay: Delay::Fixed(ms(0)), ..fine }, "delay = 0 µs: must be above 0 s"),
        (Options { delay: Delay::Quantile(Share::ALL), ..fine }, "delay = 100 %: must be from 50"),
        (Options { delay: Delay::Quantile(Share::percent(49)), ..fine }, "delay = 49 %"),
        (
            Options { lately: latency::Options { window: ms(0), slices: 6 }, ..fine },
            "lately.window = 0ns: must be from 1 ms",
        ),
    ] {
        let text = wrong.check().unwrap_err().to_string();
        assert!(text.starts_with(said), "{text}");
        assert!(Gate::new(wrong).is_err() && crate::hedge::Hedger::new(wrong).is_err());
    }
}

#[test]
fn when_a_call_begins_what_can_be_known_is_looked_at() {
    let plan = |figures, call| Gate::plan(&Options::default(), &figures, call);
    assert_eq!(plan(slow(), CALL), Ok(ms(380)));
    let fixed = Options { delay: Delay::Fixed(ms(10)), ..Options::default() };
    assert_eq!(Gate::plan(&fixed, &slow(), CALL), Ok(ms(10)));

    let unsafe_call = Call { repeatable: false, ..CALL };
    assert_eq!(plan(slow(), unsafe_call), Err(Withheld::NotIdempotent));
    assert_eq!(plan(slow(), Call { repeated: true, ..CALL }), Err(Withheld::Nested));
    let unknown = |observed| Err(Withheld::Unknown { observed, needed: 100 });
    assert_eq!(plan(Figures { observed: 99, ..slow() }, CALL), unknown(99));
    assert_eq!(plan(Figures { p95: None, ..slow() }, CALL), unknown(1_000));
    let fast = Err(Withheld::Fast { p95: ms(300), threshold: ms(300) });
    assert_eq!(plan(Figures { p95: Some(ms(300)), ..slow() }, CALL), fast);
    assert!(plan(Figures { p95: Some(ms(301)), ..slow() }, CALL).is_ok());
    // After 380 ms, at least the 50 ms that half of calls take.
    assert!(plan(slow(), Call { left: Some(ms(430)), ..CALL }).is_ok());
    let late = Err(Withheld::Deadline { left: ms(429) });
    assert_eq!(plan(slow(), Call { left: Some(ms(429)), ..CALL }), late);
}

#[test]
fn when_the_hedge_is_due_everything_is_looked_at_again() {
    let mut gate = Gate::new(Options::default()).unwrap();
    gate.called(at(0), 100);
    let spent = Spent { calls: 100, extra: 5, allowed: 5 };
    let issue = |gate: &mut Gate, figures, call, left, take| {
        gate.issue(at(1), &figures, call, left, || take)
    };
    let fast = Figures { p95: Some(ms(20)), ..slow() };
    let (all, half) = (Share::ALL, Share::percent(50));
    for (figures, call, left, take, name) in [
        (slow(), Call { repeatable: false, ..CALL }, all, Ok(()), "not_idempotent"),
        (slow(), Call { repeated: true, ..CALL }, all, Ok(()), "nested"),
        (Figures { observed: 7, ..slow() }, CALL, all, Ok(()), "unknown"),
        (fast, CALL, all, Ok(()), "fast"),
        (slow(), Call { left: Some(ms(49)), ..CALL }, all, Ok(()), "deadline"),
        (slow(), CALL, half, Ok(()), "error_budget"),
        (slow(), CALL, all, Err(spent), "budget"),
    ] {
        let withheld = issue(&mut gate, figures, call, left, take).unwrap_err();
        assert_eq!(withheld.as_str(), name);
        assert_eq!(gate.share(at(1)), Share::NONE, "{name}: nothing is counted");
    }
    // 2 % of a hundred calls are two.
    let more = Share::new(0.501).unwrap();
    assert_eq!(issue(&mut gate, slow(), CALL, more, Ok(())), Ok(()));
    assert_eq!(issue(&mut gate, slow(), Call { left: Some(ms(50)), ..CALL }, all, Ok(())), Ok(()));
    let never = || unreachable!("the budget is asked last");
    let withheld = gate.issue(at(1), &slow(), CALL, all, never).unwrap_err();
    assert_eq!(withheld.to_string(), "2 % were hedged lately, 2 % allowed");
}

/// Against a log of all calls and hedges. The bound holds whenever a hedge is issued, and hedges
/// are issued whenever it allows.
#[test]
fn a_million_random_steps_agree_with_a_log_of_them_all() {
    let mut rng = Rng::with_seed(4);
    let lately = latency::Options { window: ms(1_000), slices: 10 };
    let options = Options { share_max: Share::percent(3), lately, ..Options::default() };
    let mut gate = Gate::new(options).unwrap();
    let (mut now, mut issued) = (0_u64, 0);
    // Calls and hedges by slices of 100 ms, the newest last.
    let mut log = std::collections::VecDeque::from([(0_u64, 0_u64, 0_u64)]);
    for step in 0..1_000_000_u32 {
        now +=
            u64::from(rng.u8(..10) == 0) * rng.u64(..30) + u64::from(rng.u32(..5_000) == 0) * 700;
        let slice = now / 100;
        if log.back().unwrap().0 != slice {
            log.push_back((slice, 0, 0));
        }
        log.retain(|(number, ..)| number + 10 > slice);
        if rng.u8(..4) != 0 {
            let calls = rng.u64(1..4);
            gate.called(at(now), calls);
            log.back_mut().unwrap().1 += calls;
            continue;
        }
        let calls: u64 = log.iter().map(|(_, calls, _)| calls).sum();
        let hedged: u64 = log.iter().map(|(_, _, hedged)| hedged).sum();
        let allowed = (hedged + 1) * 100 <= calls * 3;
        let outcome = gate.issue(at(now), &slow(), CALL, Share::ALL, || Ok(()));
        assert_eq!(outcome.is_ok(), allowed, "step {step}: {hedged} of {calls}");
        if allowed {
            log.back_mut().unwrap().2 += 1;
            issued += 1;
        }
        assert_eq!(gate.share(at(now)), Share::of(hedged + u64::from(allowed), calls));
    }
    assert!(issued > 10_000, "{issued}");
}
