//! What watching the time costs per call: timeouts around a `tower` service, beside their rivals;
//! the figures that adaptive ones and hedges rest on; and hedging while calls are fast.
//!
//! ```sh
//! cargo bench -p steadfast-resilience --all-features --bench timeout -- --max-time 1
//! ```
//!
//! Calls are answered at once (`ready`), or have to wait once (`pending`), which is when a timer is
//! needed. With two threads, both share one timeout.
#![allow(clippy::unwrap_used, reason = "a failed benchmark is a panic")]

use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll, Waker};
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use steadfast_resilience::deadline::Context;
use steadfast_resilience::event::Events;
use steadfast_resilience::hedge::{self, Hedger};
use steadfast_resilience::retry::AllMarked;
use steadfast_resilience::timeout::{self, Attempt, Scope, Timeout};
use steadfast_resilience::{Class, Share, latency, objective};
use steadfast_time::{Clock, Monotonic};
use tower::{Layer, Service, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const THREADS: [usize; 2] = [1, 2];
/// Calls in one sample: so many that two threads really get in each other's way.
const TURNS: u32 = 1_000_000;
/// Calls through a layer in one sample.
const CALLS: u32 = 20_000;
const LIMIT: Duration = Duration::from_millis(100);

fn main() {
    divan::main();
}

type Outcome = Result<u32, ()>;

fn nothing(_: ()) -> Ready<Outcome> {
    ready(black_box(Ok(1)))
}

/// Has to wait once.
struct Once(bool);

impl Future for Once {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Wakeup<'_>) -> Poll<Outcome> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(Ok(1)) } else { Poll::Pending }
    }
}

fn once(_: ()) -> Once {
    Once(false)
}

/// Polls a future until it is ready, without a runtime's queue.
fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut wakeup = Wakeup::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut wakeup) {
            return output;
        }
    }
}

/// Calls a service; timers need a runtime with its timer on.
fn calls<S>(bencher: Bencher<'_, '_>, service: &S)
where
    S: Service<()> + Clone + Sync,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    bencher.bench(|| {
        let _inside = handle.enter();
        // One clone for many calls, as a connection would.
        let mut service = service.clone();
        for _ in 0..CALLS {
            let answer = service.call(());
            let _ = black_box(drive(answer));
        }
    });
}

fn around<S>(attempt: Attempt, inner: S) -> timeout::Service<S, fn(&Outcome) -> Class> {
    let timeout = Arc::new(Timeout::new(attempt).unwrap());
    let classify: fn(&Outcome) -> Class = |_| Class::Success;
    let events = Events::silent("bench");
    timeout::Layer::new(timeout, Scope::Attempt, Clock::system(), events, classify).layer(inner)
}

fn adaptive() -> Attempt {
    Attempt::Adaptive(timeout::options::Adaptive::default())
}

/// 20,000 calls.
mod ready_x20000 {
    use super::*;

    #[divan::bench(threads = THREADS)]
    fn bare(bencher: Bencher<'_, '_>) {
        calls(bencher, &service_fn(nothing));
    }

    #[divan::bench(threads = THREADS)]
    fn fixed(bencher: Bencher<'_, '_>) {
        calls(bencher, &around(Attempt::Fixed(LIMIT), service_fn(nothing)));
    }

    #[divan::bench(threads = THREADS)]
    fn adaptive(bencher: Bencher<'_, '_>) {
        calls(bencher, &around(super::adaptive(), service_fn(nothing)));
    }

    #[divan::bench(threads = THREADS)]
    fn hedged_while_fast(bencher: Bencher<'_, '_>) {
        let hedger = Arc::new(Hedger::new(hedge::Options::default()).unwrap());
        let means = (|_| Share::ALL, |_| Ok(()));
        let classify: fn(&Outcome) -> Class = |_| Class::Success;
        let (clock, events) = (Clock::system(), Events::silent("bench"));
        let layer = hedge::Layer::new(hedger, means, AllMarked, classify, clock, events);
        calls(bencher, &layer.layer(service_fn(nothing)));
    }

    #[divan::bench(threads = THREADS)]
    fn tower_timeout(bencher: Bencher<'_, '_>) {
        calls(
            bencher,
            &tower::timeout::Timeout::new(service_fn(nothing).map_err(|()| "no"), LIMIT),
        );
    }

    #[divan::bench(threads = THREADS)]
    fn seatbelt_timeout(bencher: Bencher<'_, '_>) {
        seatbelt_calls(bencher, || nothing(()));
    }
}

/// 20,000 calls.
mod pending_x20000 {
    use super::*;

    #[divan::bench(threads = THREADS)]
    fn bare(bencher: Bencher<'_, '_>) {
        calls(bencher, &service_fn(once));
    }

