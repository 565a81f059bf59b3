//! One bad minute, second by second, in simulated time.
//!
//! A dependency answers 40 calls a second. In the tenth second it goes down: each call hangs for
//! a second and fails. It comes back in the fiftieth. Watch how many calls are lost with a breaker
//! and how many without, and what the breaker says.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example breaker
//! ```

use std::time::Duration;

use steadfast_resilience::breaker::{Breaker, Options, State};
use steadfast_time::sim::{DEFAULT_START, SimClock};

const CALLS_A_SECOND: u32 = 40;
const OUTAGE: std::ops::Range<u64> = 10..50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let time = SimClock::starting_at(DEFAULT_START);
    let clock = time.clock();
    let options = Options { open_for: Duration::from_secs(15), probes: 5, ..Options::default() };
    let breaker = Breaker::new(options)?;

    println!("second  state      answered  waited in vain  refused at once");
    let (mut lost, mut spared, mut too_careful) = (0, 0, 0);
    for second in 0..80_u64 {
        let (mut answered, mut in_vain, mut refused) = (0, 0, 0);
        let mut said = Vec::new();
        // All calls of this second are under way at once: that is what makes an outage expensive.
        let mut under_way = Vec::new();
        for _ in 0..CALLS_A_SECOND {
            let (permit, changed) = breaker.permit(&clock);
            said.extend(changed);
            match permit {
                Ok(permit) => under_way.push(permit),
                Err(_) => refused += 1,
            }
            time.advance(Duration::from_secs(1) / CALLS_A_SECOND);
        }
        for permit in under_way {
            if OUTAGE.contains(&second) {
                in_vain += 1;
                said.extend(permit.failure(&clock));
            } else {
                answered += 1;
                said.extend(permit.success(&clock));
            }
        }
        lost += in_vain;
        if OUTAGE.contains(&second) {
            spared += refused;
        } else {
            too_careful += refused;
        }
        let quiet = said.is_empty() && second % 10 != 0;
        if !quiet {
            let state = breaker.state().to_string();
            println!("{second:>6}  {state:<9}  {answered:>8}  {in_vain:>14}  {refused:>15}");
        }
        for transition in said {
            println!("        breaker stock: {transition}");
        }
    }

    let without = u64::from(CALLS_A_SECOND) * (OUTAGE.end - OUTAGE.start);
    println!();
    println!("without a breaker {without} calls would have hung for a second each;");
    println!("with it {lost} did, and {spared} were told at once to come back later.");
    println!("The price: {too_careful} were refused when it was up again, before the next probe.");
    println!();
    println!("{}", breaker.snapshot(&clock));
    if breaker.state() == State::Closed { Ok(()) } else { Err("it should have closed".into()) }
}
