//! Every interleaving of calls and hedges.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use steadfast_time::Monotonic;

use super::{Hedger, Options, Withheld};
use crate::Share;
use crate::deadline::Context;

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

/// Two calls may be hedged at once, and the share leaves room for one.
#[test]
fn two_who_ask_at_once_do_not_both_get_the_last_hedge() {
    loom::model(|| {
        let options = Options {
            p95_above: Duration::ZERO,
            share_max: Share::percent(5),
            ..Options::default()
        };
        let hedger = Arc::new(Hedger::new(options).unwrap());
        for _ in 0..100 {
            // One after the other: nothing to interleave.
            hedger.seen(at(0), Duration::from_millis(5));
        }
        hedger.called(at(0), 20);
        let ask = |hedger: &Hedger| {
            let plan = hedger.plan(at(200), true, Context::default());
            hedger.issue(at(250), &plan, &(|_| Share::ALL, |_| Ok(())))
        };
        let other = Arc::clone(&hedger);
        let thread = thread::spawn(move || ask(&other));
        let mine = ask(&hedger);
        let theirs = thread.join().unwrap();
        // Whoever sees figures that are just being computed for the first time knows too little.
        let issued = [mine, theirs].iter().filter(|outcome| outcome.is_ok()).count();
        let share = |outcome: &Result<(), Withheld>| matches!(outcome, Err(Withheld::Share { .. }));
        let refused = [mine, theirs].iter().filter(|outcome| share(outcome)).count();
        assert!(issued <= 1 && refused <= 1, "{mine:?}, {theirs:?}");
    });
}
