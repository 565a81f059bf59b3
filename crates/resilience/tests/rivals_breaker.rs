//! The vectors of `tests/breaker.rs`, run against other breakers.
//!
//! What is asserted is what they are seen to do, so that this test says so when one of them is
//! mended. They read the system's clock, so their waits are real, and short. The rows of a table:
//!
//! ```sh
//! cargo test -p steadfast-resilience --all-features --test rivals_breaker -- --nocapture
//! ```
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use failsafe::{CircuitBreaker as _, backoff, failure_policy};
use futures::FutureExt;
use recloser::Recloser;
use steadfast_resilience::Share;
use steadfast_resilience::breaker::{Breaker, Options, State, Window};
use steadfast_time::Monotonic;
use tower::{Layer, Service, service_fn};
use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier,
};

/// How long all of them stay open here: longer than a busy machine makes a test wait between two
/// calls.
const OPEN_FOR: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "the rivals take no clock")]
fn wait() {
    std::thread::sleep(OPEN_FOR + OPEN_FOR / 4);
}

/// What all of them can be asked: make a call that ends like this. `None`: refused.
trait Rival {
    fn call(&mut self, failed: bool) -> Option<()>;

    /// After how many failures in a row it refuses, if it does within as many.
    fn opens_after(&mut self, most: u32) -> Option<u32> {
        (0..most).find(|_| self.call(true).is_none())
    }

    fn succeed(&mut self, times: u32) {
        for _ in 0..times {
            assert!(self.call(false).is_some());
        }
    }
}

struct Ours {
    breaker: Breaker,
    now: Cell<u64>,
}

impl Ours {
    fn new(window: u32, minimum_calls: u32) -> Self {
        let window = Window::Count(window);
        let options = Options { window, minimum_calls, open_for: OPEN_FOR, ..Options::default() };
        Self { breaker: Breaker::new(options).unwrap(), now: Cell::new(0) }
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(self.now.get()))
    }
}

impl Rival for Ours {
    fn call(&mut self, failed: bool) -> Option<()> {
        let grant = self.breaker.acquire(self.now()).0.ok()?;
        self.breaker.record(self.now(), grant, failed);
        Some(())
    }
}

impl Rival for Recloser {
    fn call(&mut self, failed: bool) -> Option<()> {
        let outcome = Recloser::call(self, || if failed { Err(()) } else { Ok(()) });
        (!matches!(outcome, Err(recloser::Error::Rejected))).then_some(())
    }
}

fn recloser(window: usize) -> Recloser {
    Recloser::custom().closed_len(window).error_rate(0.5).open_wait(OPEN_FOR).build()
}

type Work = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

/// A call that the service under the breaker makes: it ends in some way, or never.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Well,
    Badly,
    Never,
}

fn work(ends: Ends) -> Work {
    match ends {
        Ends::Well => ready(Ok(())).boxed(),
        Ends::Badly => ready(Err(())).boxed(),
        Ends::Never => pending().boxed(),
    }
}

/// Not part of tower-resilience: only to name its service.
trait Reused: Send {
    fn start(&mut self, ends: Ends) -> Pin<Box<dyn Future<Output = bool> + Send>>;
}

impl<S> Reused for S
where
    S: Service<Ends, Response = (), Error = CircuitBreakerError<()>> + Send,
    S::Future: Send + 'static,
{
    fn start(&mut self, ends: Ends) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let ready = std::future::poll_fn(|context| self.poll_ready(context)).now_or_never();
        assert!(ready.is_some_and(|ready| ready.is_ok()));
        let answer = Service::call(self, ends);
        answer.map(|answer| !matches!(answer, Err(CircuitBreakerError::OpenCircuit))).boxed()
    }
}

struct TowerResilience(Box<dyn Reused>);

impl TowerResilience {
    fn new(builder: CircuitBreakerConfigBuilder<DefaultClassifier>) -> Self {
        let layer = builder.wait_duration_in_open(OPEN_FOR).build().unwrap();
        Self(Box::new(layer.layer(service_fn(work))))
    }

    fn count(window: usize, minimum: usize) -> CircuitBreakerConfigBuilder<DefaultClassifier> {
        CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(window)
            .minimum_number_of_calls(minimum)
    }
}

