//! The generator: orders over HTTP, and how long each answer took.
//!
//! It has a thread and a runtime of its own, so that a busy platform does not slow the watch
//! that times it. Every connection is one task with one request at a time.
//!
//! **Closed loop**: each connection sends its next order when it has the answer to the last. A
//! slow answer then keeps orders from being sent at all, and the wait that they would have had is
//! missing from the figures: coordinated omission. So besides what was seen there is a corrected
//! histogram, as HdrHistogram does it: an answer that took `n` times as long as the mean stands for
//! the `n − 1` orders that were not sent meanwhile.
//!
//! **Open loop**: orders are due at a fixed rate, whoever is ready or not, and the time of each
//! runs from the moment at which it was due.

mod connection;
mod pacer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use hdrhistogram::Histogram;
use steadfast_time::{Clock, Monotonic};
use tokio::task::LocalSet;

use self::connection::{Answer, Connection};
use self::pacer::Pacer;
use super::request::Requests;
use crate::bench::Window;
use crate::bench::histogram;

/// A refused order is not followed by the next at once: the server asked for a pause.
const PAUSE: Duration = Duration::from_millis(100);

/// What the generator saw.
#[derive(Debug)]
pub struct Seen {
    /// Orders answered with 201 within the window.
    pub placed: u64,
    /// Answers to orders that were due within the window, in microseconds.
    pub latency: Histogram<u64>,
    /// In open loop: how late orders were sent because the generator or its connections were
    /// busy, in microseconds. It is part of `latency`.
    pub late: Histogram<u64>,
    /// Everything else, by the problem's code or by what happened to the connection.
    pub errors: BTreeMap<String, u64>,
}

impl Seen {
    fn new() -> Self {
        Self { placed: 0, latency: histogram(), late: histogram(), errors: BTreeMap::new() }
    }

    /// The latencies with what coordinated omission hid. In a closed loop a connection sends on
    /// average once per mean latency; that is the pace which a slow answer kept it from.
    pub fn corrected(&self) -> Histogram<u64> {
        let usual = Duration::from_secs_f64(self.latency.mean().max(1.0) / 1e6);
        let usual = u64::try_from(usual.as_micros()).unwrap_or(u64::MAX);
        self.latency.clone_correct(usual.max(1))
    }
}

/// What the generator needs.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Connections that are kept alive.
    pub connections: usize,
    /// Orders a second, in open loop.
    pub rate: Option<f64>,
    /// The seed of keys and bodies.
    pub seed: u64,
    /// Counts orders as they are placed, for whoever shows progress.
    pub placed: Arc<AtomicU64>,
}

/// A generator at work.
#[derive(Debug)]
pub struct Generator {
    thread: thread::JoinHandle<io::Result<Seen>>,
}

impl Generator {
    /// Starts sending; it ends with the window.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(load: Load, clock: Clock, window: Arc<Window>) -> io::Result<Self> {
        let builder = thread::Builder::new().name("generator".to_owned());
        let thread = builder.spawn(move || generate(&load, &clock, &window))?;
        Ok(Self { thread })
    }

    /// Waits for it to end.
    ///
    /// # Errors
    /// It could not connect at all.
    pub fn join(self) -> io::Result<Seen> {
        match self.thread.join() {
            Ok(seen) => seen,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn generate(load: &Load, clock: &Clock, window: &Arc<Window>) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let seen = Rc::new(RefCell::new(Seen::new()));
    let requests = Requests::new(&load.address.to_string(), Rng::with_seed(load.seed));
    let requests = Rc::new(RefCell::new(requests.map_err(io::Error::other)?));
    let pacer = load.rate.map(|rate| Pacer::start(rate, clock.clone(), Arc::clone(window)));
    let pacer = pacer.transpose()?.map(Rc::new);
    local.block_on(&runtime, async {
        let mut tasks = Vec::with_capacity(load.connections);
        for _ in 0..load.connections {
            let worker = Worker {
                connection: Connection::open(load.address).await?,
                clock: clock.clone(),
                window: Arc::clone(window),
                seen: Rc::clone(&seen),
                requests: Rc::clone(&requests),
                placed: Arc::clone(&load.placed),
            };
            tasks.push(tokio::task::spawn_local(worker.run(pacer.clone())));
        }
        for task in tasks {
            task.await.map_err(io::Error::other)?;
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(seen.replace(Seen::new()))
}

/// One connection's worth of work.
struct Worker {
    connection: Connection,
    clock: Clock,
    window: Arc<Window>,
    seen: Rc<RefCell<Seen>>,
    requests: Rc<RefCell<Requests>>,
    placed: Arc<AtomicU64>,
}

impl Worker {
    async fn run(mut self, pacer: Option<Rc<Pacer>>) {
        loop {
            let due = match &pacer {
                Some(pacer) => match pacer.next().await {
                    Some(due) => due,
                    None => return,
                },
                None => self.clock.monotonic(),
            };
            if self.window.is_over(due) {
                return;
            }
            let refused = !self.send(due, pacer.is_some()).await;
            if refused && pacer.is_none() {
                self.clock.sleep(PAUSE).await;
            }
        }
    }

    /// Sends one order; says whether it was placed.
    async fn send(&mut self, due: Monotonic, paced: bool) -> bool {
        let request = self.requests.borrow_mut().next();
        let sent = self.clock.monotonic();
        let answer = self.connection.send(request).await;
        let done = self.clock.monotonic();
        let counts = self.window.contains(due);
        let mut seen = self.seen.borrow_mut();
        if counts {
            record(&mut seen.latency, done - due);
            if paced {
                record(&mut seen.late, sent - due);
            }
        }
        match answer {
            Answer::Placed => {
                self.placed.fetch_add(1, Relaxed);
                seen.placed += u64::from(self.window.contains(done));
                true
            }
            Answer::Failed(what) => {
                if counts {
                    *seen.errors.entry(what).or_default() += 1;
                }
                false
            }
        }
    }
}

fn record(histogram: &mut Histogram<u64>, length: Duration) {
    let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    histogram.saturating_record(micros.max(1));
}

#[cfg(test)]
mod tests;
