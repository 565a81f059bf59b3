//! Two may believe that they hold a lease; the tokens put them in order.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use steadfast_coordination::tokens::Fault;
use steadfast_coordination::{
    Coordinator, Embedded, Error, FileTokens, Grant, Leases, MemoryTokens, Options,
};
use steadfast_fencing::{FencingToken, memory::Fenced};
use steadfast_time::Clock;
use steadfast_time::sim::{SimClock, Simulation};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn options() -> Options {
    Options { length: ms(300), round_trip: ms(20), ask_every: ms(50), ..Options::default() }
}

fn leases(clock: &Clock, coordinator: &Embedded) -> Leases {
    Leases::new(Arc::new(coordinator.clone()), clock.clone(), options()).unwrap()
}

#[test]
fn a_lease_that_is_kept_alive_lasts_and_one_that_is_dropped_is_free() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let coordinator = Embedded::open(MemoryTokens::new(), clock.clone()).unwrap();
    sim.block_on(async move {
        let leases = leases(&clock, &coordinator);
        let lease = leases.acquire("zone/1").await.unwrap();
        let other = leases.acquire("zone/1").await;
        assert!(matches!(other, Err(Error::Held { remaining, .. }) if remaining == ms(300)));
        assert!(leases.acquire("zone/2").await.is_ok());
        let kept = clock.timeout(Duration::from_secs(60), lease.keep_alive()).await;
        assert!(kept.is_err(), "kept for a minute: {kept:?}");
        assert_eq!(lease.check(), Ok(FencingToken::FIRST));
        drop(lease);
        let next = leases.acquire("zone/1").await.unwrap();
        assert!(next.token() > FencingToken::FIRST);
    });
}

#[test]
fn a_lease_that_is_not_renewed_is_lost_before_the_table_ends_it() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let coordinator = Embedded::open(MemoryTokens::new(), clock.clone()).unwrap();
    sim.block_on(async move {
        let leases = leases(&clock, &coordinator);
        let lease = leases.acquire("zone/1").await.unwrap();
        let lost = lease.lost().await;
        assert_eq!((lost.token, clock.monotonic()), (lease.token(), lease.deadline()));
        let still = leases.acquire("zone/1").await;
        assert!(matches!(still, Err(Error::Held { remaining, .. }) if remaining > ms(20)));
        // Lost is lost, although the coordinator would still renew it.
        assert_eq!(lease.keep_alive().await, lost);
        assert!(lease.check().is_err());
    });
}

#[test]
fn whoever_waits_gets_the_lease_when_its_holder_stops() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let coordinator = Embedded::open(MemoryTokens::new(), clock.clone()).unwrap();
    sim.block_on(async move {
        let leases = leases(&clock, &coordinator);
        let silent = leases.acquire("zone/1").await.unwrap();
        let next = leases.wait("zone/1").await.unwrap();
        assert!(next.token() > silent.token());
        assert!(clock.monotonic().since_start() <= ms(310));
        // The old holder's late release does not take the new lease away.
        drop(silent);
        assert!(leases.acquire("zone/1").await.is_err());
        let error = leases.wait(&"z".repeat(500)).await.unwrap_err();
        assert!(matches!(error, Error::Name { .. }));
    });
}

/// A coordinator across a network whose answers can be held up.
struct Far {
    inner: Embedded,
    clock: Clock,
    delay: std::sync::Mutex<Duration>,
}

impl Coordinator for Far {
    fn grant<'a>(
        &'a self,
        resource: &'a str,
        length: Duration,
    ) -> BoxFuture<'a, Result<Grant, Error>> {
        async move {
            let delay = *self.delay.lock().unwrap();
            let granted = self.inner.grant(resource, length).await;
            self.clock.sleep(delay).await;
            granted
        }
        .boxed()
    }

    fn renew<'a>(
        &'a self,
        resource: &'a str,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let delay = *self.delay.lock().unwrap();
            let renewed = self.inner.renew(resource, token).await;
            self.clock.sleep(delay).await;
            renewed
        }
        .boxed()
    }

    fn release(&self, resource: &str, token: FencingToken) {
        self.inner.release(resource, token);
    }
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let inner = Embedded::open(MemoryTokens::new(), clock.clone()).unwrap();
    let delay = std::sync::Mutex::new(ms(400));
    let far = Arc::new(Far { inner, clock: clock.clone(), delay });
    sim.block_on(async move {
        let leases = Leases::new(far.clone(), clock.clone(), options()).unwrap();
        let late = leases.acquire("zone/1").await;
        assert!(matches!(late, Err(Error::Over { .. })), "{late:?}");
        *far.delay.lock().unwrap() = ms(0);
        let lease = leases.acquire("zone/1").await.unwrap();
        // Renewals are carried out, but nobody hears of it: the holder stops all the same.
        *far.delay.lock().unwrap() = Duration::from_secs(10);
        let lost = lease.keep_alive().await;
        assert_eq!(lost.token, lease.token());
        assert!(clock.monotonic() <= lease.deadline());
    });
}

