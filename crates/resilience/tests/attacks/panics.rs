//! Strangers' code that panics, or does something else at the wrong moment.

use std::future::Future;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use steadfast_resilience::budget::{Budget, Spent, Throttle};
use steadfast_resilience::bulkhead::{self, Bulkhead, Pool, pool};
use steadfast_resilience::deadline::{self, Deadline};
use steadfast_resilience::detector::{self, Monitor};
use steadfast_resilience::event::{Event, Events, Recorder};
use steadfast_resilience::hedge::{self, Hedger};
use steadfast_resilience::limit::{self, Limit};
use steadfast_resilience::timeout::Timeout;
use steadfast_resilience::{Share, breaker, latency, objective, retry, shed};
use steadfast_time::sim::{DEFAULT_START, SimClock};
use steadfast_time::{Clock, Monotonic};

const fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

/// What is shared is shared by threads, and what a panic leaves of it can be used further.
#[test]
fn everything_that_is_shared_may_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    fn survives<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    survives::<breaker::Breaker>();
    survives::<Budget>();
    survives::<Throttle>();
    survives::<retry::Retry>();
    survives::<Limit>();
    survives::<Hedger>();
    survives::<Timeout>();
    survives::<latency::Shared>();
    survives::<latency::Watch>();
    survives::<objective::Shared>();
    survives::<Recorder>();
    // These hold a clock or a listener, which may be anything.
    shared::<Bulkhead>();
    shared::<Pool>();
    shared::<shed::Gate>();
    shared::<Events>();
    shared::<Monitor<String>>();
    fn sent<T: Send + 'static>() {}
    sent::<bulkhead::Acquire>();
    sent::<bulkhead::Permit>();
    sent::<shed::Enter>();
    sent::<shed::Permit>();
    sent::<limit::Permit>();
    sent::<breaker::Permit<Arc<breaker::Breaker>>>();
}

/// The books of a monitor are right also when nobody can be told.
#[test]
fn a_listener_that_panics_leaves_the_monitor_in_order() {
    let listener = |_: &Event<'_>| panic!("a listener");
    let events = Events::to("peers", Arc::new(listener));
    let mut peers = Monitor::new(detector::Options::default(), events).unwrap();
    for second in 0..10 {
        for peer in 0..3 {
            peers.heartbeat(at(second), &peer).unwrap();
        }
        peers.tick(at(second));
    }
    for second in 10..30 {
        let _ = catch_unwind(AssertUnwindSafe(|| peers.tick(at(second))));
    }
    assert_eq!(peers.suspects().count(), 3);
    assert_eq!((peers.counts().suspected, peers.counts().suspicions), (3, 3));
    for peer in 0..3 {
        let back = catch_unwind(AssertUnwindSafe(|| peers.heartbeat(at(30), &peer)));
        assert!(back.is_err(), "the listener panics");
        assert!(!peers.is_suspected(&peer));
    }
    assert_eq!((peers.counts().suspected, peers.counts().false_suspicions), (0, 3));
    assert!(peers.forget(at(30), &0));
}

#[test]
fn a_budget_that_panics_leaves_the_hedger_in_order() {
    let slow = hedge::Options { p95_above: Duration::from_millis(1), ..Default::default() };
    let hedger = Hedger::new(slow).unwrap();
    for _ in 0..200 {
        let plan = hedger.plan(at(1), true, deadline::Context::default());
        hedger.answered(at(2), &plan);
    }
    let plan = hedger.plan(at(3), true, deadline::Context::default());
    assert!(plan.may_hedge());
    let broken = (|_| Share::ALL, |_| -> Result<(), Spent> { panic!("a budget") });
    assert!(catch_unwind(AssertUnwindSafe(|| hedger.issue(at(5), &plan, &broken))).is_err());
    assert_eq!(hedger.share(at(5)), Share::NONE);
    assert_eq!(hedger.issue(at(5), &plan, &(|_| Share::ALL, |_| Ok(()))), Ok(()));
}

/// A waker, and with it a whole task, may be dropped by whoever holds it last. What such a task
/// drops in turn may be a place in the very bulkhead that held its waker.
#[test]
fn a_waker_that_holds_a_place_is_dropped_without_a_deadlock() {
    struct Task {
        _place: Mutex<bulkhead::Permit>,
    }
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let clock = SimClock::starting_at(DEFAULT_START);
        let options = bulkhead::Options { limit: 1, ..Default::default() };
        let bulkhead = Arc::new(Bulkhead::new(&options, clock.clock()).unwrap());
        let task = |bulkhead: &Arc<Bulkhead>| {
            let place = bulkhead.try_acquire_owned().unwrap();
            Waker::from(Arc::new(Task { _place: Mutex::new(place) }))
        };
        let look = |acquire: &mut bulkhead::Acquire, waker: &Waker| {
            Pin::new(acquire).poll(&mut Context::from_waker(waker)).is_ready()
        };
        // It goes away while it waits.
        let mut waits = bulkhead.acquire_owned(None);
        let waker = task(&bulkhead);
        assert!(!look(&mut waits, &waker));
        drop(waker);
        drop(waits);
        assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
        // It is polled by another task from now on.
        let mut waits = bulkhead.acquire_owned(None);
        let waker = task(&bulkhead);
        assert!(!look(&mut waits, &waker));
        drop(waker);
        assert!(!look(&mut waits, Waker::noop()));
        // The place that the first task held was given to it.
        assert!(look(&mut waits, Waker::noop()));
        assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
        done.send(()).unwrap();
    });
    assert_eq!(finished.recv_timeout(Duration::from_secs(10)), Ok(()), "a deadlock, or a panic");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("dropped");
        }
    }
}

/// Whatever a job holds, its caller gets an answer, and the pool goes on.
#[test]
fn a_job_that_panics_when_it_is_dropped_is_an_error_for_its_caller() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::system();
        let options = pool::Options { threads: 1, queue: 4 };
        let threads = Pool::new("bo\0mb", &options, clock.clone()).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let busy = threads.run(None, move || wait.recv().unwrap_or_default());
        // Its deadline comes while it waits, so that what it holds is dropped unused.
        let bomb = Bomb;
        let soon = Deadline::within(clock.monotonic(), Duration::from_millis(5));
        let late = threads.run(Some(soon), move || drop(bomb));
        assert!(matches!(late.await, Err(pool::Error::Panicked(_))));
        // The payload of a panic panics as well.
        let payload = threads.run(None, || std::panic::panic_any(Bomb));
        // And so does what a job drops while it works; the next one is served.
        let bomb = Bomb;
        let waits = threads.run(None, move || drop(bomb));
        let also_waits = threads.run(None, || 7);
        go.send(()).unwrap();
        busy.await.unwrap();
        assert!(matches!(payload.await, Err(pool::Error::Panicked(_))));
        assert!(matches!(waits.await, Err(pool::Error::Panicked(_))));
        assert_eq!(also_waits.await, Ok(7));
        let ((go, wait), (began, begun)) = (mpsc::channel::<()>(), oneshot::channel());
        let busy = threads.run(None, move || {
            began.send(()).unwrap();
            wait.recv().unwrap();
        });
        begun.await.unwrap();
        let bomb = Bomb;
        let one = threads.run(None, move || drop(bomb));
        let other = threads.run(None, || 7);
        drop(threads);
        go.send(()).unwrap();
        assert!(matches!(one.await, Err(pool::Error::Panicked(_))));
        assert!(matches!(other.await, Err(pool::Error::Refused(_))));
        assert_eq!(busy.await, Ok(()));
    });
}
