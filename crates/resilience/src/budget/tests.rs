//! Published vectors, a log of all calls as the model, and threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use steadfast_time::Monotonic;

use super::*;

fn at(nanos: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_nanos(nanos))
}

fn ms(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

fn options(ratio: f64, floor_per_second: f64, seconds: u64) -> Options {
    Options { ratio, floor_per_second, window: Duration::from_secs(seconds) }
}

/// Both forms of the rule, the same calls to each.
struct Both(Machine, Budget);

impl Both {
    fn new(options: &Options) -> Self {
        Self(Machine::new(options).unwrap(), Budget::new(options).unwrap())
    }

    fn deposit(&mut self, now: Monotonic) {
        self.0.deposit(now);
        self.1.deposit(now);
    }

    fn take(&mut self, now: Monotonic) -> Result<(), Spent> {
        let taken = self.0.take(now);
        assert_eq!(self.1.take(now), taken);
        taken
    }

    fn figures(&mut self, now: Monotonic) -> Figures {
        let figures = self.0.figures(now);
        assert_eq!(self.1.figures(now), figures);
        figures
    }
}

/// Finagle's way: time stands still, each of 10,000 calls is followed by an attempt to retry.
fn retried(mut take: impl FnMut(&Monotonic) -> bool) -> u64 {
    (0..10_000).map(|_| u64::from(take(&ms(5)))).sum()
}

/// Finagle `RetryBudgetTest`, "apply minRetriesPerSec=0" and the two after it; there within one
/// of n·percent + minimum·ttl, here exactly.
#[test]
fn of_ten_thousand_calls_exactly_the_ratio_is_retried() {
    let shares = [
        (0.1, 1_000),
        (0.5, 5_000),
        (0.25, 2_500),
        (0.75, 7_500),
        (0.99, 9_900),
        (0.999, 9_990),
        (0.9999, 9_999),
        (0.01, 100),
        (0.001, 10),
        (0.0001, 1),
        // tower#857: what tower's TpsBudget does with these is in tests/rivals_budget.rs.
        (0.3, 3_000),
        (0.4, 4_000),
        (0.6, 6_000),
        (0.05, 500),
        (0.2, 2_000),
        (1.0, 10_000),
    ];
    let no_floor = shares.map(|(ratio, expected)| (options(ratio, 0.0, 60), expected));
    let floor = [
        (options(0.0, 10.0, 1), 10),
        (options(0.0, 5.0, 2), 10),
        (options(0.1, 10.0, 1), 1_010),
        (options(0.5, 5.0, 2), 5_010),
    ];
    for (options, expected) in no_floor.into_iter().chain(floor) {
        let mut both = Both::new(&options);
        let minimum = options.floor_per_second * options.window.as_secs_f64();
        assert_eq!(both.figures(ms(5)).left(), minimum as u64);
        if minimum == 0.0 {
            assert!(both.take(ms(5)).is_err());
        }
        let issued = retried(|now| {
            both.deposit(*now);
            both.take(*now).is_ok() || {
                assert_eq!(both.figures(*now).left(), 0);
                false
            }
        });
        assert_eq!(issued, expected, "{options:?}");
        assert!(both.take(ms(5)).is_err());
    }
}

/// The twin without fixed point: what a deposit is worth is cut to a whole part of a withdrawal.
#[test]
fn a_twin_that_rounds_misses_the_vectors() {
    let twin = |ratio: f64| {
        let (mut balance, withdrawal) = (0_i64, (1.0 / ratio) as i64);
        retried(|_| {
            balance += 1;
            let enough = balance >= withdrawal;
            balance -= if enough { withdrawal } else { 0 };
            enough
        })
    };
    assert_eq!([twin(0.3), twin(0.4), twin(0.99)], [3_333, 5_000, 10_000]);
}

/// Finagle `RetryBudgetTest`, "maxPercentOver greater than 1.0".
#[test]
fn two_for_each_call_are_twenty_thousand() {
    let mut both = Both::new(&options(2.0, 0.0, 60));
    assert!(both.take(ms(0)).is_err());
    (0..10_000).for_each(|_| both.deposit(ms(0)));
    assert_eq!(both.figures(ms(0)), Figures { calls: 10_000, extra: 0, allowed: 20_000 });
    let issued = (0..30_000).filter(|_| both.take(ms(0)).is_ok()).count();
    assert_eq!(issued, 20_000);
}

#[test]
fn calls_and_attempts_leave_the_window_on_time() {
    let mut both = Both::new(&options(0.5, 0.0, 10));
    (0..10).for_each(|_| both.deposit(ms(50)));
    (0..5).for_each(|_| both.take(ms(5_000)).unwrap());
    assert_eq!(both.figures(ms(9_999)), Figures { calls: 10, extra: 5, allowed: 5 });
    // The calls have gone, the attempts that they paid for have not: nothing is left, even though
    // new calls come.
    (0..9).for_each(|_| both.deposit(ms(10_050)));
    assert_eq!(both.figures(ms(10_050)), Figures { calls: 9, extra: 5, allowed: 4 });
    assert_eq!(both.take(ms(14_999)), Err(Spent { calls: 9, extra: 5, allowed: 4 }));
    assert_eq!(both.figures(ms(15_000)).left(), 4);
    // A pause of many windows.
    assert_eq!(both.figures(ms(3_600_000)), Figures { calls: 0, extra: 0, allowed: 0 });
}

#[test]
fn the_floor_lets_a_quiet_service_retry_and_bends_the_share_as_documented() {
    for (calls_per_second, most) in [(1_000, 0.051), (100, 0.06), (10, 0.15)] {
        let mut both = Both::new(&Options::default());
        let (mut calls, mut issued) = (0_u64, 0_u64);
        for slice in 0..1_000 {
            // A hundred seconds in which everything fails and wants to be retried three times;
            // the first window, which the floor fills at once, is not counted.
            let now = ms(slice * 100);
            for _ in 0..calls_per_second / 10 {
                both.deposit(now);
                let taken = (0..3).filter(|_| both.take(now).is_ok()).count() as u64;
                if slice >= 100 {
                    calls += 1;
                    issued += taken;
                }
            }
        }
        let share = issued as f64 / calls as f64;
        assert!((most * 0.98..=most * 1.001).contains(&share), "{share} of {calls_per_second}/s");
    }
    let mut quiet = Both::new(&options(0.05, 0.0, 10));
    for second in 0..100 {
        quiet.deposit(ms(second * 1_000));
        assert!(quiet.take(ms(second * 1_000)).is_err(), "without a floor, never");
    }
}

#[test]
fn a_clock_that_steps_back_or_ends_does_no_harm() {
    let mut both = Both::new(&options(0.5, 0.0, 1));
    both.deposit(ms(900));
    both.deposit(ms(400));
    assert_eq!(both.figures(ms(0)).calls, 2);
    assert_eq!(both.take(ms(100)), Ok(()));
    assert_eq!(both.figures(ms(1_899)).calls, 2, "counted at the newest moment seen");
    assert_eq!(both.figures(ms(1_900)).calls, 0);
    for _ in 0..4 {
        both.deposit(Monotonic::from_start(Duration::MAX));
    }
    assert_eq!(both.take(Monotonic::from_start(Duration::MAX)), Ok(()));
    assert_eq!(both.figures(ms(7)).extra, 1);
}

/// The slow and obvious model: a log of everything, in slices, with exact integers.
struct Log {
    step: u64,
    newest: u64,
    ratio_millionths: u128,
    floor_millionths: u128,
    log: VecDeque<(u64, bool)>,
}

impl Log {
    fn new(ratio_millionths: u64, floor_per_second: u64, window_ms: u64) -> Self {
        Self {
            step: (window_ms * 1_000_000).div_ceil(100),
            newest: 0,
            ratio_millionths: ratio_millionths.into(),
            floor_millionths: u128::from(floor_per_second) * u128::from(window_ms) * 1_000,
            log: VecDeque::new(),
        }
    }

    fn counts(&mut self, now: u64) -> (u64, u64) {
        self.newest = self.newest.max(now / self.step);
        self.log.retain(|(slice, _)| slice + 100 > self.newest);
        let extra = self.log.iter().filter(|(_, extra)| *extra).count() as u64;
        (self.log.len() as u64 - extra, extra)
    }

    fn deposit(&mut self, now: u64) {
        self.counts(now);
        self.log.push_back((self.newest, false));
    }

    fn take(&mut self, now: u64) -> bool {
        let (calls, extra) = self.counts(now);
        let allowed = self.floor_millionths + self.ratio_millionths * u128::from(calls);
        let room = u128::from(extra + 1) * 1_000_000 <= allowed;
        if room {
            self.log.push_back((self.newest, true));
        }
        room
    }
}

proptest! {
    #[test]
    fn both_agree_with_a_log_of_everything(
        ratio in 0_u64..2_000_000,
        floor in 0_u64..20,
        window_ms in 100_u64..20_000,
        steps in proptest::collection::vec((0_u8..10, 0_u64..2_000_000_000), 1..400),
    ) {
        let options = Options {
            ratio: ratio as f64 / 1e6,
            floor_per_second: floor as f64,
            window: Duration::from_millis(window_ms),
        };
        let (mut both, mut log) = (Both::new(&options), Log::new(ratio, floor, window_ms));
        let mut now = 0_u64;
        for (kind, length) in steps {
            now = match kind {
                0 => now.saturating_sub(length / 100),
                1 => now + length,
                _ => now + length / 1_000,
            };
            if kind % 2 == 0 {
                both.deposit(at(now));
                log.deposit(now);
            } else {
                prop_assert_eq!(both.take(at(now)).is_ok(), log.take(now));
            }
            let figures = both.figures(at(now));
            prop_assert_eq!((figures.calls, figures.extra), log.counts(now));
        }
    }
}

#[test]
fn a_million_random_steps_agree_with_a_log_of_everything() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut issued = 0;
    for round in 0..10 {
        let (ratio, floor) = (rng.u64(..1_500_000), rng.u64(..3));
        let window_ms = rng.u64(100..1_000);
        let options = Options {
            ratio: ratio as f64 / 1e6,
            floor_per_second: floor as f64,
            window: Duration::from_millis(window_ms),
        };
        let (mut both, mut log) = (Both::new(&options), Log::new(ratio, floor, window_ms));
        let mut now = 0_u64;
        for _ in 0..100_000 {
            now = match rng.u32(..1_000) {
                0 => now + rng.u64(..2_000_000_000),
                1..100 => now.saturating_sub(rng.u64(..5_000_000)),
                // About 30 of them within a window.
                _ => now + rng.u64(..window_ms * 66_000),
            };
            if rng.bool() {
                both.deposit(at(now));
                log.deposit(now);
            } else {
                let taken = both.take(at(now)).is_ok();
                issued += u32::from(taken);
                assert_eq!(taken, log.take(now), "round {round} at {now}");
            }
        }
    }
    assert!((50_000..450_000).contains(&issued), "both outcomes are common: {issued}");
}

