//! Every interleaving of the lock-free parts.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Cached, Options, Shared, UNKNOWN};

fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

#[test]
fn durations_recorded_side_by_side_are_all_there() {
    loom::model(|| {
        let options = Options { window: Duration::from_millis(20), slices: 2 };
        let shared = Arc::new(Shared::new(options).unwrap());
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.record(at(1), Duration::ZERO));
        shared.record(at(2), Duration::ZERO);
        thread.join().unwrap();
        assert_eq!(shared.count(at(3)), 2);
    });
}

#[test]
fn moving_on_beside_a_record_loses_nothing_that_is_young_enough() {
    loom::model(|| {
        let options = Options { window: Duration::from_millis(20), slices: 2 };
        let shared = Arc::new(Shared::new(options).unwrap());
        let other = Arc::clone(&shared);
        // One step on: only a slice that nobody counts in is emptied.
        let thread = thread::spawn(move || other.record(at(11), Duration::ZERO));
        shared.record(at(9), Duration::ZERO);
        thread.join().unwrap();
        assert_eq!(shared.count(at(12)), 2);
        assert_eq!(shared.count(at(100)), 0);
    });
}

#[test]
fn two_who_find_the_ring_over_move_it_once() {
    loom::model(|| {
        let options = Options { window: Duration::from_millis(20), slices: 2 };
        let shared = Arc::new(Shared::new(options).unwrap());
        shared.record(at(1), Duration::ZERO);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.record(at(11), Duration::ZERO));
        shared.record(at(12), Duration::ZERO);
        thread.join().unwrap();
        assert_eq!(shared.count(at(13)), 3);
        // Moved twice, it would be ahead of its time, and what it counted then would stay longer.
        assert_eq!(shared.count(at(40)), 0);
    });
}

#[test]
fn figures_are_computed_by_one_and_old_or_new_for_the_others() {
    loom::model(|| {
        let cached = Arc::new(Cached::<1>::new());
        let computed = Arc::new(AtomicU32::new(0));
        let get = |cached: &Cached<1>, computed: &AtomicU32| {
            let [figure] = cached.get(10, 100, || {
                computed.fetch_add(1, Ordering::Relaxed);
                [7]
            });
            figure
        };
        let (other, counted) = (Arc::clone(&cached), Arc::clone(&computed));
        let thread = thread::spawn(move || get(&other, &counted));
        let mine = get(&cached, &computed);
        let theirs = thread.join().unwrap();
        assert!([mine, theirs].iter().all(|figure| [7, UNKNOWN].contains(figure)));
        assert_eq!(computed.load(Ordering::Relaxed), 1);
        assert_eq!(cached.get(20, 100, || unreachable!("still fresh"))[0], 7);
    });
}
