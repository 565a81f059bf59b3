//! A thousand clients fail at the same moment, and each asks again three times. When do they come
//! back?
//!
//! `cargo run -p steadfast-resilience --example retry`

use std::time::Duration;

use steadfast_resilience::Class;
use steadfast_resilience::budget::Spent;
use steadfast_resilience::deadline::Context;
use steadfast_resilience::retry::{Backoff, Jitter, Machine, Options, Repeatable};
use steadfast_time::Monotonic;

const CLIENTS: usize = 1_000;
const CLASS: Duration = Duration::from_millis(50);

/// When the retries of all clients arrive: each attempt fails at once.
fn arrivals(backoff: Backoff, jitter: Jitter) -> Vec<Monotonic> {
    let options = Options { backoff, jitter, ..Options::default() };
    let mut rng = fastrand::Rng::with_seed(2015);
    let mut arrivals = Vec::new();
    for _ in 0..CLIENTS {
        let mut now = Monotonic::default();
        let mut call = Machine::new(options, Repeatable::Key("order-1"), Context::default());
        // Nothing is paid here: this is about the pauses.
        let free = || Ok::<(), Spent>(());
        while let Ok(retry) = call.decide(now, Class::TRANSIENT, Duration::ZERO, &mut rng, free) {
            now = now + retry.after;
            arrivals.push(now);
        }
    }
    arrivals
}

fn most_within(arrivals: &[Monotonic], length: Duration) -> usize {
    let class = |at: &Monotonic| at.since_start().as_nanos() / length.as_nanos();
    let mut classes: Vec<u128> = arrivals.iter().map(class).collect();
    classes.sort_unstable();
    classes.chunk_by(|a, b| a == b).map(<[u128]>::len).max().unwrap_or_default()
}

fn print(title: &str, arrivals: &[Monotonic]) {
    let end = arrivals.iter().max().copied().unwrap_or_default();
    let most = most_within(arrivals, Duration::from_millis(10));
    println!("{title}");
    println!("  at most {most} in 10 ms, the last after {:.0?}", end.since_start());
    let classes = end.since_start().as_millis() / CLASS.as_millis() + 1;
    for class in 0..classes {
        let within = |at: &&Monotonic| at.since_start().as_millis() / CLASS.as_millis() == class;
        let count = arrivals.iter().filter(within).count();
        if count > 0 {
            let bar = "█".repeat(count.div_ceil(20));
            println!("  {:>5} ms {count:>5} {bar}", class * CLASS.as_millis());
        }
    }
    println!();
}

fn main() {
    println!(
        "{CLIENTS} clients fail at 0 ms; three retries each, a bar is 20 of them per 50 ms.\n"
    );
    let fixed = Backoff::constant(Duration::from_millis(100));
    print(
        "always 100 ms, no jitter: everybody at once, three times",
        &arrivals(fixed, Jitter::None),
    );
    let backoff = Backoff::default();
    for (jitter, what) in [
        (Jitter::None, "100→200→400 ms, no jitter: later, but still everybody at once"),
        (Jitter::Equal, "equal jitter: spread over the second half of each pause"),
        (Jitter::Decorrelated, "decorrelated jitter: never before 100 ms, and longer on the whole"),
        (Jitter::Full, "full jitter (the default): spread over all of each pause"),
    ] {
        print(what, &arrivals(backoff, jitter));
    }
}
