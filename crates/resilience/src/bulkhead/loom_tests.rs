//! Every interleaving of places that are taken, waited for, given on and given up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::task::noop_waker_ref;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use steadfast_time::sim::{DEFAULT_START, SimClock};

use super::{Acquire, Bulkhead, Options, Permit, Reason, Refused};

/// Every interleaving with at most this many preemptions; three threads have too many others.
/// Nearly all mistakes of this kind need one or two (Musuvathi and Qadeer, PLDI 2007).
fn three_threads(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(model);
}

fn bulkhead(limit: u32, queue: u32) -> Arc<Bulkhead> {
    let clock = SimClock::starting_at(DEFAULT_START).clock();
    let options = Options { limit, queue, wait: Duration::from_millis(50) };
    Arc::new(Bulkhead::new(&options, clock).unwrap())
}

/// Wakes a thread of the model.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A wake-up that is lost is a deadlock, which the model reports.
fn wait_for(mut acquire: Acquire) -> Result<Permit, Refused> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

/// Looks once, and goes away if it has to wait.
fn look(mut acquire: Acquire) -> Option<Permit> {
    match Pin::new(&mut acquire).poll(&mut Context::from_waker(noop_waker_ref())) {
        Poll::Ready(outcome) => outcome.ok(),
        Poll::Pending => None,
    }
}

fn assert_idle(bulkhead: &Bulkhead) {
    assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
    assert!(bulkhead.try_acquire().is_ok());
}

/// Goes in, and finds itself alone there.
fn work(inside: &AtomicU32, permit: Permit) {
    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two at once");
    inside.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}

#[test]
fn whoever_waits_is_woken_and_alone() {
    loom::model(|| {
        let (bulkhead, inside) = (bulkhead(1, 2), loom::sync::Arc::new(AtomicU32::new(0)));
        let (other, there) = (Arc::clone(&bulkhead), inside.clone());
        let thread = thread::spawn(move || {
            work(&there, wait_for(other.acquire_owned(None)).unwrap());
        });
        work(&inside, wait_for(bulkhead.acquire_owned(None)).unwrap());
        thread.join().unwrap();
        assert_idle(&bulkhead);
    });
}

#[test]
fn nobody_barges_in_while_a_place_changes_hands() {
    three_threads(|| {
        let (bulkhead, inside) = (bulkhead(1, 1), loom::sync::Arc::new(AtomicU32::new(0)));
        let held = bulkhead.try_acquire_owned().unwrap();
        let (other, there) = (Arc::clone(&bulkhead), inside.clone());
        let waits = thread::spawn(move || {
            work(&there, wait_for(other.acquire_owned(None)).unwrap());
        });
        let (other, there) = (Arc::clone(&bulkhead), inside.clone());
        let barges = thread::spawn(move || {
            if let Ok(permit) = other.try_acquire_owned() {
                work(&there, permit);
            }
        });
        work(&inside, held);
        waits.join().unwrap();
        barges.join().unwrap();
        assert_idle(&bulkhead);
    });
}

#[test]
fn a_place_given_to_somebody_who_goes_away_is_not_lost() {
    three_threads(|| {
        let bulkhead = bulkhead(1, 2);
        let held = bulkhead.try_acquire_owned().unwrap();
        let other = Arc::clone(&bulkhead);
        let leaves = thread::spawn(move || drop(look(other.acquire_owned(None))));
        let other = Arc::clone(&bulkhead);
        let waits = thread::spawn(move || drop(wait_for(other.acquire_owned(None)).unwrap()));
        drop(held);
        leaves.join().unwrap();
        waits.join().unwrap();
        assert_idle(&bulkhead);
    });
}

#[test]
fn two_places_given_back_at_once_go_to_two_who_wait() {
    three_threads(|| {
        let bulkhead = bulkhead(2, 2);
        let (one, two) = (bulkhead.try_acquire_owned(), bulkhead.try_acquire_owned());
        let other = Arc::clone(&bulkhead);
        let waits = thread::spawn(move || wait_for(other.acquire_owned(None)).unwrap());
        let gives = thread::spawn(move || drop(one));
        drop(two);
        // Neither of the places is lost on the way: this one is free whatever the other did.
        let mine = wait_for(bulkhead.acquire_owned(None)).unwrap();
        gives.join().unwrap();
        let theirs = waits.join().unwrap();
        assert_eq!(bulkhead.in_use(), 2);
        drop((mine, theirs));
        assert_idle(&bulkhead);
    });
}

#[test]
fn closing_lets_nobody_in_and_leaves_nobody_waiting() {
    three_threads(|| {
        let bulkhead = bulkhead(1, 1);
        let held = bulkhead.try_acquire_owned().unwrap();
        let other = Arc::clone(&bulkhead);
        let waits = thread::spawn(move || match wait_for(other.acquire_owned(None)) {
            Ok(permit) => drop(permit),
            Err(refused) => assert_eq!(refused.reason, Reason::Closed),
        });
        let other = Arc::clone(&bulkhead);
        let closes = thread::spawn(move || other.close());
        drop(held);
        closes.join().unwrap();
        waits.join().unwrap();
        assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
        assert_eq!(bulkhead.try_acquire().unwrap_err().reason, Reason::Closed);
    });
}

#[test]
fn a_limit_that_rises_while_somebody_comes_lets_it_in() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 1);
        let held = bulkhead.try_acquire_owned().unwrap();
        let other = Arc::clone(&bulkhead);
        let waits = thread::spawn(move || wait_for(other.acquire_owned(None)).unwrap());
        bulkhead.places().set_limit(|| 2);
        let permit = waits.join().unwrap();
        assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (2, 0));
        drop((held, permit));
        assert_idle(&bulkhead);
    });
}

/// The twin: looks whether a place is free, and then takes it.
#[test]
#[should_panic(expected = "two at once")]
fn looking_and_then_taking_is_caught() {
    loom::model(|| {
        let (taken, inside) = (loom::sync::Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
        let inside = loom::sync::Arc::new(inside);
        let enter = |taken: &AtomicU32, inside: &AtomicU32| {
            if taken.load(Ordering::Acquire) == 0 {
                taken.store(1, Ordering::Release);
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two at once");
                inside.fetch_sub(1, Ordering::Relaxed);
                taken.store(0, Ordering::Release);
            }
        };
        let (also_taken, there) = (taken.clone(), inside.clone());
        let thread = thread::spawn(move || enter(&also_taken, &there));
        enter(&taken, &inside);
        let _ = thread.join();
    });
}
