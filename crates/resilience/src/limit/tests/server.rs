//! A server whose capacity halves, and a limit in front of it that has to find out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use fastrand::Rng;

use super::*;
use crate::limit::{Algorithm, Bounds, Estimate, Machine, Options, Sample};

/// How long one call takes on a free place of the server.
const SERVICE: Duration = ms(50);

/// A caller gives up after this.
const TIMEOUT: Duration = ms(100);

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

/// Feeds a server twice what it can take, and for one second of five half of what it can take, for
/// a minute; after half a minute it can take half as much. The mean limit over the last 5 s of each
/// half, and the longest any call took in them.
fn found(mut limit: Machine, capacity: usize) -> [(f64, Duration); 2] {
    let mut server = Server { places: capacity, busy: BinaryHeap::new(), queue: VecDeque::new() };
    let gap = SERVICE / u32::try_from(2 * capacity).unwrap();
    let half_time = at(30_000);
    let mut found = [(0_u64, 0_u64, Duration::ZERO); 2];
    let mut now = Monotonic::default();
    while now < at(60_000) {
        let half = usize::from(now >= half_time);
        let millis = now.since_start().as_millis();
        let (settled, quiet) = (millis % 30_000 >= 25_000, millis % 5_000 < 1_000);
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
        now = now + if quiet { 4 * gap } else { gap };
    }
    found.map(|(sum, count, longest)| (sum as f64 / count as f64, longest))
}

fn options(algorithm: Algorithm) -> Options {
    let bounds = Bounds { initial: 20, min: 5, max: 500 };
    Options { algorithm, bounds, window: ms(100), samples: 10 }
}

/// Between how many times the capacity the limit lies, before and after it halves.
fn assert_found(name: &str, algorithm: Algorithm, [least, most]: [f64; 2]) {
    for capacity in [60, 40] {
        let limit = Machine::new(&options(algorithm), Rng::with_seed(1)).unwrap();
        let [(full, took), (halved, took_halved)] = found(limit, capacity);
        println!("{name}: {full:.0} for {capacity} ({took:?})");
        println!("{name}: {halved:.0} for {} ({took_halved:?})", capacity / 2);
        let expected = least..=most;
        assert!(expected.contains(&(full / capacity as f64)), "{full} for {capacity}");
        assert!(expected.contains(&(halved * 2.0 / capacity as f64)), "{halved} for half of it");
    }
}

/// A probe of the load-free time falls into the second half, and is taken under load: without it
/// the bound would be 1.2.
#[test]
fn vegas_finds_the_capacity_and_follows_it() {
    assert_found("vegas", Algorithm::Vegas(Default::default()), [1.0, 1.6]);
}

/// It goes on until answers take half as long again as they used to.
#[test]
fn the_gradient_finds_the_capacity_and_follows_it() {
    assert_found("gradient", Algorithm::Gradient(Default::default()), [1.0, 2.0]);
}

/// It goes on until calls are dropped: at a queue as long as what is at work.
#[test]
fn aimd_finds_what_is_dropped_and_follows_it() {
    assert_found("aimd", Algorithm::Aimd(Default::default()), [1.6, 2.0]);
}

/// The twin: a limit that is right at first and does not follow.
#[test]
fn a_fixed_limit_is_wrong_when_the_capacity_halves() {
    struct Fixed;
    impl Estimate for Fixed {
        fn limit(&self) -> u32 {
            60
        }
        fn update(&mut self, _: &Sample) -> u32 {
            60
        }
    }
    let settings = options(Algorithm::Aimd(Default::default()));
    let fixed = Machine::with(&settings, Box::new(Fixed)).unwrap();
    let [(_, took), (halved, took_halved)] = found(fixed, 60);
    assert!(took == SERVICE && took_halved > SERVICE * 19 / 10, "{took:?}, {took_halved:?}");
    assert!(halved / 30.0 >= 2.0, "beyond what each is allowed above");
}
