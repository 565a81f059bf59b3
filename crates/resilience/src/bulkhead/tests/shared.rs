//! The bulkhead for many threads: the same rule, and nothing lost when somebody goes away.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;
use futures::task::noop_waker_ref;
use steadfast_time::sim::{DEFAULT_START, SimClock, Simulation};

use super::*;
use crate::bulkhead::{Acquire, Admission, Bulkhead, Machine, Options, Permit, Reason, Refused};

fn poll(acquire: &mut Acquire) -> Poll<Result<Permit, Refused>> {
    Pin::new(acquire).poll(&mut Context::from_waker(noop_waker_ref()))
}

fn bulkhead(limit: u32, queue: u32, wait: u64) -> (SimClock, Arc<Bulkhead>) {
    let clock = SimClock::starting_at(DEFAULT_START);
    let options = Options { limit, queue, wait: ms(wait) };
    (clock.clone(), Arc::new(Bulkhead::new(&options, clock.clock()).unwrap()))
}

/// Random steps on the shared bulkhead and on the state machine: same answers, same figures.
#[test]
fn it_is_the_state_machine() {
    let (clock, shared) = bulkhead(3, 4, 9);
    let mut machine = Machine::new(shared.options()).unwrap();
    let mut rng = Rng::with_seed(2);
    let mut permits = Vec::new();
    let mut waiting = Vec::new();
    for step in 0..100_000 {
        clock.advance(ms(rng.u64(0..3)));
        let now = clock.clock().monotonic();
        // Whose time is over, in the order in which they came.
        let mut gone = Vec::new();
        machine.expire(now, |ticket, refused| gone.push((ticket, refused)));
        waiting.retain_mut(|(ticket, acquire)| match poll(acquire) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                assert_eq!((*ticket, outcome.unwrap_err()), gone.remove(0), "step {step}");
                false
            }
        });
        assert!(gone.is_empty(), "step {step}");
        match rng.u32(0..10) {
            0..5 => {
                let deadline = rng.bool().then(|| Deadline::within(now, ms(rng.u64(0..20))));
                let mut acquire = shared.acquire_owned(deadline);
                match (machine.acquire(now, deadline), poll(&mut acquire)) {
                    (Admission::Acquired, Poll::Ready(Ok(permit))) => permits.push(permit),
                    (Admission::Queued(ticket), Poll::Pending) => waiting.push((ticket, acquire)),
                    (Admission::Refused(one), Poll::Ready(Err(other))) => assert_eq!(one, other),
                    (one, other) => panic!("step {step}: {one:?}, but {other:?}"),
                }
            }
            5..9 if !permits.is_empty() => {
                drop(permits.swap_remove(rng.usize(..permits.len())));
                let next = machine.release(now, |_, _| unreachable!("all have been told"));
                waiting.retain_mut(|(ticket, acquire)| match poll(acquire) {
                    Poll::Pending => true,
                    Poll::Ready(outcome) => {
                        assert_eq!(Some(*ticket), next, "step {step}");
                        permits.push(outcome.unwrap());
                        false
                    }
                });
            }
            9 if !waiting.is_empty() => {
                let (ticket, acquire) = waiting.remove(rng.usize(..waiting.len()));
                drop(acquire);
                assert!(machine.cancel(ticket), "step {step}");
            }
            _ => {}
        }
        let figures = (machine.in_use(), machine.waiting());
        assert_eq!((shared.in_use(), shared.waiting()), figures, "step {step}");
    }
    drop((waiting, permits));
    assert_eq!((shared.in_use(), shared.waiting()), (0, 0));
    assert_eq!(clock.next_wake(), None, "a timer was left behind");
}

#[test]
fn who_went_away_after_it_was_given_a_place_gives_it_on() {
    let (_, shared) = bulkhead(1, 3, 50);
    let held = shared.try_acquire_owned().unwrap();
    let [mut first, mut second] = [(); 2].map(|()| shared.acquire_owned(None));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(held);
    // The first has been given the place, and has not looked yet.
    assert_eq!((shared.in_use(), shared.waiting()), (1, 1));
    drop(first);
    let Poll::Ready(Ok(permit)) = poll(&mut second) else { panic!("the place was lost") };
    drop(permit);
    assert_eq!((shared.in_use(), shared.waiting()), (0, 0));
}

