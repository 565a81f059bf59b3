//! A server that is asked for twice what it can do.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tokio::sync::Semaphore;

use super::*;
use crate::limit::{self, Algorithm, Bounds};
use crate::shed::{Concurrency, Gate, Options, Priority};

/// How long a caller waits for its answer.
const PATIENCE: Duration = ms(200);

/// How one piece of work is let in.
#[derive(Clone)]
enum Door {
    /// First come, first served, as long a queue as it takes.
    Fifo(Arc<Semaphore>),
    Gate(Arc<Gate>),
}

/// What a second brought, of each priority.
type Good = [u64; 3];

/// Ten workers that need 10 ms each, so a thousand a second, are asked two thousand times a second
/// for ten seconds. A fifth of it is critical, a fifth background. How much per second was done
/// while its caller still waited, after the first second.
fn goodput(door: impl FnOnce(Clock) -> Door) -> Good {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let door = door(clock.clone());
    let good = Rc::new(RefCell::new([0; 3]));
    for number in 0..20_000_u64 {
        let (clock, door, good) = (clock.clone(), door.clone(), Rc::clone(&good));
        let priority = match number % 5 {
            0 => Priority::Background,
            1 => Priority::Critical,
            _ => Priority::Normal,
        };
        sim.spawn(async move {
            let came = at(0) + Duration::from_micros(number * 500);
            clock.sleep_until(came).await;
            let work = async {
                clock.sleep(ms(10)).await;
                if came >= at(1_000) && clock.monotonic() - came <= PATIENCE {
                    good.borrow_mut()[priority as usize] += 1;
                }
            };
            match door {
                Door::Fifo(workers) => {
                    let _worker = workers.acquire().await.unwrap();
                    work.await;
                }
                Door::Gate(gate) => {
                    let deadline = Deadline::at(came + PATIENCE);
                    if let Ok(permit) = gate.enter(priority, Some(deadline)).await {
                        let began = clock.monotonic();
                        work.await;
                        permit.success(clock.monotonic(), clock.monotonic() - began);
                    }
                }
            }
        });
    }
    sim.run_for(Duration::from_secs(60));
    good.take().map(|good| good / 9)
}

fn gate(concurrency: Concurrency) -> Good {
    goodput(|clock| {
        let options = Options::default();
        Door::Gate(Arc::new(Gate::new(&concurrency, &options, clock, Rng::with_seed(1)).unwrap()))
    })
}

#[test]
fn under_twice_the_load_newest_first_keeps_the_goodput_and_first_come_first_served_loses_it() {
    let with = gate(Concurrency::Fixed(10));
    // The twin.
    let without = goodput(|_| Door::Fifo(Arc::new(Semaphore::new(10))));
    println!("goodput of 1000/s under 2000/s: newest first {with:?}, first come {without:?}");
    assert!(with.iter().sum::<u64>() >= 980, "{with:?}");
    assert_eq!(without, [0; 3], "the twin");
    let [background, normal, critical] = with;
    assert!(critical >= 395, "{critical} of 400 critical ones");
    assert!(normal >= 550 && background < 50, "{with:?}");
}

/// The same with a limit that has to be found out: here the server has no queue of its own, so that
/// the gate lets in as much as it may, and what comes of it is judged by the round-trip time.
#[test]
fn an_adaptive_gate_keeps_it_too() {
    let bounds = Bounds { initial: 10, min: 10, max: 10 };
    let algorithm = Algorithm::Gradient(limit::gradient::Options::default());
    let options = limit::Options { algorithm, bounds, window: ms(100), samples: 10 };
    assert!(gate(Concurrency::Adaptive(options)).iter().sum::<u64>() >= 980);
}