    #[divan::bench(threads = THREADS)]
    fn fixed(bencher: Bencher<'_, '_>) {
        calls(bencher, &around(Attempt::Fixed(LIMIT), service_fn(once)));
    }

    #[divan::bench(threads = THREADS)]
    fn adaptive(bencher: Bencher<'_, '_>) {
        calls(bencher, &around(super::adaptive(), service_fn(once)));
    }

    #[divan::bench(threads = THREADS)]
    fn tower_timeout(bencher: Bencher<'_, '_>) {
        calls(bencher, &tower::timeout::Timeout::new(service_fn(once).map_err(|()| "no"), LIMIT));
    }

    #[divan::bench(threads = THREADS)]
    fn seatbelt_timeout(bencher: Bencher<'_, '_>) {
        seatbelt_calls(bencher, || once(()));
    }
}

fn seatbelt_calls<F>(bencher: Bencher<'_, '_>, work: fn() -> F)
where
    F: Future<Output = Outcome> + Send + 'static,
{
    use layered::{Execute, Service, Stack};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    let _inside = handle.enter();
    let clock = tick::Clock::new_tokio();
    let context = seatbelt::ResilienceContext::new(&clock);
    let layer =
        seatbelt::timeout::Timeout::layer("timeout", &context).timeout_error(|_| ()).timeout(LIMIT);
    let service = (layer, Execute::new(move |()| work())).into_service();
    bencher.bench(|| {
        let _inside = handle.enter();
        for _ in 0..CALLS {
            let _ = black_box(drive(black_box(&service).execute(())));
        }
    });
}

/// One figure at a time.
mod figures {
    use super::*;

    const MS: Duration = Duration::from_millis(20);

    fn moment(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn filled() -> latency::Shared {
        let latency = latency::Shared::new(latency::Options::default()).unwrap();
        for call in 0..60_000_u64 {
            latency.record(moment(call), Duration::from_micros(5_000 + call * 37 % 40_000));
        }
        latency
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn clock(bencher: Bencher<'_, '_>) {
        let clock = Clock::system();
        bencher.bench(|| black_box(&clock).monotonic());
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn latency_record_same_bucket(bencher: Bencher<'_, '_>) {
        let latency = filled();
        bencher.bench(|| latency.record(black_box(moment(60_000)), black_box(MS)));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn latency_record_spread(bencher: Bencher<'_, '_>) {
        let latency = filled();
        bencher
            .with_inputs(|| Duration::from_micros(fastrand::u64(1_000..100_000)))
            .bench_values(|took| latency.record(black_box(moment(60_000)), took));
    }

    #[divan::bench]
    fn latency_quantile_computed(bencher: Bencher<'_, '_>) {
        let latency = filled();
        bencher.bench(|| latency.quantile(black_box(moment(60_000)), Share::percent(95)));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn latency_quantile_watched(bencher: Bencher<'_, '_>) {
        let refresh = Duration::from_millis(100);
        let watch = latency::Watch::new(Arc::new(filled()), Share::percent(95), refresh);
        bencher.bench(|| watch.get(black_box(moment(60_000))));
    }

    fn learned(reported: bool) -> timeout::Shared {
        let timeout = timeout::Shared::new(timeout::options::Adaptive::default()).unwrap();
        for call in 0..60_000_u64 {
            let took = Duration::from_micros(5_000 + call * 37 % 40_000);
            timeout.observe(moment(call), took, reported.then(|| took / 2));
        }
        timeout
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn adaptive_limit(bencher: Bencher<'_, '_>) {
        let timeout = learned(true);
        bencher.bench(|| timeout.limit(black_box(moment(60_000))));
    }

    #[divan::bench(args = [false, true])]
    fn adaptive_limit_computed(bencher: Bencher<'_, '_>, reported: bool) {
        let (timeout, mut now) = (learned(reported), 60_000);
        bencher.bench_local(|| {
            now += 101;
            timeout.limit(black_box(moment(60_000 + now % 200_000)))
        });
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn adaptive_observe(bencher: Bencher<'_, '_>) {
        let timeout = learned(false);
        bencher.bench(|| timeout.observe(black_box(moment(60_000)), black_box(MS), None));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn objective_record(bencher: Bencher<'_, '_>) {
        let objective = objective::Shared::new(objective::Options::default()).unwrap();
        bencher.bench(|| objective.record(black_box(moment(60_000)), black_box(true)));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn hedge_plan_and_answer(bencher: Bencher<'_, '_>) {
        let hedger = Hedger::new(hedge::Options::default()).unwrap();
        let now = moment(60_000);
        bencher.bench(|| {
            let plan = hedger.plan(black_box(now), true, Context::default());
            hedger.answered(black_box(now), &plan);
            plan.may_hedge()
        });
    }
}
