//! A server that is asked for twice what it can do.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use steadfast_time::sim::Simulation;
use tokio::sync::Semaphore;

use super::*;
use crate::limit::{self, Algorithm, Bounds};
use crate::shed::{Concurrency, Gate, Options, Priority};

/// How long a caller waits for its answer.
const PATIENCE: Duration = ms(200);

/// What a second brought, of each priority.
type Good = [u64; 3];

/// Ten workers that need 10 ms each, so a thousand a second, are asked two thousand times a second
/// for ten seconds. They are served first come, first served; a gate may be in front of them. A
/// fifth of the work is critical, a fifth background. How much per second was done while its caller
/// still waited, after the first second.
fn goodput(concurrency: Option<Concurrency>) -> Good {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let workers = Arc::new(Semaphore::new(10));
    let gate = concurrency.map(|concurrency| {
        let (options, rng) = (Options::default(), Rng::with_seed(1));
        Arc::new(Gate::new(&concurrency, &options, clock.clone(), rng).unwrap())
    });
    let good = Rc::new(RefCell::new([0; 3]));
    for number in 0..20_000_u64 {
        let (clock, good) = (clock.clone(), Rc::clone(&good));
        let (gate, workers) = (gate.clone(), Arc::clone(&workers));
        let priority = match number % 5 {
            0 => Priority::Background,
            1 => Priority::Critical,
            _ => Priority::Normal,
        };
        sim.spawn(async move {
            let came = at(0) + Duration::from_micros(number * 500);
            clock.sleep_until(came).await;
            let work = async {
                let _worker = workers.acquire().await.unwrap();
                clock.sleep(ms(10)).await;
                if came >= at(1_000) && clock.monotonic() - came <= PATIENCE {
                    good.borrow_mut()[priority as usize] += 1;
                }
            };
            let Some(gate) = gate else { return work.await };
            if let Ok(permit) = gate.enter(priority, Some(Deadline::at(came + PATIENCE))).await {
                let began = clock.monotonic();
                work.await;
                permit.success(clock.monotonic(), clock.monotonic() - began);
            }
        });
    }
    sim.run_for(Duration::from_secs(60));
    good.take().map(|good| good / 9)
}

#[test]
fn under_twice_the_load_newest_first_keeps_the_goodput_and_first_come_first_served_loses_it() {
    let with = goodput(Some(Concurrency::Fixed(10)));
    // The twin.
    let without = goodput(None);
    println!("goodput of 1000/s under 2000/s: newest first {with:?}, first come {without:?}");
    assert!(with.iter().sum::<u64>() >= 980, "{with:?}");
    assert_eq!(without, [0; 3], "the twin");
    let [background, normal, critical] = with;
    assert!(critical >= 395, "{critical} of 400 critical ones");
    assert!(normal >= 550 && background < 50, "{with:?}");
}

/// Nobody says how many workers there are: the limit has to find out.
#[test]
fn an_adaptive_gate_keeps_it_too_and_one_that_lets_in_too_much_does_not() {
    let bounds = Bounds { initial: 100, min: 5, max: 1_000 };
    let algorithm = Algorithm::Vegas(limit::vegas::Options::default());
    let options = limit::Options { algorithm, bounds, window: ms(20), samples: 10 };
    let adaptive = goodput(Some(Concurrency::Adaptive(options)));
    let too_much = goodput(Some(Concurrency::Fixed(1_000)));
    println!("goodput of 1000/s under 2000/s: adaptive {adaptive:?}, too much {too_much:?}");
    assert!(adaptive.iter().sum::<u64>() >= 950, "{adaptive:?}");
    assert_eq!(too_much, [0; 3], "the twin");
}
