//! The story of an outage, told by the policy that goes through it, in simulated time.
//!
//! A shop asks its stock fifty times a second. After ten seconds the stock answers nothing but
//! "503" any more, for half a minute. Who is asked again, when does the circuit open, who is sent
//! to see, and when is everything well? Every line with a time in front is the policy's own.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example policy
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast_resilience::event::{Decision, Event, Listener};
use steadfast_resilience::policy::{Counters, Options, Policy};
use steadfast_resilience::{Class, Classified, breaker};
use steadfast_time::sim::Simulation;

const CALLS_A_SECOND: u32 = 50;
const OUTAGE: std::ops::Range<u64> = 10..40;
const END: u64 = 60;

/// What the stock says while it is down.
#[derive(Debug)]
struct Unavailable;

impl Classified for Unavailable {
    fn class(&self) -> Class {
        Class::TRANSIENT
    }
}

/// Tells each change of the breaker, and of everything else only the first of its kind until the
/// next change: the hundredth retry is no news.
#[derive(Default)]
struct Story {
    told: Mutex<BTreeMap<&'static str, u32>>,
}

impl Listener for Story {
    fn on(&self, event: &Event<'_>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = matches!(event.decision, Decision::Breaker(_));
        let kind = match event.decision {
            Decision::RetryWithheld(withheld) => withheld.as_str(),
            decision => decision.kind(),
        };
        let count = told.entry(kind).or_default();
        *count += 1;
        if changed || *count == 1 {
            println!("{:>8.3} s  {event}", event.at.since_start().as_secs_f64());
        }
        if changed {
            told.clear();
        }
    }
}

fn main() -> Result<(), steadfast_resilience::Invalid> {
    let mut sim = Simulation::new(1);
    let judged = breaker::Options {
        open_for: Duration::from_secs(15),
        probes: 5,
        ..breaker::Options::default()
    };
    let policy = Policy::builder("stock")
        .options(Options { breaker: Some(judged), ..Options::default() })
        .repeatable()
        .listener(Arc::new(Story::default()))
        .seed(1)
        .build(sim.clock())?;

    let clock = sim.clock();
    let stock = async move |within: Duration| {
        clock.sleep(within).await;
        let second = clock.monotonic().since_start().as_secs();
        if OUTAGE.contains(&second) { Err(Unavailable) } else { Ok(()) }
    };

    let answered = Arc::new(Mutex::new(0_u32));
    let mut rows: Vec<(u64, u32, Counters)> = Vec::new();
    let mut before = policy.counters();
    for second in 0..END {
        for _ in 0..CALLS_A_SECOND {
            let within = Duration::from_millis(10 + sim.fork_rng().u64(0..20));
            let (policy, stock, answered) = (policy.clone(), stock.clone(), Arc::clone(&answered));
            sim.spawn(async move {
                if policy.call(|_| stock(within)).await.is_ok() {
                    *answered.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                }
            });
            sim.run_for(Duration::from_secs(1) / CALLS_A_SECOND);
        }
        let now = policy.counters();
        let good = std::mem::take(&mut *answered.lock().unwrap_or_else(PoisonError::into_inner));
        rows.push((second, good, now.since(&before)));
        before = now;
    }

    println!();
    println!("seconds  answered  sent to the stock  asked again  refused at once");
    for (first, good, counters) in rows.chunks(5).map(sum) {
        let Counters { attempts, retries, refusals, .. } = counters;
        println!(
            "{first:>3}..{:<3} {good:>8} {attempts:>18} {retries:>12} {refusals:>16}",
            first + 5
        );
    }
    let Counters { calls, attempts, retries, refusals, .. } = policy.counters();
    println!();
    println!(
        "{calls} calls: {attempts} were sent, {refusals} spared. Without a budget up to three"
    );
    println!("retries each would have come on top; with it there were {retries} in all.");
    Ok(())
}

fn sum(rows: &[(u64, u32, Counters)]) -> (u64, u32, Counters) {
    let first = rows.first().map_or(0, |(second, ..)| *second);
    rows.iter().fold((first, 0, Counters::default()), |(first, good, all), (_, more, counters)| {
        let all = Counters {
            attempts: all.attempts + counters.attempts,
            retries: all.retries + counters.retries,
            refusals: all.refusals + counters.refusals,
            ..all
        };
        (first, good + more, all)
    })
}