#[test]
fn threads_take_what_is_allowed_to_the_last_attempt_and_nothing_is_lost() {
    const EACH: u64 = 40_000;
    let budget = Budget::new(&options(0.3, 0.0, 10)).unwrap();
    // Time goes on through many slices, but stays within one window.
    let time = AtomicU64::new(0);
    let issued = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let (budget, time, issued) = (&budget, &time, &issued);
            threads.spawn(move || {
                for step in 0..EACH {
                    let now = at(time.fetch_add(59_000, Ordering::Relaxed));
                    budget.deposit(now);
                    // Some clocks are behind.
                    let late = now.since_start().saturating_sub(Duration::from_millis(thread));
                    for _ in 0..1 + step % 2 {
                        if budget.take(Monotonic::from_start(late)).is_ok() {
                            issued.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (calls, end) = (4 * EACH, time.load(Ordering::Relaxed));
    assert!(end < 9_900_000_000);
    let issued = issued.into_inner();
    assert!(issued <= calls * 3 / 10, "{issued} of {calls}");
    assert_eq!(budget.figures(at(end)), Figures { calls, extra: issued, allowed: calls * 3 / 10 });
    let rest = (0..calls).filter(|_| budget.take(at(end)).is_ok()).count() as u64;
    assert_eq!(issued + rest, calls * 3 / 10, "what was left was there to the last");
    assert_eq!(budget.figures(at(end + 10_000_000_000)).calls, 0);
    assert_eq!(budget.figures(at(end + 10_000_000_000)).extra, 0);
}

#[test]
fn threads_that_outlive_many_windows_leave_nothing_behind() {
    let budget =
        Budget::new(&Options { window: Duration::from_millis(100), ..options(0.5, 0.0, 1) })
            .unwrap();
    let time = AtomicU64::new(0);
    let issued = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..40_000 {
                    let now = at(time.fetch_add(50_000, Ordering::Relaxed));
                    budget.deposit(now);
                    if budget.take(now).is_ok() {
                        issued.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // 160,000 calls over 80 windows, half as many attempts, less what a boundary costs.
    let issued = issued.into_inner();
    assert!((70_000..=80_000).contains(&issued), "{issued}");
    let end = time.into_inner();
    assert_eq!(budget.figures(at(end + 200_000_000)), Figures { calls: 0, extra: 0, allowed: 0 });
}
