//! A server that is asked for twice what it can do, second by second, in simulated time.
//!
//! Ten workers need 10 ms for each request: a thousand a second. From the third to the seventh
//! second two thousand come. A caller waits for 200 ms. Watch how many are answered in time when
//! all wait in one long queue, and how many behind a gate that serves the newest first; and how
//! long the queue goes on being useless after the load is gone.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example shed
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::deadline::Deadline;
use steadfast_resilience::shed::{Concurrency, Gate, Options, Priority};
use steadfast_time::sim::Simulation;
use tokio::sync::Semaphore;

const SECONDS: u64 = 12;
const PATIENCE: Duration = Duration::from_millis(200);

/// Requests that come in this second.
fn load(second: u64) -> u64 {
    if (3..8).contains(&second) { 2_000 } else { 800 }
}

/// What became of the requests that came in one second.
#[derive(Clone, Default)]
struct Second {
    in_time: u32,
    critical_in_time: u32,
    late: u32,
    refused: u32,
    says: Option<String>,
}

fn run(protected: bool) -> Result<Vec<Second>, Invalid> {
    let mut sim = Simulation::new(1);
    let workers = Arc::new(Semaphore::new(10));
    let (concurrency, options) = (Concurrency::Fixed(10), Options::default());
    let rng = fastrand::Rng::with_seed(1);
    let gate = Arc::new(Gate::new(&concurrency, &options, sim.clock(), rng)?);
    let seconds = Rc::new(RefCell::new(vec![Second::default(); SECONDS as usize]));
    for second in 0..SECONDS {
        for number in 0..load(second) {
            let (clock, workers) = (sim.clock(), Arc::clone(&workers));
            let (gate, seconds) = (Arc::clone(&gate), Rc::clone(&seconds));
            let into = Duration::from_secs(1) * number as u32 / load(second) as u32;
            // Every fourth finishes something that has been begun.
            let priority = if number % 4 == 0 { Priority::Critical } else { Priority::Normal };
            sim.spawn(async move {
                clock.sleep(Duration::from_secs(second) + into).await;
                let came = clock.monotonic();
                let deadline = Deadline::within(came, PATIENCE);
                let (worker, place);
                if protected {
                    place = gate.enter(priority, Some(deadline)).await;
                    if let Err(refused) = &place {
                        let second = &mut seconds.borrow_mut()[second as usize];
                        second.refused += 1;
                        second.says = Some(refused.to_string());
                        return;
                    }
                } else {
                    worker = workers.acquire().await;
                    if worker.is_err() {
                        return;
                    }
                }
                clock.sleep(Duration::from_millis(10)).await;
                let second = &mut seconds.borrow_mut()[second as usize];
                let in_time = clock.monotonic() - came <= PATIENCE;
                second.in_time += u32::from(in_time);
                second.late += u32::from(!in_time);
                second.critical_in_time += u32::from(in_time && priority == Priority::Critical);
            });
        }
    }
    sim.run_for(Duration::from_secs(600));
    Ok(seconds.take())
}

fn main() -> Result<(), Invalid> {
    let (with, without) = (run(true)?, run(false)?);
    println!("               one long queue       behind a gate");
    println!("second  come   in time    late      in time (critical)  refused");
    for second in 0..SECONDS {
        let Second { in_time, late, .. } = &without[second as usize];
        print!("{second:>6}  {:>4}   {in_time:>7}  {late:>6}", load(second));
        let Second { in_time, critical_in_time, refused, .. } = &with[second as usize];
        println!("      {in_time:>7} {:>10}  {refused:>7}", format!("({critical_in_time})"));
    }
    if let Some(says) = with.iter().rev().find_map(|second| second.says.as_deref()) {
        println!("\nThe gate says: {says}");
    }
    Ok(())
}
