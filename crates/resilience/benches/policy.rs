//! What a whole policy costs a call that is answered at once: `cargo bench --bench policy`.
//!
//! Deadline, bulkhead, breaker, budget and timeout, over the bare call in the same run. Nothing is
//! allocated, but for the box that names the future of the `tower` layer.
#![allow(clippy::expect_used, reason = "a benchmark may panic")]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::policy::{Options, Policy};
use steadfast_resilience::{Class, Classified, breaker, bulkhead, timeout};
use steadfast_time::Clock;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[derive(Debug)]
struct Never;

impl Classified for Never {
    fn class(&self) -> Class {
        Class::Permanent
    }
}

/// Polls something that is ready at once.
fn ready<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the bare call is ready at once"),
    }
}

async fn bare(input: u64) -> Result<u64, Never> {
    Ok(black_box(input))
}

fn policy(options: Options) -> (Policy, Context) {
    let clock = Clock::system();
    let context = Context::until(Deadline::within(clock.monotonic(), Duration::from_secs(3_600)));
    let policy = Policy::builder("bench").options(options).repeatable().build(clock);
    (policy.expect("the options make sense"), context)
}

fn whole() -> Options {
    let timeout = timeout::Options {
        attempt: timeout::Attempt::Fixed(Duration::from_millis(100)),
        overall: Some(Duration::from_millis(350)),
    };
    Options {
        timeout: Some(timeout),
        bulkhead: Some(bulkhead::Options { limit: 100, ..bulkhead::Options::default() }),
        ..Options::default()
    }
}

fn run(bencher: Bencher<'_, '_>, options: Options) {
    let (policy, context) = policy(options);
    bencher.bench(|| ready(context.scope(policy.call(|_| bare(black_box(7))))));
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn bare_call(bencher: Bencher<'_, '_>) {
    bencher.bench(|| ready(bare(black_box(7))));
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn no_parts(bencher: Bencher<'_, '_>) {
    run(bencher, Options::NONE);
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn whole_policy(bencher: Bencher<'_, '_>) {
    run(bencher, whole());
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn whole_policy_with_slow_calls(bencher: Bencher<'_, '_>) {
    let slow_call = Some(Duration::from_secs(1));
    let breaker = Some(breaker::Options { slow_call, ..breaker::Options::default() });
    run(bencher, Options { breaker, ..whole() });
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn whole_policy_adaptive(bencher: Bencher<'_, '_>) {
    run(bencher, Options { timeout: Some(timeout::Options::default()), ..whole() });
}

#[cfg(feature = "tower")]
#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn whole_policy_as_a_layer(bencher: Bencher<'_, '_>) {
    use steadfast_resilience::{ByError, policy::Layer, retry::AllMarked};
    use tower::{Layer as _, Service as _};

    let (policy, context) = policy(whole());
    let layer = Layer::new(policy, AllMarked, ByError);
    bencher.with_inputs(|| layer.layer(tower::service_fn(bare))).bench_refs(|service| {
        ready(context.scope(context.sync_scope(|| service.call(black_box(7)))))
    });
}

#[divan::bench]
fn clock_reading(bencher: Bencher<'_, '_>) {
    let clock = Clock::system();
    bencher.bench(|| clock.monotonic());
}
