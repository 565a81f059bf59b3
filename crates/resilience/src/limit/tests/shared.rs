//! Windows, and many threads.

use std::sync::Arc;

use fastrand::Rng;

use super::*;
use crate::limit::{Algorithm, Bounds, Changed, Limit, Machine, Options, Sample};

fn options(bounds: Bounds, window: Duration, samples: u32) -> Options {
    let algorithm = Algorithm::Aimd(Default::default());
    Options { algorithm, bounds, window, samples }
}

const BOUNDS: Bounds = Bounds { initial: 20, min: 5, max: 200 };

fn machine(window: Duration, samples: u32) -> Machine {
    Machine::new(&options(BOUNDS, window, samples), Rng::with_seed(1)).unwrap()
}

#[test]
fn a_window_lasts_for_its_time_and_for_enough_samples() {
    let mut machine = machine(ms(100), 3);
    let sample = Sample { rtt: ms(10), in_flight: 20, dropped: false };
    for (now, limit) in [(0, 20), (99, 20), (100, 21), (150, 21), (260, 21), (261, 22)] {
        machine.sample(at(now), &sample);
        assert_eq!(machine.limit(), limit, "at {now} ms");
    }
}

#[test]
fn a_window_counts_the_mean_of_answers_the_most_in_flight_and_any_drop() {
    use std::sync::Mutex;
    struct Seen(Arc<Mutex<Vec<Sample>>>);
    impl crate::limit::Estimate for Seen {
        fn limit(&self) -> u32 {
            7
        }
        fn update(&mut self, sample: &Sample) -> u32 {
            self.0.lock().unwrap().push(*sample);
            7
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let options = options(BOUNDS, ms(10), 3);
    let mut machine = Machine::with(&options, Box::new(Seen(Arc::clone(&seen)))).unwrap();
    let mut feed = |now, rtt, in_flight, dropped| {
        machine.sample(at(now), &Sample { rtt: ms(rtt), in_flight, dropped });
    };
    feed(0, 10, 5, false);
    feed(5, 1, 9, true);
    feed(10, 20, 2, false);
    // Nothing but drops: then their times are all there is.
    feed(11, 1, 1, true);
    feed(12, 1, 1, true);
    feed(30, 3, 1, true);
    let expected = [
        Sample { rtt: ms(15), in_flight: 9, dropped: true },
        Sample { rtt: ms(3), in_flight: 1, dropped: true },
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(machine.rtt(), ms(3));
}

#[test]
fn moves_are_told_once_and_only_when_they_are_noticeable() {
    let mut machine = machine(Duration::ZERO, 1);
    let mut told = Vec::new();
    for _ in 0..6 {
        let sample = Sample { rtt: ms(1), in_flight: 200, dropped: false };
        told.extend(machine.sample(at(1), &sample));
    }
    assert_eq!(told, [Changed { from: 20, to: 22 }, Changed { from: 22, to: 25 }]);
    assert_eq!(told[0].to_string(), "limit 20→22");
    assert_eq!(machine.limit(), 26);
}

#[test]
fn the_limit_holds_and_what_is_dropped_teaches_nothing() {
    let options = options(BOUNDS, Duration::ZERO, 1);
    let limit = Arc::new(Limit::new(&options, Rng::with_seed(1)).unwrap());
    let mut permits: Vec<_> = (0..20).map(|_| limit.try_acquire_owned().unwrap()).collect();
    let refused = limit.try_acquire().unwrap_err();
    assert_eq!((refused.in_flight, refused.limit, refused.retry_after), (20, 20, ms(50)));
    permits.pop().unwrap().ignored();
    drop(permits.pop());
    assert_eq!((limit.in_flight(), limit.limit()), (18, 20));
    assert_eq!(permits.pop().unwrap().success(at(300), ms(300)), None);
    assert_eq!((limit.in_flight(), limit.limit()), (17, 21));
    let changed = permits.pop().unwrap().dropped(at(300), ms(300));
    assert_eq!((changed, limit.limit()), (Some(Changed { from: 20, to: 18 }), 18));
    // What is under way beyond a limit that has fallen stays; nothing new comes.
    for _ in 0..6 {
        permits.pop().unwrap().dropped(at(300), ms(300));
    }
    assert_eq!((limit.in_flight(), limit.limit()), (10, 8));
    let refused = limit.try_acquire().unwrap_err();
    assert_eq!((refused.in_flight, refused.limit, refused.retry_after), (10, 8, ms(300)));
}

#[test]
fn many_threads_never_exceed_it() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let bounds = Bounds { initial: 2, min: 2, max: 2 };
    let limit = Limit::new(&options(bounds, ms(1), 3), Rng::with_seed(1)).unwrap();
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for step in 0..20_000 {
                    if let Ok(permit) = limit.try_acquire() {
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        permit.success(at(step / 100), ms(1));
                    }
                }
            });
        }
    });
    assert_eq!(limit.in_flight(), 0);
}