/// Workers that take a lease, sometimes stall in the middle of a step, and write.
/// Returns (moments at which two believed, stale writes that got in, tokens seen).
fn stalls(seed: u64, fenced: bool) -> (u64, u64, usize) {
    let mut sim = Simulation::new(seed);
    let clock = sim.clock();
    let coordinator = Embedded::open(MemoryTokens::new(), clock.clone()).unwrap();
    let storage: Rc<Fenced<Vec<FencingToken>>> = Rc::new(Fenced::new(Vec::new()));
    let plain: Rc<RefCell<Vec<FencingToken>>> = Rc::default();
    let (believers, overlaps) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0_u64)));
    for _ in 0..3 {
        let (leases, clock) = (leases(&clock, &coordinator), clock.clone());
        let (storage, plain) = (Rc::clone(&storage), Rc::clone(&plain));
        let (believers, overlaps) = (Rc::clone(&believers), Rc::clone(&overlaps));
        let mut rng: Rng = sim.fork_rng();
        sim.spawn(async move {
            loop {
                let lease = leases.wait("zone/7").await.unwrap();
                let work = async {
                    for _ in 0..rng.u64(1..20) {
                        if lease.check().is_err() {
                            return;
                        }
                        believers.set(believers.get() + 1);
                        // The process stalls here, between the check and the write, now and
                        // then for longer than the lease.
                        let long = rng.f64() < 0.1;
                        clock.sleep(ms(if long { rng.u64(300..2_000) } else { 5 })).await;
                        overlaps.set(overlaps.get() + u64::from(believers.get() > 1));
                        if fenced {
                            let token = lease.token();
                            let _ = storage.write(token, |log| log.push(token));
                        } else {
                            plain.borrow_mut().push(lease.token());
                        }
                        believers.set(believers.get() - 1);
                    }
                };
                // A stalled process does not renew either: the work and the renewal are one task
                // here, but the renewal is only polled while the work is awake.
                let stalled = rng_stalls(seed);
                if stalled {
                    work.await;
                } else {
                    let keep = std::pin::pin!(lease.keep_alive());
                    if let Either::Right((_, work)) = select(std::pin::pin!(work), keep).await {
                        // Lost: the step under way still finishes, as on a real machine.
                        work.await;
                    }
                }
            }
        });
    }
    sim.run_for(Duration::from_secs(120));
    let log = if fenced { storage.read(Clone::clone) } else { plain.borrow().clone() };
    let stale = log.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    let mut tokens = log;
    tokens.sort();
    tokens.dedup();
    (overlaps.get(), stale, tokens.len())
}

/// In every other run the workers renew while they work.
fn rng_stalls(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

#[test]
fn two_may_believe_but_no_stale_write_gets_in() {
    let mut overlaps = 0;
    for seed in 0..40 {
        let (believed, stale, tokens) = stalls(seed, true);
        assert_eq!(stale, 0, "seed {seed}");
        assert!(tokens > 3, "seed {seed}: {tokens} tokens");
        overlaps += believed;
    }
    assert!(overlaps > 50, "two believed at once only {overlaps} times");
}

#[test]
fn without_the_fence_stale_writes_get_in() {
    let stale: u64 = (0..40).map(|seed| stalls(seed, false).1).sum();
    assert!(stale > 20, "only {stale} stale writes: the runs above prove nothing");
}

#[test]
fn tokens_rise_across_crashes_at_any_point_of_a_save() {
    for fault in [None, Some(Fault::BeforeDurable), Some(Fault::AfterDurable)] {
        let (disk, clock) = (MemoryTokens::new(), SimClock::starting_at(Default::default()));
        let mut highest = None;
        for _ in 0..5 {
            let mut sim = Simulation::with_clock(clock.clone(), 1);
            let Ok(coordinator) = Embedded::open(disk.clone(), sim.clock()) else {
                // The machine stopped while it started; the next start goes on.
                continue;
            };
            let token = sim
                .block_on(async move { coordinator.grant("zone/1", ms(100)).await.unwrap().token });
            assert!(highest < Some(token), "{highest:?} then {token:?}");
            highest = Some(token);
            if let Some(fault) = fault {
                disk.fail_next(fault);
            }
        }
        assert!(highest.is_some());
    }
}

#[test]
fn a_store_that_fails_grants_nothing_it_cannot_keep() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let disk = MemoryTokens::new();
    let coordinator = Embedded::open(disk.clone(), clock.clone()).unwrap();
    let granted = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&granted);
    let store = disk.clone();
    sim.block_on(async move {
        store.fail_next(Fault::BeforeDurable);
        loop {
            match coordinator.grant("zone/1", ms(100)).await {
                Ok(grant) => {
                    log.borrow_mut().push(grant.token);
                    coordinator.release("zone/1", grant.token);
                }
                Err(Error::Unavailable(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        // It does not try its luck a second time.
        let again = coordinator.grant("zone/1", ms(100)).await;
        assert!(matches!(again, Err(Error::Unavailable(_))));
    });
    let highest = granted.borrow().iter().max().copied().unwrap();
    assert_eq!(highest.get(), disk.durable());
    let next = Embedded::open(disk, clock).unwrap();
    let token = sim.block_on(async move { next.grant("zone/1", ms(100)).await.unwrap().token });
    assert!(token > highest);
}

#[test]
fn a_damaged_file_of_tokens_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let clock = Simulation::new(1).clock();
    drop(Embedded::open(FileTokens::new(&path), clock.clone()).unwrap());
    drop(Embedded::open(FileTokens::new(&path), clock.clone()).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("20000", "10000")).unwrap();
    let error = Embedded::open(FileTokens::new(&path), clock).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
