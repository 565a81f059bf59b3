//! A dependency gets 200 calls a second, loses 1 % of them, and is down for ten seconds. How many
//! attempts does it have to bear, and who gets an answer?
//!
//! `cargo run -p steadfast-resilience --example budget`

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use steadfast_resilience::budget::{self, Budget, Throttle, throttle};
use steadfast_resilience::deadline::Context;
use steadfast_resilience::retry::{Allowance, Options, Repeatable, Retry};
use steadfast_resilience::{Class, Invalid};
use steadfast_time::Monotonic;

const SECONDS: usize = 35;
const CALLS_PER_SECOND: u64 = 200;
const OUTAGE: std::ops::Range<u64> = 10..20;

/// Attempts in each second, and calls that failed for good among those begun in it.
struct Seen {
    attempts: [u32; SECONDS + 2],
    lost: [u32; SECONDS],
}

fn second(at: Monotonic) -> u64 {
    at.since_start().as_secs()
}

fn run(allowance: impl Into<Allowance>) -> Result<Seen, Invalid> {
    let retry = Retry::new(Options::default(), allowance, fastrand::Rng::with_seed(1))?;
    let mut chance = fastrand::Rng::with_seed(2);
    let mut seen = Seen { attempts: [0; SECONDS + 2], lost: [0; SECONDS] };
    // What happens next: when, which call, and `None` where it begins.
    let mut next = BinaryHeap::new();
    let mut calls = Vec::new();
    for number in 0..CALLS_PER_SECOND * SECONDS as u64 {
        let at = Duration::from_micros(number * 1_000_000 / CALLS_PER_SECOND);
        next.push(Reverse((Monotonic::from_start(at), number as usize)));
        calls.push(None);
    }
    while let Some(Reverse((now, number))) = next.pop() {
        let (begun, call) = calls[number].get_or_insert_with(|| {
            (now, retry.begin(now, Repeatable::Key("order-1"), Context::default()))
        });
        seen.attempts[second(now) as usize] += 1;
        if !OUTAGE.contains(&second(now)) && chance.u32(..100) != 0 {
            retry.answered(Class::Success);
            continue;
        }
        match retry.failed(call, now, Class::TRANSIENT, Duration::ZERO) {
            Ok(retrying) => next.push(Reverse((now + retrying.after, number))),
            Err(_) => seen.lost[second(*begun) as usize] += 1,
        }
    }
    Ok(seen)
}

fn main() -> Result<(), Invalid> {
    let budget = Arc::new(Budget::new(&budget::Options::default())?);
    let throttle = Arc::new(Throttle::new(&throttle::Options::default())?);
    let none = run(Allowance::Unlimited)?;
    let budget = run(budget)?;
    let throttle = run(throttle)?;

    println!(
        "{CALLS_PER_SECOND} calls a second, up to four attempts each, down from 10 s to 20 s."
    );
    println!("Attempts that arrive, and calls that get no answer, in each second:\n");
    println!("               no budget     budget 5 %       throttle");
    println!("second     arrive   lost  arrive   lost  arrive   lost");
    for second in 0..SECONDS {
        let down = if OUTAGE.contains(&(second as u64)) { "down" } else { "" };
        print!("{second:>4}  {down:<4}");
        for seen in [&none, &budget, &throttle] {
            print!(" {:>6} {:>6} ", seen.attempts[second], seen.lost[second]);
        }
        println!();
    }
    let outage = OUTAGE.start as usize..OUTAGE.end as usize;
    let mean = |seen: &Seen| {
        let sum: u32 = seen.attempts[outage.clone()].iter().sum();
        f64::from(sum) / outage.len() as f64 / CALLS_PER_SECOND as f64 * 100.0
    };
    println!(
        "\nWhile it is down it bears {:.0} % of its usual load without a budget,",
        mean(&none)
    );
    println!(
        "{:.1} % with the budget and {:.1} % with the throttle.",
        mean(&budget),
        mean(&throttle)
    );
    println!(
        "5 points of the budget's are its ratio, 0.5 its floor of one a second. What the calm"
    );
    println!("window before had left over goes at once; a shorter window would have saved less.");
    Ok(())
}
