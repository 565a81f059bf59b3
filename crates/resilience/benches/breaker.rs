//! What a breaker costs per call, beside its rivals and the least that it could cost.
//!
//! ```sh
//! cargo bench -p steadfast-resilience --all-features --bench breaker -- --max-time 1
//! ```
//!
//! Each bench is one call's way: leave, a call that does nothing, its outcome. Every breaker has
//! been in use for ten thousand good calls before, and is shared by the threads.
#![allow(clippy::unwrap_used, reason = "a failed benchmark is a panic")]

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use failsafe::CircuitBreaker as _;
use steadfast_resilience::breaker::{Breaker, Forced, Options, Window};
use steadfast_time::Clock;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const THREADS: [usize; 2] = [1, 2];
const WARM_UP: u32 = 10_000;

/// Calls in one sample: so many that two threads really get in each other's way.
const TURNS: u32 = 500_000;

/// The same where each call's input must be kept: so few that they stay in the cache.
const FEWER_TURNS: u32 = 4_000;

type Outcome = Result<u32, ()>;

fn main() {
    divan::main();
}

/// A call that does nothing; the compiler may not know that it succeeds.
fn nothing() -> Outcome {
    black_box(Ok(1))
}

thread_local! {
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// A call that does nothing, and fails once in a hundred.
fn one_percent() -> Outcome {
    let turn = TURN.get() + 1;
    TURN.set(if turn == 100 { 0 } else { turn });
    black_box(if turn == 100 { Err(()) } else { Ok(1) })
}

fn call(breaker: &Breaker, clock: &Clock, work: fn() -> Outcome) -> Option<Outcome> {
    let (granted, _) = breaker.acquire(clock);
    let grant = granted.ok()?;
    let outcome = work();
    breaker.record(clock, grant, outcome.is_err());
    Some(outcome)
}

mod floor {
    use super::*;

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn nothing_at_all(bencher: Bencher) {
        bencher.bench(nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn atomic_load(bencher: Bencher) {
        let word = AtomicU64::new(1);
        bencher.bench(|| black_box(&word).load(Ordering::Acquire));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn atomic_add(bencher: Bencher) {
        let word = AtomicU64::new(1);
        bencher.bench(|| black_box(&word).fetch_add(1, Ordering::AcqRel));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn two_clock_readings(bencher: Bencher) {
        let clock = Clock::system();
        bencher.bench(|| {
            let start = black_box(&clock).monotonic();
            black_box(&clock).monotonic() - start
        });
    }
}

/// A `tower` service that does nothing, without any layer.
mod tower_floor {
    use std::convert::Infallible;
    use std::future::ready;

    use futures::FutureExt;
    use tower::{Service, service_fn};

    use super::*;

    #[divan::bench(threads = THREADS, sample_size = FEWER_TURNS)]
    fn no_layer(bencher: Bencher) {
        let service = service_fn(|()| ready(Ok::<_, Infallible>(nothing().is_ok())));
        bencher.with_inputs(|| service).bench_refs(|service| service.call(()).now_or_never());
    }
}

mod ours {
    use super::*;

    fn bench(bencher: Bencher, options: Options, work: fn() -> Outcome) {
        let clock = Clock::system();
        let breaker = Breaker::new(options).unwrap();
        for _ in 0..WARM_UP {
            call(&breaker, &clock, nothing).unwrap().unwrap();
        }
        bencher.bench(|| call(black_box(&breaker), black_box(&clock), work));
    }

    fn timed() -> Options {
        Options { slow_call: Some(Duration::from_secs(1)), ..Options::default() }
    }

    fn by_time() -> Window {
        Window::Time(Duration::from_secs(20))
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed(bencher: Bencher) {
        bench(bencher, Options::default(), nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed_timed(bencher: Bencher) {
        bench(bencher, timed(), nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed_time_window(bencher: Bencher) {
        bench(bencher, Options { window: by_time(), ..Options::default() }, nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed_time_window_timed(bencher: Bencher) {
        bench(bencher, Options { window: by_time(), ..timed() }, nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn one_percent_fails(bencher: Bencher) {
        bench(bencher, Options::default(), one_percent);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn open_refuses(bencher: Bencher) {
        let clock = Clock::system();
        let breaker = Breaker::new(Options { minimum_calls: 1, ..Options::default() }).unwrap();
        let grant = breaker.acquire(&clock).0.unwrap();
        breaker.record(&clock, grant, true);
        bencher.bench(|| black_box(&breaker).acquire(&clock).0.is_err());
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn forced_open_refuses(bencher: Bencher) {
        let clock = Clock::system();
        let breaker = Breaker::new(Options::default()).unwrap();
        breaker.force(&clock, Forced::Open);
        bencher.bench(|| black_box(&breaker).acquire(&clock).0.is_err());
    }

    #[cfg(feature = "tower")]
    #[divan::bench(threads = THREADS, sample_size = FEWER_TURNS)]
    fn tower_layer(bencher: Bencher) {
        layers::ours(bencher, Options::default());
    }

    #[cfg(feature = "tower")]
    #[divan::bench(threads = THREADS, sample_size = FEWER_TURNS)]
    fn tower_layer_timed(bencher: Bencher) {
        layers::ours(bencher, timed());
    }
}

mod recloser {
    use ::recloser::Recloser;

    use super::*;

    fn bench(bencher: Bencher, work: fn() -> Outcome) {
        let breaker = Recloser::custom().closed_len(100).error_rate(0.5).build();
        for _ in 0..WARM_UP {
            breaker.call(nothing).unwrap();
        }
        bencher.bench(|| black_box(&breaker).call(work));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed(bencher: Bencher) {
        bench(bencher, nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn one_percent_fails(bencher: Bencher) {
        bench(bencher, one_percent);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn open_refuses(bencher: Bencher) {
        let breaker = Recloser::custom().closed_len(1).build();
        for _ in 0..2 {
            assert!(breaker.call(|| Err::<(), ()>(())).is_err());
        }
        bencher.bench(|| black_box(&breaker).call(nothing).is_err());
    }
}

mod failsafe_default {
    use super::*;

    fn bench(bencher: Bencher, work: fn() -> Outcome) {
        let breaker = failsafe::Config::new().build();
        for _ in 0..WARM_UP {
            breaker.call(nothing).unwrap();
        }
        bencher.bench(|| black_box(&breaker).call(work));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed(bencher: Bencher) {
        bench(bencher, nothing);
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn one_percent_fails(bencher: Bencher) {
        bench(bencher, one_percent);
    }
}

mod failsafe_consecutive {
    use failsafe::{backoff, failure_policy};

    use super::*;

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed(bencher: Bencher) {
        let backoff = backoff::constant(Duration::from_secs(60));
        let policy = failure_policy::consecutive_failures(50, backoff);
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        bencher.bench(|| black_box(&breaker).call(nothing));
    }

    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn open_refuses(bencher: Bencher) {
        let backoff = backoff::constant(Duration::from_secs(60));
        let policy = failure_policy::consecutive_failures(1, backoff);
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        assert!(breaker.call(|| Err::<(), ()>(())).is_err());
        bencher.bench(|| black_box(&breaker).call(nothing).is_err());
    }
}

mod seatbelt_breaker {
    use futures::FutureExt;
    use layered::{Execute, Service, Stack};
    use seatbelt::breaker::Breaker;
    use seatbelt::{RecoveryInfo, ResilienceContext};

    use super::*;

    /// Its own window and rate: 50 % of the last 30 s, timed always.
    #[divan::bench(threads = THREADS, sample_size = TURNS, sample_count = 10)]
    fn closed_time_window_timed(bencher: Bencher) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let clock = tick::Clock::new_tokio();
        let context = ResilienceContext::new(&clock);
        let layer = Breaker::layer("breaker", &context)
            .failure_threshold(0.5)
            .recovery_with(|outcome: &Outcome, _| match outcome {
                Ok(_) => RecoveryInfo::never(),
                Err(()) => RecoveryInfo::retry(),
            })
            .rejected_input_error(|_: (), _| ());
        let service = (layer, Execute::new(|()| async { nothing() })).into_service();
        for _ in 0..WARM_UP {
            service.execute(()).now_or_never().unwrap().unwrap();
        }
        bencher.bench(|| black_box(&service).execute(()).now_or_never());
    }
}

mod tower_resilience {
    use std::convert::Infallible;
    use std::future::ready;

    use futures::FutureExt;
    use tower::{Layer, Service, service_fn};
    use tower_resilience_circuitbreaker::CircuitBreakerLayer;

    use super::*;

    /// One service, in use for long; each thread has its clone, as a server's tasks have.
    #[divan::bench(threads = THREADS, sample_size = FEWER_TURNS)]
    fn closed_timed(bencher: Bencher) {
        let layer = CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(100)
            .build()
            .unwrap();
        let mut service =
            layer.layer(service_fn(|()| ready(Ok::<_, Infallible>(nothing().is_ok()))));
        for _ in 0..WARM_UP {
            service.call(()).now_or_never().unwrap().unwrap();
        }
        bencher
            .with_inputs(|| service.clone())
            .bench_refs(|service| service.call(()).now_or_never());
    }
}

#[cfg(feature = "tower")]
mod layers {
    use std::convert::Infallible;
    use std::future::ready;
    use std::sync::Arc;

    use futures::FutureExt;
    use steadfast_resilience::Class;
    use steadfast_resilience::breaker::Layer;
    use steadfast_resilience::event::Events;
    use tower::{Layer as _, Service, service_fn};

    use super::*;

    pub(super) fn ours(bencher: Bencher, options: Options) {
        let breaker = Arc::new(Breaker::new(options).unwrap());
        let judge = |_: &Result<bool, Infallible>| Class::Success;
        let layer = Layer::new(breaker, Clock::system(), Events::silent("bench"), judge);
        let mut service =
            layer.layer(service_fn(|()| ready(Ok::<_, Infallible>(nothing().is_ok()))));
        for _ in 0..WARM_UP {
            service.call(()).now_or_never().unwrap().unwrap();
        }
        bencher
            .with_inputs(|| service.clone())
            .bench_refs(|service| service.call(()).now_or_never());
    }
}
