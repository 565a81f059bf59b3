//! Three algorithms look for the capacity of a server, which halves after half a minute, in
//! simulated time.
//!
//! The server works on 60 calls at once, then on 30, 50 ms each, and queues the others. It is asked
//! for twice what it can do, except for the first second of every five. A limit of about the
//! capacity keeps it busy; anything beyond only waits in its queue.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example limit
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::limit::{Algorithm, Bounds, Machine, Options, Sample};
use steadfast_time::Monotonic;

const SERVICE: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(100);
const MINUTE: u64 = 60;

fn capacity(second: u64) -> usize {
    if second < MINUTE / 2 { 60 } else { 30 }
}

/// At the end of each fifth second: the limit, and how long a call takes.
fn run(algorithm: Algorithm) -> Result<Vec<(u32, Duration)>, Invalid> {
    let bounds = Bounds { initial: 20, min: 5, max: 500 };
    let window = Duration::from_millis(100);
    let options = Options { algorithm, bounds, window, samples: 10 };
    let mut limit = Machine::new(&options, fastrand::Rng::with_seed(1))?;
    let (mut busy, mut queue) = (BinaryHeap::new(), VecDeque::new());
    let (mut now, mut found) = (Monotonic::default(), Vec::new());
    while now.since_start() < Duration::from_secs(MINUTE) {
        let second = now.since_start().as_secs();
        let places = capacity(second);
        while let Some(Reverse((end, _, _))) = busy.peek()
            && *end <= now
        {
            let Some(Reverse((end, came, in_flight))) = busy.pop() else { break };
            let rtt: Duration = end - came;
            limit.sample(end, &Sample { rtt, in_flight, dropped: rtt > TIMEOUT });
            while busy.len() < places
                && let Some((came, in_flight)) = queue.pop_front()
            {
                busy.push(Reverse((end + SERVICE, came, in_flight)));
            }
        }
        let under_way = (busy.len() + queue.len()) as u32;
        if under_way < limit.limit() {
            if busy.len() < places {
                busy.push(Reverse((now + SERVICE, now, under_way + 1)));
            } else {
                queue.push_back((now, under_way + 1));
            }
        }
        let load = if second % 5 == 0 { 0.5 } else { 2.0 };
        now = now + SERVICE.div_f64(load * places as f64);
        if now.since_start().as_secs() / 5 > second / 5 {
            found.push((limit.limit(), limit.rtt()));
        }
    }
    Ok(found)
}

fn main() -> Result<(), Invalid> {
    let columns = [
        run(Algorithm::Aimd(Default::default()))?,
        run(Algorithm::Vegas(Default::default()))?,
        run(Algorithm::Gradient(Default::default()))?,
    ];
    println!("second  capacity       AIMD            Vegas           gradient");
    for row in 0..columns[0].len() {
        let second = 5 * (row as u64 + 1);
        print!("{second:>6}  {:>8}", capacity(second - 1));
        for column in &columns {
            let (limit, rtt) = column[row];
            print!("  {limit:>4}, {:>4} ms", rtt.as_millis());
        }
        println!();
    }
    println!("\nAIMD grows until calls are dropped, here at 100 ms, so it fills the queue. Vegas");
    println!("keeps the queue short, as long as the best time that it has seen was without load.");
    println!("The gradient grows until answers take half as long again as they used to.");
    Ok(())
}
