//! The pool with real threads: what runs, what is refused, what happens to those who go away.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use steadfast_time::Monotonic;
use steadfast_time::sim::{DEFAULT_START, SimClock};

use super::*;
use crate::bulkhead::Reason;

fn pool(threads: u32, queue: u32) -> (SimClock, Pool) {
    let clock = SimClock::starting_at(DEFAULT_START);
    let options = Options { threads, queue };
    (clock.clone(), Pool::new("test", &options, clock.clock()).unwrap())
}

fn by(millis: u64) -> Option<Deadline> {
    Some(Deadline::at(Monotonic::from_start(Duration::from_millis(millis))))
}

/// Occupies one thread until the barrier is met once more.
fn occupy(pool: &Pool) -> (Arc<Barrier>, impl Future<Output = Result<u32, Error>> + use<>) {
    let barrier = Arc::new(Barrier::new(2));
    let there = Arc::clone(&barrier);
    let work = pool.run(None, move || {
        there.wait();
        there.wait();
        7
    });
    barrier.wait();
    (barrier, work)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Reason {
    match outcome {
        Err(Error::Refused(refused)) => refused.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_try_again() {
    let (clock, pool) = pool(1, 2);
    let (barrier, at_work) = occupy(&pool);
    clock.advance(Duration::from_secs(2));
    let waiting = [(); 2].map(|()| pool.run(None, || ()));
    assert_eq!((pool.busy(), pool.waiting()), (1, 2));
    let Err(Error::Refused(full)) = pool.run(None, || ()).now_or_never().unwrap() else { panic!() };
    assert_eq!(full.to_string(), "1 of 1 at work, 2 of 2 waiting: no place to wait");
    barrier.wait();
    assert_eq!(block_on(at_work), Ok(7));
    for job in waiting {
        assert_eq!(block_on(job), Ok(()));
    }
    // One job took two seconds, two took nothing: 2 s · (7/8)².
    while pool.busy() > 0 {
        std::thread::yield_now();
    }
    let (barrier, at_work) = occupy(&pool);
    let waiting = [(); 2].map(|()| pool.run(None, || ()));
    let Err(Error::Refused(full)) = pool.run(None, || ()).now_or_never().unwrap() else { panic!() };
    assert_eq!(full.retry_after, Duration::from_secs(2) * 49 / 64 * 3);
    barrier.wait();
    let _ = (block_on(at_work), waiting.map(block_on));
}

#[test]
fn a_job_is_not_begun_when_its_deadline_has_passed_and_its_caller_hears_at_once() {
    let (clock, pool) = pool(1, 4);
    let ran = Arc::new(AtomicU32::new(0));
    let count = |ran: &Arc<AtomicU32>| {
        let ran = Arc::clone(ran);
        move || ran.fetch_add(1, Ordering::SeqCst)
    };
    let (barrier, at_work) = occupy(&pool);
    // One caller looks when its deadline passes, one only when the job's turn has come.
    let mut looks = Box::pin(pool.run(by(10), count(&ran)));
    let sleeps = pool.run(by(10), count(&ran));
    assert!((&mut looks).now_or_never().is_none());
    clock.advance(Duration::from_millis(10));
    assert_eq!(refused((&mut looks).now_or_never().unwrap()), Reason::Deadline);
    assert_eq!(pool.waiting(), 1, "a place in the queue was kept for nobody");
    assert_eq!(refused(pool.run(by(10), count(&ran)).now_or_never().unwrap()), Reason::Deadline);
    barrier.wait();
    assert_eq!(block_on(at_work), Ok(7));
    assert_eq!(refused(block_on(sleeps)), Reason::Deadline);
    // One that has begun is waited for.
    let (barrier, at_work) = occupy(&pool);
    clock.advance(Duration::from_secs(1));
    barrier.wait();
    assert_eq!(block_on(at_work), Ok(7));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_job_is_not_begun_when_its_caller_has_gone() {
    let (_, pool) = pool(1, 1);
    let ran = Arc::new(AtomicU32::new(0));
    let (barrier, at_work) = occupy(&pool);
    let count = Arc::clone(&ran);
    drop(pool.run(None, move || count.fetch_add(1, Ordering::SeqCst)));
    assert_eq!(Arc::strong_count(&ran), 1, "what the job held was kept");
    let next = pool.run(None, || 8);
    barrier.wait();
    assert_eq!((block_on(at_work), block_on(next)), (Ok(7), Ok(8)));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panic_is_an_error_for_its_caller_and_the_thread_goes_on() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }
    let (_, pool) = pool(1, 4);
    let failed = block_on(pool.run(None, || panic!("no {}", "luck")));
    assert_eq!(failed, Err::<(), _>(Error::Panicked("no luck".to_owned())));
    // Also when nobody waits for the result, and dropping it panics.
    let barrier = Arc::new(Barrier::new(2));
    let there = Arc::clone(&barrier);
    let job = pool.run(None, move || {
        there.wait();
        there.wait();
        Bad
    });
    barrier.wait();
    drop(job);
    barrier.wait();
    assert_eq!(block_on(pool.run(None, || 1)), Ok(1));
}

#[test]
fn shutdown_works_off_what_waits_and_ends_with_the_last_thread() {
    let (_, pool) = pool(2, 4);
    let (barrier, at_work) = occupy(&pool);
    let waiting: Vec<_> = (0..4).map(|n| pool.run(None, move || n)).collect();
    pool.close();
    assert_eq!(refused(block_on(pool.run(None, || ()))), Reason::Closed);
    let mut shutdown = Box::pin(pool.shutdown());
    assert!((&mut shutdown).now_or_never().is_none(), "a thread is still at work");
    barrier.wait();
    block_on(shutdown);
    assert_eq!(block_on(at_work), Ok(7));
    for (n, job) in waiting.into_iter().enumerate() {
        assert_eq!(block_on(job), Ok(n));
    }
}

#[test]
fn dropping_it_refuses_what_waits_and_blocks_nobody() {
    let (_, pool) = pool(1, 4);
    let (barrier, at_work) = occupy(&pool);
    let waits = pool.run(None, || ());
    drop(pool);
    assert_eq!(refused(block_on(waits)), Reason::Closed);
    barrier.wait();
    assert_eq!(block_on(at_work), Ok(7), "who is at work finishes");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let clock = SimClock::starting_at(DEFAULT_START).clock();
    for (threads, queue, key) in [(0, 1, "threads"), (2_000, 1, "threads"), (1, 0, "queue")] {
        match Pool::new("test", &Options { threads, queue }, clock.clone()) {
            Err(StartError::Invalid(invalid)) => assert_eq!(invalid.key, key),
            other => panic!("{other:?}"),
        }
    }
}
