//! What is left, against the formula and against a log of all calls.

use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::shared::REFRESH;
use super::{Objective, Options, Shared};
use crate::Share;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
}

#[test]
fn all_is_left_while_nothing_has_been_observed() {
    let mut objective = Objective::new(Options::default()).unwrap();
    assert_eq!(objective.left(at(0)), Share::ALL);
    close(objective.burn_rate(at(0)), 0.0);
    assert_eq!(Shared::new(Options::default()).unwrap().left(at(0)), Share::ALL);
}

#[test]
fn what_is_left_follows_the_formula_and_ends_at_nothing() {
    for (good, bad, left) in [
        (10_000, 0, 1.0),
        (9_999, 1, 0.9),
        (9_995, 5, 0.5),
        (9_990, 10, 0.0),
        (5_000, 5_000, 0.0),
        (0, 1, 0.0),
    ] {
        let mut objective = Objective::new(Options::default()).unwrap();
        objective.add(at(0), good, bad);
        close(objective.left(at(1)).get(), left);
    }
}

/// Google, *The Site Reliability Workbook*, chapter 5: at a burn rate of 14.4 an hour spends 2 %
/// of thirty days' budget.
#[test]
fn a_burn_rate_of_14_4_spends_two_percent_of_a_months_budget_in_an_hour() {
    let mut objective = Objective::new(Options::default()).unwrap();
    for hour in 1..720 {
        objective.add(at(hour * HOUR - 1), 1_000_000, 0);
    }
    objective.add(at(720 * HOUR - 1), 1_000_000 - 14_400, 14_400);
    close(objective.burn_rate(at(720 * HOUR - 1)), 14.4);
    close(objective.left(at(720 * HOUR - 1)).get(), 0.98);
}

#[test]
fn old_failures_are_forgiven_after_thirty_days_and_leave_the_burn_rate_after_an_hour() {
    let mut objective = Objective::new(Options::default()).unwrap();
    objective.add(at(0), 990, 10);
    assert_eq!(objective.left(at(29 * DAY)), Share::NONE);
    close(objective.burn_rate(at(59 * 60)), 10.0);
    close(objective.burn_rate(at(HOUR)), 0.0);
    assert_eq!(objective.left(at(30 * DAY)), Share::ALL);
}

/// Every call with its time, asked anew each time; steps of the window as [`super::STEPS`] says.
#[test]
fn a_million_random_calls_agree_with_a_log_of_them_all() {
    let mut rng = Rng::with_seed(3);
    let seconds = Duration::from_secs;
    let target = Share::permille(990);
    let options = Options { target, window: seconds(7_200), burn_window: seconds(600) };
    let mut objective = Objective::new(options).unwrap();
    let shared = Shared::new(options).unwrap();
    let (mut log, mut now) = (std::collections::VecDeque::<(u64, bool)>::new(), 0);
    for step in 0..1_000_000_u32 {
        now += u64::from(rng.u8(..50) == 0);
        let good = rng.u8(..200) != 0;
        log.push_back((now, good));
        objective.record(at(now), good);
        shared.record(at(now), good);
        if step % 20_000 == 0 {
            // 720 slices of 10 s, 60 slices of 10 s.
            log.retain(|(when, _)| when / 10 + 720 > now / 10);
            let rate = |slices: u64| {
                let young = log.iter().filter(|(when, _)| when / 10 + slices > now / 10);
                let (bad, all) = young.fold((0_u32, 0_u32), |(bad, all), (_, good)| {
                    (bad + u32::from(!good), all + 1)
                });
                f64::from(bad) / f64::from(all) / 0.01
            };
            close(objective.left(at(now)).get(), (1.0 - rate(720)).max(0.0));
            close(objective.burn_rate(at(now)), rate(60));
            assert_eq!(shared.report(at(now)), objective.report(at(now)));
        }
    }
}

#[test]
fn what_many_threads_record_is_all_there() {
    let shared = Shared::new(Options::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let shared = &shared;
            scope.spawn(move || {
                for i in 0..20_000 {
                    shared.record(at(i / 100), (i + thread) % 4 != 0);
                }
            });
        }
    });
    let report = shared.report(at(200));
    assert_eq!((report.good, report.bad), (60_000, 20_000));
}

#[test]
fn a_call_before_a_long_silence_is_not_counted_after_it() {
    let shared = Shared::new(Options::default()).unwrap();
    shared.record(at(10), true);
    shared.record(at(10), false);
    // Nobody came along for two hours.
    close(shared.burn_rate(at(2 * HOUR)), 0.0);
    assert_eq!(shared.left(at(2 * HOUR)), Share::NONE);
}

#[test]
fn what_is_shown_is_at_most_a_second_old() {
    let shared = Shared::new(Options::default()).unwrap();
    shared.record(at(0), true);
    shared.record(at(0), false);
    assert_eq!(shared.left(at(0)), Share::ALL, "as it was when it was last computed");
    let later = at(0) + REFRESH;
    assert_eq!(shared.left(later), Share::NONE);
    close(shared.burn_rate(later), 500.0);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let fine = Options::default();
    let hours = |n| Duration::from_secs(n * HOUR);
    for (wrong, key) in [
        (Options { target: Share::ALL, ..fine }, "target"),
        (Options { target: Share::NONE, ..fine }, "target"),
        (Options { window: Duration::ZERO, ..fine }, "window"),
        (Options { window: hours(10_000), ..fine }, "window"),
        (Options { burn_window: hours(24 * 31), ..fine }, "burn_window"),
        (Options { burn_window: Duration::ZERO, ..fine }, "burn_window"),
    ] {
        let invalid = wrong.check().unwrap_err();
        assert_eq!(invalid.key, key);
        assert!(Objective::new(wrong).is_err() && Shared::new(wrong).is_err());
    }
    assert_eq!(fine.check(), Ok(()));
    let invalid = Options { target: Share::ALL, ..fine }.check().unwrap_err();
    assert_eq!(invalid.to_string(), "target = 100 %: must be above 0 % and below 100 %");
}
