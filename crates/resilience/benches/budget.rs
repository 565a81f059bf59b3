//! What a call pays for the budget: one deposit and one take, and beside it tower's `TpsBudget`
//! and the least that anything shared can cost, two atomic additions.
//!
//! `cargo bench -p steadfast-resilience --bench budget -- --max-time 1`
//!
//! Each measured step is 200,000 pairs, so a figure of 2 ms is 10 ns a pair: long enough for two
//! threads, which share one budget, to run side by side rather than one after the other. With two,
//! a figure is what each thread takes for its own 200,000. `with_clock` includes reading the
//! clock, once, as a call does.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use steadfast_resilience::budget::{Budget, Options, Throttle, throttle};
use steadfast_time::{Clock, Monotonic};
use tower::retry::budget::{Budget as _, TpsBudget};

#[global_allocator]
static ALLOC: divan::AllocProfiler = divan::AllocProfiler::system();

const PAIRS: u64 = 200_000;

fn main() {
    divan::main();
}

/// A ratio of one, so that each take finds one and is carried out.
fn generous() -> Budget {
    let options = Options { ratio: 1.0, ..Options::default() };
    Budget::new(&options).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn pairs(bencher: Bencher<'_, '_>, pair: impl Fn() + Sync) {
    bencher.counter(ItemsCount::new(PAIRS)).bench(|| {
        for _ in 0..PAIRS {
            pair();
        }
    });
}

#[divan::bench(threads = [1, 2])]
fn floor_two_atomic_additions(bencher: Bencher<'_, '_>) {
    let word = AtomicU64::new(0);
    pairs(bencher, || {
        black_box(word.fetch_add(black_box(1), Ordering::Relaxed));
        black_box(word.fetch_add(black_box(2), Ordering::Relaxed));
    });
}

#[divan::bench(threads = [1, 2])]
fn deposit_and_take(bencher: Bencher<'_, '_>) {
    let (budget, now) = (generous(), Monotonic::default());
    pairs(bencher, || {
        budget.deposit(black_box(now));
        let _ = black_box(budget.take(black_box(now)));
    });
}

#[divan::bench(threads = [1, 2])]
fn deposit_and_take_with_clock(bencher: Bencher<'_, '_>) {
    let (budget, clock) = (generous(), Clock::system());
    pairs(bencher, || {
        let now = clock.monotonic();
        budget.deposit(now);
        let _ = black_box(budget.take(now));
    });
}

/// The success path: nothing is taken.
#[divan::bench(threads = [1, 2])]
fn deposit(bencher: Bencher<'_, '_>) {
    let (budget, now) = (generous(), Monotonic::default());
    pairs(bencher, || budget.deposit(black_box(now)));
}

/// An outage: there is nothing to take.
#[divan::bench(threads = [1, 2])]
fn deposit_and_take_when_spent(bencher: Bencher<'_, '_>) {
    let options = Options { ratio: 0.0, floor_per_second: 0.0, ..Options::default() };
    let budget = Budget::new(&options).unwrap_or_else(|invalid| panic!("{invalid}"));
    let now = Monotonic::default();
    pairs(bencher, || {
        budget.deposit(black_box(now));
        let _ = black_box(budget.take(black_box(now)));
    });
}

#[divan::bench(threads = [1, 2])]
fn throttle_success(bencher: Bencher<'_, '_>) {
    let throttle = Throttle::new(&throttle::Options::default());
    let throttle = throttle.unwrap_or_else(|invalid| panic!("{invalid}"));
    pairs(bencher, || black_box(&throttle).succeeded());
}

/// Reads tokio's clock twice, which it cannot do without.
#[divan::bench(threads = [1, 2])]
fn tower_tps_budget(bencher: Bencher<'_, '_>) {
    let budget = TpsBudget::new(std::time::Duration::from_secs(10), 10, 1.0);
    pairs(bencher, || {
        budget.deposit();
        black_box(budget.withdraw());
    });
}
