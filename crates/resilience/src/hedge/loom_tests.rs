//! Every interleaving of calls and hedges.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use steadfast_time::Monotonic;

use super::{Hedger, Options, Plan, Withheld};
use crate::Share;
use crate::deadline::Context;

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

fn seasoned() -> Arc<Hedger> {
    let options =
        Options { p95_above: Duration::ZERO, share_max: Share::percent(5), ..Options::default() };
    let hedger = Hedger::new(options).unwrap();
    for _ in 0..100 {
        hedger.seen(at(0), Duration::from_millis(5));
    }
    hedger.called(at(0), 20);
    Arc::new(hedger)
}

fn ask(hedger: &Hedger, plan: &Plan) -> Result<(), Withheld> {
    hedger.issue(at(250), plan, &(|_| Share::ALL, |_| Ok(())))
}

/// Two calls may be hedged at once, and the share leaves room for one.
#[test]
fn of_two_who_ask_at_once_one_gets_the_last_hedge() {
    loom::model(|| {
        let hedger = seasoned();
        let plan = hedger.plan(at(200), true, Context::default());
        let other = Arc::clone(&hedger);
        let thread = thread::spawn(move || ask(&other, &plan));
        let outcomes = [ask(&hedger, &plan), thread.join().unwrap()];
        let issued = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(issued, 1, "{outcomes:?}");
    });
}

/// A call that begins beside a hedge counts before or after it, and exactly once.
#[test]
fn a_call_that_begins_beside_a_hedge_is_counted_once() {
    loom::model(|| {
        let hedger = seasoned();
        let plan = hedger.plan(at(200), true, Context::default());
        let other = Arc::clone(&hedger);
        let thread = thread::spawn(move || other.plan(at(250), true, Context::default()));
        ask(&hedger, &plan).unwrap();
        let _ = thread.join().unwrap();
        // One hedge of 22 calls.
        assert_eq!(hedger.share(at(260)), Share::of(1, 22));
    });
}
