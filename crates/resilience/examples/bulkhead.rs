//! One dependency hangs, and the other has to live with it: with and without a bulkhead, in
//! simulated time.
//!
//! A service has twenty workers. Half of its requests need `stock`, which answers in 10 ms; half
//! need `payment`, which takes five seconds from the second second on. Watch how long the requests
//! for `stock` take, which has nothing wrong with it.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example bulkhead
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::bulkhead::{Bulkhead, Options};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tokio::sync::Semaphore;

const SECONDS: u64 = 8;
const REQUESTS_A_SECOND: u64 = 200;

/// What became of the requests that came in one second.
#[derive(Clone, Default)]
struct Second {
    stock: Vec<Duration>,
    refused: u32,
    says: Option<String>,
}

async fn payment(clock: &Clock, bulkhead: Option<&Bulkhead>) -> Result<(), String> {
    let _place = match bulkhead {
        Some(bulkhead) => Some(bulkhead.acquire(None).await.map_err(|it| it.to_string())?),
        None => None,
    };
    let hangs = clock.monotonic().since_start() >= Duration::from_secs(1);
    clock.sleep(if hangs { Duration::from_secs(5) } else { Duration::from_millis(10) }).await;
    Ok(())
}

fn run(protected: bool) -> Result<Vec<Second>, Invalid> {
    let mut sim = Simulation::new(1);
    let workers = Arc::new(Semaphore::new(20));
    let options = Options { limit: 5, queue: 5, wait: Duration::from_millis(20) };
    let bulkhead = Arc::new(Bulkhead::new(&options, sim.clock())?);
    let seconds = Rc::new(RefCell::new(vec![Second::default(); SECONDS as usize]));
    for number in 0..SECONDS * REQUESTS_A_SECOND {
        let (clock, workers) = (sim.clock(), Arc::clone(&workers));
        let (bulkhead, seconds) = (Arc::clone(&bulkhead), Rc::clone(&seconds));
        sim.spawn(async move {
            clock.sleep(Duration::from_secs(1) * number as u32 / REQUESTS_A_SECOND as u32).await;
            let (came, second) = (clock.monotonic(), (number / REQUESTS_A_SECOND) as usize);
            let Ok(_worker) = workers.acquire().await else { return };
            if number % 2 == 0 {
                clock.sleep(Duration::from_millis(10)).await;
                seconds.borrow_mut()[second].stock.push(clock.monotonic() - came);
            } else if let Err(refused) = payment(&clock, protected.then_some(&*bulkhead)).await {
                let second = &mut seconds.borrow_mut()[second];
                second.refused += 1;
                second.says = Some(refused);
            }
        });
    }
    sim.run_for(Duration::from_secs(3_600));
    Ok(seconds.take())
}

fn slowest(second: &Second) -> String {
    let slowest = second.stock.iter().max().copied().unwrap_or_default();
    format!("{:.2} s", slowest.as_secs_f64())
}

fn main() -> Result<(), Invalid> {
    let (with, without) = (run(true)?, run(false)?);
    println!("        slowest request for stock            requests for payment");
    println!("second  without bulkhead  with bulkhead      refused, with bulkhead");
    for (number, (with, without)) in with.iter().zip(&without).enumerate() {
        let (without, slow) = (slowest(without), slowest(with));
        println!("{number:>6}  {without:>16}  {slow:>13}      {:>13}", with.refused);
    }
    if let Some(says) = with.last().and_then(|second| second.says.as_deref()) {
        println!("\nThe bulkhead of payment says: {says}");
    }
    println!("Five workers hang, and up to five wait for 20 ms; the other ten serve stock.");
    Ok(())
}