impl Rival for TowerResilience {
    fn call(&mut self, failed: bool) -> Option<()> {
        let ends = if failed { Ends::Badly } else { Ends::Well };
        self.0.start(ends).now_or_never().unwrap().then_some(())
    }
}

fn row(what: &str, ours: &str, tower_resilience: &str, recloser: &str, failsafe: &str) {
    println!(
        "| {what:<48} | {ours:<13} | {tower_resilience:<16} | {recloser:<14} | {failsafe:<14} |"
    );
}

fn after(failures: Option<u32>) -> String {
    failures.map_or("not at all".to_owned(), |failures| format!("after {failures}"))
}

/// Size 100, 50 %: after 10,000 successes 50 failures in a row must open it.
#[test]
fn a_window_that_slides() {
    let (mut ours, mut theirs, mut ring) =
        (Ours::new(100, 20), TowerResilience::new(TowerResilience::count(100, 20)), recloser(100));
    let policy = failure_policy::consecutive_failures(50, backoff::constant(OPEN_FOR));
    let consecutive = failsafe::Config::new().failure_policy(policy).build();
    ours.succeed(10_000);
    theirs.succeed(10_000);
    ring.succeed(10_000);
    let failsafe = (0..20_000).find(|_| {
        let outcome = consecutive.call(|| Err::<(), ()>(()));
        matches!(outcome, Err(failsafe::Error::Rejected))
    });
    let found = (ours.opens_after(20_000), theirs.opens_after(20_000), ring.opens_after(20_000));
    // tower-resilience counts from the last change of state on: its window does not slide.
    assert_eq!(found, (Some(50), Some(10_000), Some(50)));
    // failsafe has no window over calls; it was set to 50 in a row.
    assert_eq!(failsafe, Some(50));
    let (a, b, c) = (after(found.0), after(found.1), after(found.2));
    row("10,000 successes, then failures: opens", &a, &b, &c, "(50 in a row)");
}

/// Window 100, minimum 20, only failures: mcp-proxy issue 220 is about this.
#[test]
fn the_minimum_of_calls() {
    let found = (
        Ours::new(100, 20).opens_after(1_000),
        TowerResilience::new(TowerResilience::count(100, 20)).opens_after(1_000),
        recloser(100).opens_after(1_000),
    );
    // tower-resilience waits for a full window whatever the minimum; recloser has no minimum, and
    // judges first when the window has been full before.
    assert_eq!(found, (Some(20), Some(100), Some(101)));
    let (a, b, c) = (after(found.0), after(found.1), after(found.2));
    row("minimum 20 of a window of 100, all fail: opens", &a, &b, &c, "no minimum");
}

/// Resilience4j: a time window of 20 s, at least 5 calls: S S S F F stays closed, the next F opens.
#[test]
fn a_time_window() {
    let window = Window::Time(Duration::from_secs(20));
    let options = Options { window, minimum_calls: 5, ..Options::default() };
    let mut ours = Ours { breaker: Breaker::new(options).unwrap(), now: Cell::new(0) };
    let builder = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_type(tower_resilience_circuitbreaker::SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_secs(20))
        .minimum_number_of_calls(5);
    let mut theirs = TowerResilience::new(builder);
    ours.succeed(3);
    theirs.succeed(3);
    let found = (ours.opens_after(10), theirs.opens_after(10));
    assert_eq!(found, (Some(3), Some(3)));
    row("time window, S S S F F F: opens", &after(found.0), &after(found.1), "no time window", "—");
}

