//! One slow dependency, with and without a bulkhead.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use steadfast_time::sim::Simulation;
use tokio::sync::Semaphore;

use super::*;
use crate::bulkhead::{Bulkhead, Options};

/// A service with twenty workers. Half of its requests need a dependency that answers in 10 ms;
/// half need one that has begun to take five seconds. How long the healthy half took, sorted.
fn latencies_of_the_healthy(protected: bool) -> Vec<Duration> {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let workers = Arc::new(Semaphore::new(20));
    let options = Options { limit: 5, queue: 5, wait: ms(20) };
    let slow = Arc::new(Bulkhead::new(&options, clock.clone()).unwrap());
    let took = Rc::new(RefCell::new(Vec::new()));
    for number in 0..1_000_u64 {
        let (clock, workers) = (clock.clone(), Arc::clone(&workers));
        let (slow, took) = (Arc::clone(&slow), Rc::clone(&took));
        sim.spawn(async move {
            clock.sleep(ms(number * 5)).await;
            let came = clock.monotonic();
            let _worker = workers.acquire().await.unwrap();
            if number % 2 == 0 {
                clock.sleep(ms(10)).await;
                took.borrow_mut().push(clock.monotonic() - came);
            } else if protected {
                if let Ok(_place) = slow.acquire(None).await {
                    clock.sleep(Duration::from_secs(5)).await;
                }
            } else {
                clock.sleep(Duration::from_secs(5)).await;
            }
        });
    }
    sim.run_for(Duration::from_secs(600));
    let mut took = took.take();
    took.sort();
    assert_eq!(took.len(), 500);
    took
}

#[test]
fn a_slow_dependency_takes_the_healthy_one_down_unless_there_is_a_bulkhead() {
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100];
    let with = latencies_of_the_healthy(true);
    assert_eq!(p99(&with), ms(10), "with a bulkhead");
    // The twin: all workers wait for the slow one.
    let without = latencies_of_the_healthy(false);
    assert!(p99(&without) > Duration::from_secs(60), "without: {:?}", p99(&without));
}
