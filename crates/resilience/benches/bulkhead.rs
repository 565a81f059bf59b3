//! What a place costs: the bulkhead, the limit and the gate beside their peers.
//!
//! ```sh
//! cargo bench -p steadfast-resilience --all-features --bench bulkhead -- --max-time 1
//! ```
//!
//! Nothing waits here: what is measured is what every call pays. Peers that only come as a service
//! are called as one, and ours beside them too.
#![allow(clippy::expect_used, reason = "a failed benchmark is a panic")]

use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use fastrand::Rng;
use futures::FutureExt;
use steadfast_resilience::bulkhead::{self, Bulkhead};
use steadfast_resilience::event::Events;
use steadfast_resilience::limit::{self, Limit};
use steadfast_resilience::shed::{self, Concurrency, Gate, Priority};
use steadfast_resilience::{Class, deadline::Deadline};
use steadfast_time::Clock;
use tower::limit::ConcurrencyLimit;
use tower::{Layer as _, Service, ServiceExt};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// So many calls in one sample that two threads really get in each other's way.
const TURNS: u32 = 200_000;

/// The same where each call's service must be kept: so few that they stay in the cache.
const FEWER_TURNS: u32 = 4_000;

fn main() {
    divan::main();
}

fn bulkhead() -> Arc<Bulkhead> {
    let made = Bulkhead::new(&bulkhead::Options::default(), Clock::system());
    Arc::new(made.expect("the defaults are sound"))
}

fn gate(concurrency: &Concurrency) -> Arc<Gate> {
    let (options, rng) = (shed::Options::default(), Rng::with_seed(1));
    let made = Gate::new(concurrency, &options, Clock::system(), rng);
    Arc::new(made.expect("the defaults are sound"))
}

/// Answers at once.
#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        std::future::ready(Ok(request))
    }
}

fn through<S: Service<u32, Response = u32>>(service: &mut S) -> Option<u32> {
    let _ = service.ready().now_or_never();
    service.call(black_box(7)).now_or_never()?.ok()
}

mod place {
    use super::*;

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn ours(bencher: Bencher) {
        let bulkhead = bulkhead();
        bencher.bench(|| drop(black_box(bulkhead.try_acquire())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn ours_owned(bencher: Bencher) {
        let bulkhead = bulkhead();
        bencher.bench(|| drop(black_box(bulkhead.try_acquire_owned())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn ours_awaited_with_a_deadline(bencher: Bencher) {
        let bulkhead = bulkhead();
        let deadline = Deadline::within(bulkhead.clock().monotonic(), Duration::from_secs(3_600));
        bencher.bench(|| drop(black_box(bulkhead.acquire(Some(deadline)).now_or_never())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn tokio_semaphore(bencher: Bencher) {
        let semaphore = tokio::sync::Semaphore::new(10);
        bencher.bench(|| drop(black_box(semaphore.try_acquire())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn tokio_semaphore_awaited(bencher: Bencher) {
        let semaphore = tokio::sync::Semaphore::new(10);
        bencher.bench(|| drop(black_box(semaphore.acquire().now_or_never())));
    }
}

mod service {
    use super::*;

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn ours(bencher: Bencher) {
        let layer = bulkhead::Layer::new(bulkhead(), Events::silent("stock"));
        let service = layer.layer(Echo);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn tower_concurrency_limit(bencher: Bencher) {
        let service = ConcurrencyLimit::new(Echo, 10);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn tower_resilience_bulkhead(bencher: Bencher) {
        use tower_resilience_bulkhead::BulkheadLayer;
        let layer = BulkheadLayer::builder().max_concurrent_calls(10).build();
        let service = layer.expect("ten is sound").layer(Echo);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }
}

mod adaptive {
    use super::*;

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn limit_untimed(bencher: Bencher) {
        let limit = Limit::new(&limit::Options::default(), Rng::with_seed(1));
        let limit = limit.expect("the defaults are sound");
        bencher.bench(|| drop(black_box(limit.try_acquire())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn limit_with_a_sample(bencher: Bencher) {
        let limit = Limit::new(&limit::Options::default(), Rng::with_seed(1));
        let (limit, clock) = (limit.expect("the defaults are sound"), Clock::system());
        bencher.bench(|| {
            let permit = limit.try_acquire().ok()?;
            let since = clock.monotonic();
            let now = clock.monotonic();
            permit.success(now, now - since)
        });
    }

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn limit_layer(bencher: Bencher) {
        let limit = Limit::new(&limit::Options::default(), Rng::with_seed(1));
        let limit = Arc::new(limit.expect("the defaults are sound"));
        let classify = |_: &Result<u32, Infallible>| Class::Success;
        let (clock, events) = (Clock::system(), Events::silent("stock"));
        let service = limit::Layer::new(limit, clock, events, classify).layer(Echo);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }
}

mod shedding {
    use super::*;

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn gate_fixed(bencher: Bencher) {
        let gate = gate(&Concurrency::Fixed(10));
        bencher.bench(|| drop(black_box(gate.try_enter())));
    }

    #[divan::bench(threads = [1, 2], sample_size = TURNS, sample_count = 10)]
    fn gate_awaited(bencher: Bencher) {
        let gate = gate(&Concurrency::Fixed(10));
        bencher.bench(|| drop(black_box(gate.enter(Priority::Normal, None).now_or_never())));
    }

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn gate_layer_fixed(bencher: Bencher) {
        let classify = |_: &Result<u32, Infallible>| Class::Success;
        let (gate, events) = (gate(&Concurrency::Fixed(10)), Events::silent("api"));
        let layer = shed::Layer::new(gate, events, |_: &u32| Priority::Normal, classify);
        let service = layer.layer(Echo);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }

    #[divan::bench(threads = [1, 2], sample_size = FEWER_TURNS, sample_count = 50)]
    fn gate_layer_adaptive(bencher: Bencher) {
        let classify = |_: &Result<u32, Infallible>| Class::Success;
        let concurrency = Concurrency::Adaptive(limit::Options::default());
        let (gate, events) = (gate(&concurrency), Events::silent("api"));
        let layer = shed::Layer::new(gate, events, |_: &u32| Priority::Normal, classify);
        let service = layer.layer(Echo);
        bencher.with_inputs(|| service.clone()).bench_refs(through);
    }
}

/// There and back: a job that does nothing.
mod threads {
    use steadfast_resilience::bulkhead::{Pool, pool};

    use super::*;

    #[divan::bench]
    fn ours(bencher: Bencher) {
        let pool = Pool::new("bench", &pool::Options::default(), Clock::system());
        let pool = pool.expect("threads can be had");
        bencher.bench(|| futures::executor::block_on(pool.run(None, || black_box(7))));
    }

    #[divan::bench]
    fn tokio_spawn_blocking(bencher: Bencher) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.expect("threads can be had");
        bencher.bench(|| {
            let job = runtime.spawn_blocking(|| black_box(7));
            futures::executor::block_on(job).ok()
        });
    }
}
