//! A server whose capacity halves, and a limit in front of it that has to find out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use fastrand::Rng;

use super::*;
use crate::limit::{Algorithm, Bounds, Machine, Options, Sample};

/// How long one call takes on a free place of the server.
const SERVICE: Duration = ms(50);

/// A caller gives up after this.
const TIMEOUT: Duration = ms(200);

/// A server that works on so many calls at once, first come, first served.
struct Server {
    places: usize,
    /// When each is done, when it came, how many were under way then.
    busy: BinaryHeap<Reverse<(Monotonic, Monotonic, u32)>>,
    queue: VecDeque<(Monotonic, u32)>,
}

impl Server {
    fn under_way(&self) -> u32 {
        u32::try_from(self.busy.len() + self.queue.len()).unwrap()
    }

    fn begin(&mut self, now: Monotonic) {
        while self.busy.len() < self.places
            && let Some((came, in_flight)) = self.queue.pop_front()
        {
            self.busy.push(Reverse((now + SERVICE, came, in_flight)));
        }
    }

    /// The next call that is done by then.
    fn done_by(&mut self, now: Monotonic) -> Option<(Monotonic, Duration, u32)> {
        let Reverse((end, came, in_flight)) = *self.busy.peek()?;
        if end > now {
            return None;
        }
        self.busy.pop();
        self.begin(end);
        Some((end, end - came, in_flight))
    }
}

/// Feeds a server twice what it can take for 40 s; after 20 s it can take half as much. The mean
/// limit over the last 5 s of each half, and the longest any call took in them.
fn found(algorithm: Algorithm, capacity: usize) -> [(f64, Duration); 2] {
    let bounds = Bounds { initial: 20, min: 5, max: 500 };
    let options = Options { algorithm, bounds, window: ms(100), samples: 10 };
    let mut limit = Machine::new(&options, Rng::with_seed(1)).unwrap();
    let mut server = Server { places: capacity, busy: BinaryHeap::new(), queue: VecDeque::new() };
    let gap = SERVICE / u32::try_from(2 * capacity).unwrap();
    let mut found = [(0_u64, 0_u64, Duration::ZERO); 2];
    let mut now = Monotonic::default();
    while now < at(40_000) {
        let half = usize::from(now >= at(20_000));
        let settled = now.since_start().as_millis() % 20_000 >= 15_000;
        server.places = capacity / (half + 1);
        while let Some((end, rtt, in_flight)) = server.done_by(now) {
            limit.sample(end, &Sample { rtt, in_flight, dropped: rtt > TIMEOUT });
            if settled {
                found[half].2 = found[half].2.max(rtt);
            }
        }
        if server.under_way() < limit.limit() {
            server.queue.push_back((now, server.under_way() + 1));
            server.begin(now);
        }
        if settled {
            found[half].0 += u64::from(limit.limit());
            found[half].1 += 1;
        }
        now = now + gap;
    }
    found.map(|(sum, count, longest)| (sum as f64 / count as f64, longest))
}

/// How many times the capacity each finds, at least and at most. AIMD goes on until calls are
/// dropped: a queue of three times what is at work takes the 200 ms after which they are. The
/// gradient goes on until answers take half as long again as they used to.
fn assert_found(name: &str, algorithm: Algorithm, [least, most]: [f64; 2]) {
    for capacity in [60, 100] {
        let [(full, took), (halved, took_halved)] = found(algorithm, capacity);
        println!("{name}: {full:.0} for {capacity}, then {halved:.0} for {}", capacity / 2);
        println!("{name}: at most {took:?}, then {took_halved:?}");
        let capacity = capacity as f64;
        let expected = least..=most;
        assert!(expected.contains(&(full / capacity)), "{name}: {full} of {capacity}");
        assert!(expected.contains(&(halved * 2.0 / capacity)), "{name}: {halved} of a half");
    }
}

#[test]
fn vegas_finds_the_capacity_and_follows_it() {
    assert_found("vegas", Algorithm::Vegas(Default::default()), [1.0, 1.3]);
}

#[test]
fn the_gradient_finds_the_capacity_and_follows_it() {
    assert_found("gradient", Algorithm::Gradient(Default::default()), [1.0, 2.5]);
}

#[test]
fn aimd_finds_what_is_dropped_and_follows_it() {
    assert_found("aimd", Algorithm::Aimd(Default::default()), [1.0, 4.0]);
}

/// The twin: a fixed limit, right for the first half, leaves a queue of its own length in the
/// second.
#[test]
fn a_limit_that_does_not_follow_is_wrong_half_of_the_time() {
    struct Fixed(u32);
    impl crate::limit::Estimate for Fixed {
        fn limit(&self) -> u32 {
            self.0
        }
        fn update(&mut self, _: &Sample) -> u32 {
            self.0
        }
    }
    let options = Options { window: Duration::ZERO, ..Options::default() };
    let mut fixed = Machine::with(&options, Box::new(Fixed(60))).unwrap();
    let sample = Sample { rtt: ms(100), in_flight: 60, dropped: true };
    assert_eq!(fixed.sample(at(1), &sample), None);
    assert_eq!(fixed.limit(), 60);
}