/// How many of ten concurrent calls get through half-open, where the permitted number is 4.
#[test]
fn half_open_lets_the_permitted_number_through() {
    let options = Options { probes: 4, minimum_calls: 1, open_for: OPEN_FOR, ..Options::default() };
    let ours = Breaker::new(options).unwrap();
    let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
    let grant = ours.acquire(at(0)).0.unwrap();
    assert!(ours.record(at(0), grant, true).is_some());
    let ours_let = (0..10).filter(|_| ours.acquire(at(100)).0.is_ok()).count();

    let builder = TowerResilience::count(1, 1).permitted_calls_in_half_open(4);
    let mut theirs = TowerResilience::new(builder);
    assert!(theirs.call(true).is_some());
    wait();
    let mut under_way = Vec::new();
    let theirs_let = (0..10).filter(|_| {
        let mut call = theirs.0.start(Ends::Never);
        let refused = (&mut call).now_or_never().is_some();
        under_way.push(call);
        !refused
    });
    let theirs_let = theirs_let.count();

    let ring = Recloser::custom().closed_len(1).half_open_len(4).open_wait(OPEN_FOR).build();
    assert!(ring.call(|| Err::<(), ()>(())).is_err());
    assert!(ring.call(|| Err::<(), ()>(())).is_err());
    wait();
    let ring_let = nested(&ring, 10);

    let policy = failure_policy::consecutive_failures(1, backoff::constant(OPEN_FOR));
    let consecutive = failsafe::Config::new().failure_policy(policy).build();
    assert!(consecutive.call(|| Err::<(), ()>(())).is_err());
    wait();
    let failsafe_let = (0..10).filter(|_| consecutive.is_call_permitted()).count();

    // recloser and failsafe let everything through while they are half-open.
    assert_eq!((ours_let, theirs_let, ring_let, failsafe_let), (4, 4, 10, 10));
    let [a, b, c, d] = [ours_let, theirs_let, ring_let, failsafe_let].map(|let_| let_.to_string());
    row("half-open, 4 permitted, 10 at once: let through", &a, &b, &c, &d);
}

/// So many calls of which each begins before the one around it has ended.
fn nested(ring: &Recloser, calls: usize) -> usize {
    if calls == 0 {
        return 0;
    }
    let inside = Cell::new(0);
    let outcome = ring.call(|| {
        inside.set(nested(ring, calls - 1));
        Ok::<(), ()>(())
    });
    inside.get() + usize::from(outcome.is_ok())
}

/// A probe that is cancelled gives its place back.
#[test]
fn a_cancelled_probe() {
    let options = Options { probes: 1, minimum_calls: 1, open_for: OPEN_FOR, ..Options::default() };
    let ours = Breaker::new(options).unwrap();
    let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
    assert!(ours.permit(at(0)).0.unwrap().failure(at(0)).is_some());
    let (probe, _) = ours.permit(at(100));
    assert!(ours.permit(at(100)).0.is_err());
    drop(probe.unwrap());
    assert!(ours.permit(at(100)).0.is_ok());

    let mut theirs =
        TowerResilience::new(TowerResilience::count(1, 1).permitted_calls_in_half_open(1));
    assert!(theirs.call(true).is_some());
    wait();
    let mut probe = theirs.0.start(Ends::Never);
    assert!((&mut probe).now_or_never().is_none());
    assert_eq!(theirs.call(false), None);
    drop(probe);
    assert_eq!(theirs.call(false), Some(()));
    row("a cancelled probe gives its place back", "yes", "yes", "no places", "no places");
}

/// A probe that never answers, and is not dropped: half-open for ever?
#[test]
fn a_probe_that_never_answers() {
    let options = Options {
        probes: 1,
        minimum_calls: 1,
        open_for: OPEN_FOR,
        probe_timeout: OPEN_FOR,
        ..Options::default()
    };
    let ours = Breaker::new(options).unwrap();
    let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
    let grant = ours.acquire(at(0)).0.unwrap();
    assert!(ours.record(at(0), grant, true).is_some());
    let _lost = ours.acquire(at(100)).0.unwrap();
    assert!(ours.acquire(at(199)).0.is_err());
    // It counts as failed; after another wait the next probe goes out.
    assert_eq!(ours.acquire(at(200)).1.map(|told| told.to), Some(State::Open));
    assert!(ours.acquire(at(300)).0.is_ok_and(|grant| grant.is_probe()));

    let mut theirs =
        TowerResilience::new(TowerResilience::count(1, 1).permitted_calls_in_half_open(1));
    assert!(theirs.call(true).is_some());
    wait();
    let mut lost = theirs.0.start(Ends::Never);
    assert!((&mut lost).now_or_never().is_none());
    for _ in 0..2 {
        wait();
        assert_eq!(theirs.call(false), None);
    }
    row(
        "a probe that never answers: half-open for",
        "probe_timeout",
        "ever",
        "no places",
        "no places",
    );
}