#[test]
fn a_place_that_comes_too_late_goes_on_to_the_next() {
    let (clock, shared) = bulkhead(1, 3, 50);
    let held = shared.try_acquire_owned().unwrap();
    let (mut late, mut next) = (shared.acquire_owned(Some(by(5))), shared.acquire_owned(None));
    assert!(poll(&mut late).is_pending() && poll(&mut next).is_pending());
    drop(held);
    clock.advance(ms(5));
    let Poll::Ready(Err(refused)) = poll(&mut late) else { panic!("begun after its deadline") };
    assert_eq!((refused.reason, refused.waited), (Reason::Deadline, ms(5)));
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))), "the place was lost");
}

#[test]
fn nobody_barges_past_those_who_wait() {
    let (_, shared) = bulkhead(1, 3, 50);
    let held = shared.try_acquire_owned().unwrap();
    let mut waits = shared.acquire_owned(None);
    assert!(poll(&mut waits).is_pending());
    drop(held);
    let refused = shared.try_acquire().unwrap_err();
    assert_eq!(refused.to_string(), "1 of 1 at work, 0 of 3 waiting: no place free");
    assert!(matches!(poll(&mut waits), Poll::Ready(Ok(_))));
}

#[test]
fn closing_sends_away_who_waits_and_lets_who_works_finish() {
    let (_, shared) = bulkhead(1, 3, 50);
    let held = shared.try_acquire_owned().unwrap();
    let mut waits = shared.acquire_owned(None);
    assert!(poll(&mut waits).is_pending() && !shared.is_closed());
    shared.close();
    let Poll::Ready(Err(refused)) = poll(&mut waits) else { panic!("still waits") };
    assert_eq!((refused.reason, refused.in_use), (Reason::Closed, 1));
    drop(held);
    assert!(shared.is_closed() && shared.in_use() == 0);
    assert_eq!(shared.try_acquire().unwrap_err().reason, Reason::Closed);
    let Poll::Ready(Err(refused)) = poll(&mut shared.acquire_owned(None)) else { panic!() };
    assert_eq!((refused.reason, refused.in_use), (Reason::Closed, 0));
}

#[test]
fn work_whose_deadline_has_passed_gets_no_place_even_if_one_is_free() {
    let (clock, shared) = bulkhead(1, 3, 50);
    clock.advance(ms(5));
    let Poll::Ready(Err(refused)) = poll(&mut shared.acquire_owned(Some(by(5)))) else { panic!() };
    assert_eq!((refused.reason, refused.in_use), (Reason::Deadline, 0));
    assert_eq!(refused.to_string(), "0 of 1 at work, 0 of 3 waiting: the deadline has passed");
}

/// Threads take and give back places, wait, and go away while they wait.
#[test]
fn many_threads_never_exceed_the_limit_and_leave_nothing_behind() {
    use std::sync::atomic::{AtomicU32, Ordering};
    const LIMIT: u32 = 2;
    let (clock, shared) = bulkhead(LIMIT, 8, 1_000);
    let inside = AtomicU32::new(0);
    let entered = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (shared, inside, entered) = (&shared, &inside, &entered);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                for _ in 0..5_000 {
                    let mut acquire = shared.acquire(None);
                    let give_up = rng.u32(0..4) == 0;
                    let permit = if give_up {
                        let waker = noop_waker_ref();
                        Pin::new(&mut acquire).poll(&mut Context::from_waker(waker))
                    } else {
                        Poll::Ready(futures::executor::block_on(&mut acquire))
                    };
                    if let Poll::Ready(permit) = permit {
                        let permit = permit.unwrap();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                        entered.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!(entered.into_inner() >= 15_000);
    assert_eq!((shared.in_use(), shared.waiting()), (0, 0));
    assert_eq!(clock.next_wake(), None);
}

#[test]
fn waiting_takes_time_and_ends() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let options = Options { limit: 1, queue: 2, wait: ms(50) };
    let shared = Arc::new(Bulkhead::new(&options, clock.clone()).unwrap());
    sim.block_on(async move {
        let held = shared.acquire(None).await.unwrap();
        let refused = shared.acquire(None).await.unwrap_err();
        assert_eq!((refused.reason, clock.monotonic()), (Reason::WaitedTooLong, at(50)));
        let work = async {
            clock.sleep(ms(20)).await;
            drop(held);
        };
        let (permit, ()) = futures::join!(shared.acquire(Some(by(90))), work);
        assert_eq!((permit.is_ok(), clock.monotonic()), (true, at(70)));
    });
}
