//! What is observed, and the bound on the share among threads.

use std::time::Duration;

use steadfast_time::Monotonic;

use crate::deadline::{Context, Deadline};
use crate::hedge::{Delay, Hedger, Options, REFRESH, Withheld};
use crate::{Share, budget};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}

fn plenty(_: Monotonic) -> Share {
    Share::ALL
}

fn paid(_: Monotonic) -> Result<(), budget::Spent> {
    Ok(())
}

/// One that has seen a hundred calls of `millis` each, one at each ms.
fn seasoned(options: Options, millis: u64) -> (Hedger, Monotonic) {
    let hedger = Hedger::new(options).unwrap();
    for call in 0..100 {
        let plan = hedger.plan(at(call), true, Context::default());
        hedger.answered(at(call) + ms(millis), &plan);
    }
    let now = at(100 + millis) + REFRESH;
    (hedger, now)
}

#[test]
fn it_waits_for_enough_answers_and_then_as_long_as_95_percent_take() {
    let hedger = Hedger::new(Options::default()).unwrap();
    let unknown = Withheld::Unknown { observed: 0, needed: 100 };
    assert_eq!(hedger.plan(at(0), true, Context::default()).after(), Err(unknown));
    let (hedger, now) = seasoned(Options::default(), 400);
    let delay = hedger.plan(now, true, Context::default()).after().unwrap();
    assert!(delay >= ms(400) && delay < ms(413), "{delay:?}");
}

#[test]
fn a_deadline_and_a_caller_that_repeats_itself_come_from_the_context() {
    let (hedger, now) = seasoned(Options::default(), 400);
    let near = Context::until(Deadline::within(now, ms(500)));
    let left = Withheld::Deadline { left: ms(500) };
    assert_eq!(hedger.plan(now, true, near).after(), Err(left));
    let repeated = Context { repeated: true, ..Context::default() };
    assert_eq!(hedger.plan(now, true, repeated).after(), Err(Withheld::Nested));
}

/// The twin: if the loser's time were what it took until it was dropped, hedges after 10 ms would
/// make p95 look like a few more than 10 ms, and close their own gate.
#[test]
fn a_first_attempt_that_lost_counts_as_a_slow_one() {
    let options = Options { delay: Delay::Fixed(ms(10)), ..Options::default() };
    let p95 = |honest: bool| {
        let (hedger, mut now) = seasoned(options, 400);
        for call in 0..2_000_u64 {
            now = now + ms(5);
            let plan = hedger.plan(now, true, Context::default());
            // One in ten is slow, and answered by the second attempt after 15 ms.
            match (call % 10, honest) {
                (0, true) => hedger.overtaken(now + ms(15), &plan),
                (0, false) => hedger.answered(now + ms(15), &plan),
                _ => hedger.answered(now + ms(3), &plan),
            }
        }
        hedger.figures(now + REFRESH).p95.unwrap()
    };
    assert!(p95(true) >= ms(400), "{:?}", p95(true));
    assert!(p95(false) < ms(20), "{:?}", p95(false));
}

#[test]
fn the_share_counts_calls_of_the_window_only() {
    let (hedger, now) = seasoned(Options::default(), 400);
    let hedge = |now| {
        let plan = hedger.plan(now, true, Context::default());
        hedger.issue(now + ms(1), &plan, &(plenty, paid))
    };
    assert_eq!(hedge(now), Ok(()));
    assert_eq!(hedge(now), Ok(()), "two of 102");
    assert_eq!(hedge(now).unwrap_err().as_str(), "share");
    assert!((hedger.share(now).get() - 2.0 / 103.0).abs() < 1e-9);
    // A minute later nothing of that counts, and nothing is known either.
    assert_eq!(hedge(now + ms(70_000)).unwrap_err().as_str(), "unknown");
    assert_eq!(hedger.share(now + ms(70_000)), Share::NONE);
}

#[test]
fn threads_together_stay_within_the_share() {
    let (hedger, now) = seasoned(Options::default(), 400);
    let issued: usize = std::thread::scope(|scope| {
        let threads = (0..4).map(|_| {
            scope.spawn(|| {
                let hedged = (0..5_000).filter(|_| {
                    let plan = hedger.plan(now, true, Context::default());
                    hedger.issue(now, &plan, &(plenty, paid)).is_ok()
                });
                hedged.count()
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // 20,100 calls; whoever asked early asked while there were fewer.
    assert!((398..=402).contains(&issued), "{issued}");
}
