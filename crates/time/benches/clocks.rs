//! What readings, stamps and numbers cost: `cargo bench -p steadfast-time`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::durable::MemoryMark;
use steadfast_time::logical::hybrid::{self, Hybrid};
use steadfast_time::snowflake::{self, Layout, NodeId, Snowflake};
use steadfast_time::stall::{self, Detector};
use steadfast_time::wall::{Assumed, Kernel, Uncertainty, kernel};
use steadfast_time::{Clock, Timestamp};

fn main() {
    divan::main();
}

#[divan::bench(max_time = 1)]
fn monotonic(bencher: divan::Bencher<'_, '_>) {
    let clock = Clock::system();
    bencher.bench(|| black_box(&clock).monotonic());
}

#[divan::bench(max_time = 1)]
fn interval_assumed(bencher: divan::Bencher<'_, '_>) {
    let clock = Clock::system();
    bencher.bench(|| black_box(&clock).interval());
}

#[divan::bench(max_time = 1)]
fn interval_disciplined(bencher: divan::Bencher<'_, '_>) {
    // By the kernel where it knows, else by an assumption; both behind the same calls.
    let uncertainty: Arc<dyn Uncertainty> = match Kernel::new(kernel::Options::default()) {
        Ok(kernel) => Arc::new(kernel),
        Err(_) => Arc::new(Assumed::default()),
    };
    let clock = Clock::system().disciplined(uncertainty);
    bencher.bench(|| black_box(&clock).interval());
}

#[divan::bench(max_time = 1)]
fn hybrid_now_durable(bencher: divan::Bencher<'_, '_>) {
    let store = Box::new(MemoryMark::default());
    let Ok(node) = Hybrid::durable(Clock::system(), hybrid::Options::default(), store) else {
        return;
    };
    bencher.bench(|| black_box(&node).now().ok());
}

#[divan::bench(max_time = 1)]
fn snowflake_next(bencher: divan::Bencher<'_, '_>) {
    // A sequence that one core cannot use up within a millisecond.
    let Ok(layout) = Layout::new(Timestamp::from_millis(1_767_225_600_000), 4, 18) else { return };
    let options = snowflake::Options { layout, ..snowflake::Options::default() };
    let store = Box::new(MemoryMark::default());
    let Ok(numbers) = Snowflake::new(Clock::system(), NodeId::new(1), options, store) else {
        return;
    };
    bencher.bench(|| black_box(&numbers).try_next().ok());
}

#[divan::bench(max_time = 1)]
fn stalls_longest_since(bencher: divan::Bencher<'_, '_>) {
    let clock = Clock::system();
    let Ok(detector) = Detector::start(clock.clone(), stall::Options::default()) else { return };
    let stalls = detector.stalls();
    let since = clock.monotonic() + Duration::from_secs(60);
    bencher.bench(|| black_box(&stalls).longest_since(since, since));
}
