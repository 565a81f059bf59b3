//! Both windows against a list that is sorted anew for each question.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use steadfast_time::Monotonic;

use super::{Options, Shared, Watch, Window};
use crate::Share;

/// The slow, obvious one: every duration with its time.
struct List {
    slice: u64,
    keep: u64,
    samples: Vec<(u64, u64)>,
}

impl List {
    fn new(options: Options) -> Self {
        let slice = options.slice();
        Self { slice, keep: u64::from(options.slices), samples: Vec::new() }
    }

    fn record(&mut self, now: u64, duration: u64) {
        self.samples.push((now, duration));
    }

    /// Those that are in the window, sorted.
    fn sorted(&mut self, now: u64) -> Vec<u64> {
        let newest = now / self.slice;
        self.samples.retain(|(at, _)| at / self.slice + self.keep >= newest);
        let mut sorted: Vec<u64> = self.samples.iter().map(|(_, duration)| *duration).collect();
        sorted.sort_unstable();
        sorted
    }
}

/// By the definition, in whole numbers: the smallest that at least `thousandths` do not exceed.
fn nearest_rank(sorted: &[u64], thousandths: usize) -> Option<u64> {
    let rank = (sorted.len() * thousandths).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied()
}

fn at(nanos: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_nanos(nanos))
}

struct Trio {
    list: List,
    window: Window,
    shared: Shared,
    now: u64,
}

impl Trio {
    fn new(options: Options) -> Self {
        let (window, shared) = (Window::new(options).unwrap(), Shared::new(options).unwrap());
        Self { list: List::new(options), window, shared, now: 0 }
    }

    fn record(&mut self, later: u64, duration: u64) {
        self.now += later;
        let (now, length) = (at(self.now), Duration::from_nanos(duration));
        self.list.record(self.now, duration);
        self.window.record(now, length);
        self.shared.record(now, length);
    }

    fn agree(&mut self) {
        let (now, sorted) = (at(self.now), self.list.sorted(self.now));
        assert_eq!(self.window.count(now), sorted.len() as u64);
        assert_eq!(self.shared.count(now), sorted.len() as u64);
        assert_eq!(self.window.deviation(now), self.shared.deviation(now));
        for thousandths in [0, 500, 950, 998, 1_000] {
            #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
            let share = Share::new(thousandths as f64 / 1_000.0).unwrap();
            let found = self.window.quantile(now, share);
            assert_eq!(found, self.shared.quantile(now, share));
            let truth = nearest_rank(&sorted, thousandths).map(Duration::from_nanos);
            let Some((found, truth)) = found.zip(truth) else {
                assert_eq!((found, truth), (None, None));
                continue;
            };
            let slack = (truth / 32).max(Duration::from_nanos(128));
            assert!(found >= truth, "{thousandths}: {found:?} is below the true {truth:?}");
            assert!(found <= truth + slack, "{thousandths}: {found:?} is far above {truth:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_agrees_with_a_sorted_list(
        slices in 2_u32..8,
        window_ms in 1_u64..100,
        steps in prop::collection::vec((0_u64..30_000_000, 0_u32..39, any::<u64>()), 1..120),
    ) {
        let options = Options { window: Duration::from_millis(window_ms), slices };
        let mut trio = Trio::new(options);
        for (later, bits, random) in steps {
            // All orders of magnitude alike.
            trio.record(later, random % (1 << bits).max(1));
            trio.agree();
        }
    }
}

#[test]
fn a_million_random_steps_agree() {
    let mut rng = Rng::with_seed(8);
    let options = Options { window: Duration::from_millis(20), slices: 5 };
    let mut trio = Trio::new(options);
    for step in 0..1_000_000_u32 {
        let pause = if rng.u32(0..100_000) == 0 { 200_000_000 } else { 10_000 };
        let bits = rng.u32(1..38);
        trio.record(rng.u64(0..pause), rng.u64(0..1 << bits));
        if step % 2_000 == 0 {
            trio.agree();
        }
    }
}

#[test]
fn a_duration_stays_for_the_window_and_leaves_within_a_slice_more() {
    let options = Options { window: Duration::from_secs(60), slices: 6 };
    let ms = Duration::from_millis;
    for start in [0, 4_000, 9_999, 65_000] {
        let mut trio = Trio::new(options);
        trio.record(start * 1_000_000, 1_000_000);
        let recorded = Monotonic::from_start(ms(start));
        for (later, there) in [(0, 1), (60_000, 1), (70_000, 0), (1_000_000, 0)] {
            let now = recorded + ms(later);
            assert_eq!(trio.window.count(now), there, "{later} ms after {start} ms");
            assert_eq!(trio.shared.count(now), there, "{later} ms after {start} ms");
        }
    }
}

#[test]
fn the_deviation_is_that_of_the_newest_slices() {
    let options = Options { window: Duration::from_secs(60), slices: 6 };
    let mut trio = Trio::new(options);
    for i in 0..100 {
        trio.record(0, if i % 2 == 0 { 100_000_000 } else { 300_000_000 });
    }
    for _ in 0..100 {
        trio.record(300_000_000, 100_000_000);
    }
    let now = at(trio.now);
    assert_eq!(trio.window.count(now), 200, "the unsteady ones are still in the window");
    assert!(trio.window.deviation(now).unwrap() < Duration::from_millis(1));
    assert_eq!(trio.shared.deviation(now), trio.window.deviation(now));
}

#[test]
fn a_watch_is_at_most_as_old_as_it_may_be() {
    let shared = Arc::new(Shared::new(Options::default()).unwrap());
    let watch = Watch::new(Arc::clone(&shared), Share::ALL, Duration::from_millis(100));
    assert_eq!(watch.get(at(0)), None);
    shared.record(at(0), Duration::from_millis(5));
    assert_eq!(watch.get(at(99_999_999)), None, "not yet computed anew");
    assert!(watch.get(at(100_000_000)).unwrap() >= Duration::from_millis(5));
}

#[test]
fn threads_that_record_side_by_side_lose_nothing_while_the_ring_rests() {
    let shared = Shared::new(Options::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let shared = &shared;
            scope.spawn(move || {
                for i in 0..10_000 {
                    shared.record(at(i), Duration::from_micros(100 * (thread % 2) + i % 7));
                }
            });
        }
    });
    assert_eq!(shared.count(at(0)), 40_000);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let wrong = [
        (Options { window: Duration::ZERO, slices: 6 }, "window"),
        (Options { window: Duration::from_secs(7_200), slices: 6 }, "window"),
        (Options { window: Duration::from_secs(60), slices: 1 }, "slices"),
        (Options { window: Duration::from_secs(60), slices: 61 }, "slices"),
    ];
    for (options, key) in wrong {
        assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        assert!(Window::new(options).is_err() && Shared::new(options).is_err());
    }
    assert_eq!(Options::default().check(), Ok(()));
}
