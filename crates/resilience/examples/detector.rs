//! One timeout for everybody, or one that fits each: fixed timeouts against φ = 8.
//!
//! Peers send a heartbeat every second over three kinds of network. For each way of judging them:
//! how often it suspects somebody who is alive, and how long it takes to notice that somebody has
//! died. All in simulated time, the same each run.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example detector
//! ```

use std::time::Duration;

use fastrand::Rng;
use steadfast_resilience::Invalid;
use steadfast_resilience::detector::{Detector, Distribution, Options};
use steadfast_time::Monotonic;

const PEERS: u64 = 10;
const HOURS: u64 = 2;
const BEATS: u64 = HOURS * 3_600;

/// What a network does to heartbeats.
struct Network {
    name: &'static str,
    /// Every heartbeat takes this long, and on average `jitter_ms` more.
    delay_ms: f64,
    jitter_ms: f64,
    loss: f64,
    /// Every few minutes nothing gets through for up to this long.
    gap_ms: f64,
}

const NETWORKS: [Network; 3] = [
    Network { name: "one rack", delay_ms: 0.2, jitter_ms: 0.1, loss: 0.0, gap_ms: 0.0 },
    Network { name: "the internet", delay_ms: 40.0, jitter_ms: 30.0, loss: 0.001, gap_ms: 0.0 },
    Network { name: "phones", delay_ms: 150.0, jitter_ms: 400.0, loss: 0.02, gap_ms: 6_000.0 },
];

impl Network {
    /// When the heartbeats of one peer arrive, in microseconds.
    fn arrivals(&self, rng: &mut Rng) -> Vec<u64> {
        let mut gap_ends = 0.0;
        let mut arrivals = Vec::new();
        for beat in 0..BEATS {
            let sent = beat as f64 * 1_000.0;
            if self.gap_ms > 0.0 && rng.u32(..300) == 0 {
                gap_ends = sent + self.gap_ms * rng.f64();
            }
            let lost = sent < gap_ends || rng.f64() < self.loss;
            let delay = self.delay_ms - self.jitter_ms * (1.0 - rng.f64()).ln();
            if !lost {
                arrivals.push(((sent + delay) * 1_000.0) as u64);
            }
        }
        arrivals.sort_unstable();
        arrivals
    }
}

/// A way to judge.
enum Judge {
    Fixed(Duration),
    Phi(Box<Detector>),
}

impl Judge {
    /// A heartbeat has come. Returns whether the peer was suspected by then, and the silence that
    /// it is allowed from now on.
    fn heartbeat(&mut self, now: Monotonic, last: Monotonic) -> (bool, Duration) {
        match self {
            Self::Fixed(timeout) => (now - last >= *timeout, *timeout),
            Self::Phi(detector) => {
                let was_suspected = detector.is_suspected(now);
                detector.heartbeat(now);
                (was_suspected, detector.allowance().unwrap_or_default())
            }
        }
    }
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    false_suspicions: u64,
    deaths: u32,
    noticed_s: f64,
    latest_s: f64,
}

fn judge(judge: &mut Judge, arrivals: &[u64], rng: &mut Rng, outcome: &mut Outcome) {
    let mut last = Monotonic::default();
    for (number, micros) in arrivals.iter().enumerate() {
        let now = Monotonic::from_start(Duration::from_micros(*micros));
        let (was_suspected, allowance) = judge.heartbeat(now, last);
        outcome.false_suspicions += u64::from(was_suspected && number > 0);
        last = now;
        // Had it died within the second after it sent this one: how long until that is noticed?
        if number > 100 && number % 10 == 0 {
            let noticed = allowance.as_secs_f64() - rng.f64();
            outcome.deaths += 1;
            outcome.noticed_s += noticed;
            outcome.latest_s = outcome.latest_s.max(noticed);
        }
    }
}

fn phi(distribution: Distribution, pause: u64) -> Result<Judge, Invalid> {
    let acceptable_pause = Duration::from_secs(pause);
    let options = Options { distribution, acceptable_pause, samples: 200, ..Options::default() };
    Detector::new(&options).map(Box::new).map(Judge::Phi)
}

/// A way to judge, by its name.
type Row = (&'static str, fn() -> Result<Judge, Invalid>);

const ROWS: [Row; 8] = [
    ("fixed, 1.2 s", || Ok(Judge::Fixed(Duration::from_millis(1_200)))),
    ("fixed, 4 s", || Ok(Judge::Fixed(Duration::from_secs(4)))),
    ("fixed, 10 s", || Ok(Judge::Fixed(Duration::from_secs(10)))),
    ("φ normal", || phi(Distribution::Normal, 0)),
    ("φ logistic", || phi(Distribution::Logistic, 0)),
    ("φ exponential", || phi(Distribution::Exponential, 0)),
    ("φ normal, pause 1 s", || phi(Distribution::Normal, 1)),
    ("φ normal, pause 3 s", || phi(Distribution::Normal, 3)),
];

fn main() -> Result<(), Invalid> {
    println!("{PEERS} peers, {HOURS} hours, a heartbeat every second; suspected at φ = 8\n");
    print!("{:<20}", "");
    for network in &NETWORKS {
        print!(" │ {:^27}", network.name);
    }
    print!("\n{:<20}", "");
    for _ in &NETWORKS {
        print!(" │ {:>12} {:>7} {:>6}", "false/peer-h", "noticed", "worst");
    }
    println!();
    for (name, make) in ROWS {
        print!("{name:<20}");
        for network in &NETWORKS {
            let mut outcome = Outcome::default();
            for peer in 0..PEERS {
                let mut rng = Rng::with_seed(peer);
                let arrivals = network.arrivals(&mut rng);
                judge(&mut make()?, &arrivals, &mut rng, &mut outcome);
            }
            let rate = outcome.false_suspicions as f64 / (PEERS * HOURS) as f64;
            let mean = outcome.noticed_s / f64::from(outcome.deaths);
            print!(" │ {rate:>12.2} {mean:>5.1} s {:>4.1} s", outcome.latest_s);
        }
        println!();
    }
    println!(
        "\nNo fixed timeout is right for all three: what is quick for the rack condemns phones by the\n\
         thousand, what is kind to phones leaves a dead rack unnoticed for ten seconds. φ fits each\n\
         from what it has seen. A pause pays for what no distribution of delays foresees, a lost\n\
         heartbeat above all; the exponential one forgives everything, and is last to notice."
    );
    Ok(())
}
