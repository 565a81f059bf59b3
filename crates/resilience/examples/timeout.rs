//! A dependency through twenty bad minutes, in simulated time: what a fixed timeout of 100 ms makes
//! of it, and what an adaptive one does.
//!
//! It usually answers within some 20 ms. For seven minutes its network is unsteady, for two minutes
//! one call in twenty hangs, and in the end it becomes ten times slower for good.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example timeout
//! ```

use std::time::Duration;

use fastrand::Rng;
use steadfast_resilience::timeout::{Attempt, Timeout, options::Adaptive};
use steadfast_time::Monotonic;

const MINUTE: u32 = 60_000;
/// Milliseconds from one call to the next.
const EVERY: u32 = 20;

/// What it does in a minute, and how long it takes then in milliseconds.
fn takes(minute: u32, rng: &mut Rng) -> (&'static str, f64) {
    let steady = 15.0 + 10.0 * rng.f64();
    match minute {
        0..3 => ("steady", steady),
        3..10 => ("unsteady", steady - 20.0 * (1.0 - rng.f64()).ln()),
        10..12 => ("hangs now and then", if rng.u8(..20) == 0 { 1e9 } else { steady }),
        12..18 => ("steady", steady),
        _ => ("ten times slower", 10.0 * steady),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ceiling = Duration::from_secs(1);
    let adaptive = Adaptive { ceiling, ..Adaptive::default() };
    let timeouts = [
        Timeout::new(Attempt::Fixed(Duration::from_millis(100)))?,
        Timeout::new(Attempt::Adaptive(adaptive))?,
    ];
    println!("                              fixed              adaptive");
    println!("minute  the dependency        limit   given up   limit   given up");
    let mut rng = Rng::with_seed(8);
    for minute in 0..22 {
        let (mut given_up, mut does) = ([0_u32; 2], "");
        for call in 0..MINUTE / EVERY {
            let now = minute * MINUTE + call * EVERY;
            let now = Monotonic::from_start(Duration::from_millis(now.into()));
            let (what, ms) = takes(minute, &mut rng);
            does = what;
            let needed = Duration::from_secs_f64(ms / 1e3);
            for (timeout, given_up) in timeouts.iter().zip(&mut given_up) {
                let limit = timeout.limit(now);
                if needed <= limit {
                    timeout.observe(now, needed, None);
                } else {
                    timeout.timed_out(now, limit);
                    *given_up += 1;
                }
            }
        }
        let end = Monotonic::from_start(Duration::from_millis(((minute + 1) * MINUTE).into()));
        let [fixed, adaptive] = timeouts.each_ref().map(|timeout| timeout.limit(end).as_millis());
        let share = given_up.map(|count| f64::from(count * EVERY) * 1e2 / f64::from(MINUTE));
        let [fixed_share, adaptive_share] = share;
        println!(
            "{minute:>6}  {does:<20}  {fixed:>4} ms  {fixed_share:>6.2} %  {adaptive:>4} ms  \
             {adaptive_share:>6.2} %"
        );
    }
    println!();
    println!("The objective is less than 0.2 %. A call that hangs is given up after a second at");
    println!("most, and the longer limit is forgotten five minutes later; and what is slower for");
    println!("good is waited for after a few hundred milliseconds, not given up for dead.");
    Ok(())
}
