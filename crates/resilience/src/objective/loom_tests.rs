//! Every interleaving of two who record.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use steadfast_time::Monotonic;

use super::{Options, Shared};

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

#[test]
fn no_call_is_lost_or_counted_twice_while_another_hands_over() {
    loom::model(|| {
        let shared = Arc::new(Shared::new(Options::default()).unwrap());
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.record(at(1), false));
        shared.record(at(1), true);
        thread.join().unwrap();
        let report = shared.report(at(2));
        assert_eq!((report.good, report.bad), (1, 1));
    });
}