/// Let through while closed, answered when half-open: does it count as a probe?
#[test]
fn a_late_success() {
    let options = Options { probes: 1, minimum_calls: 1, open_for: OPEN_FOR, ..Options::default() };
    let ours = Breaker::new(options).unwrap();
    let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
    let (late, bad) = (ours.acquire(at(0)).0.unwrap(), ours.acquire(at(0)).0.unwrap());
    assert!(ours.record(at(0), bad, true).is_some());
    let probe = ours.acquire(at(100)).0.unwrap();
    assert_eq!(ours.record(at(100), late, false), None);
    assert_eq!(ours.state(), State::HalfOpen);
    ours.cancel(probe);

    let (send, answer) = futures::channel::oneshot::channel::<()>();
    let answer = Arc::new(Mutex::new(Some(answer)));
    let layer = TowerResilience::count(1, 1).permitted_calls_in_half_open(1);
    let layer = layer.wait_duration_in_open(OPEN_FOR).build().unwrap();
    let mut theirs = layer.layer(service_fn(move |ends| -> Work {
        match ends {
            Ends::Never => match answer.lock().unwrap().take() {
                Some(answer) => answer.map(|_| Ok(())).boxed(),
                None => pending().boxed(),
            },
            other => work(other),
        }
    }));
    let mut late = Box::pin(theirs.call(Ends::Never));
    assert!((&mut late).now_or_never().is_none());
    assert!(theirs.call(Ends::Badly).now_or_never().unwrap().is_err());
    wait();
    let mut probe = Box::pin(theirs.call(Ends::Never));
    assert!((&mut probe).now_or_never().is_none());
    send.send(()).unwrap();
    assert!(late.now_or_never().unwrap().is_ok());
    // The probe is still out, and yet it has closed.
    assert_eq!(theirs.state_sync(), tower_resilience_circuitbreaker::CircuitState::Closed);
    row("a success from before counts as a probe", "no", "yes: it closes", "yes", "yes");
}

/// recloser and failsafe keep no account of who was let through when.
#[test]
fn a_late_success_in_the_others() {
    let ring = Recloser::custom().closed_len(1).half_open_len(1).open_wait(OPEN_FOR).build();
    let outcome = ring.call(|| {
        for _ in 0..2 {
            assert!(ring.call(|| Err::<(), ()>(())).is_err());
        }
        wait();
        // Half-open: the first outcome fills the ring of one, the second decides.
        assert!(ring.call(|| Ok::<(), ()>(())).is_ok());
        Ok::<(), ()>(())
    });
    assert!(outcome.is_ok());
    // Closed by an answer from before: were it half-open still, one failure would open it.
    assert!(ring.call(|| Err::<(), ()>(())).is_err());
    assert!(ring.call(|| Ok::<(), ()>(())).is_ok());

    let policy = failure_policy::consecutive_failures(1, backoff::constant(OPEN_FOR));
    let consecutive = failsafe::Config::new().failure_policy(policy).build();
    let outcome = consecutive.call(|| {
        assert!(consecutive.call(|| Err::<(), ()>(())).is_err());
        wait();
        assert!(consecutive.is_call_permitted());
        Ok::<(), ()>(())
    });
    assert!(outcome.is_ok());
    assert!(format!("{consecutive:?}").contains("closed"), "{consecutive:?}");
}

/// Two slow calls of five are 40 %.
#[test]
fn slow_calls() {
    let options = Options {
        window: Window::Count(5),
        minimum_calls: 5,
        slow_call: Some(Duration::from_millis(1)),
        slow_call_rate: Share::percent(40),
        ..Options::default()
    };
    let ours = Breaker::new(options).unwrap();
    for (start, took) in [(0, 0), (10, 5), (20, 0), (30, 5), (40, 0)] {
        let at = |millis| Monotonic::from_start(Duration::from_millis(millis));
        let grant = ours.acquire(at(start)).0.unwrap();
        ours.record(at(start + took), grant, false);
    }
    assert_eq!(ours.state(), State::Open);

    let builder = TowerResilience::count(5, 5)
        .slow_call_duration_threshold(Duration::from_millis(1))
        .slow_call_rate_threshold(0.4);
    let layer = builder.wait_duration_in_open(OPEN_FOR).build().unwrap();
    let mut theirs = layer.layer(service_fn(|slow: bool| {
        if slow {
            wait();
        }
        ready(Ok::<(), ()>(()))
    }));
    for slow in [false, true, false, true, false] {
        assert!(theirs.call(slow).now_or_never().unwrap().is_ok());
    }
    assert!(theirs.is_open());
    row("2 slow of 5 at 40 %: opens", "yes", "yes", "does not time", "does not time");
}
