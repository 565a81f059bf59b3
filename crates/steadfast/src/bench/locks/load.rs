//! The clients of one engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::join_all;
use hdrhistogram::Histogram;
use steadfast_coordination::port::Capabilities;
use steadfast_coordination::{self as coordination, Client, Error, Name, Patience};
use steadfast_time::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Options;
use crate::bench::{Window, histogram};
use crate::cli::Failure;
use crate::platform::connect;

/// How long after the end of its window a client waits for its lock at most.
const GRACE: Duration = Duration::from_secs(5);

/// After an error, a client rests.
const REST: Duration = Duration::from_millis(20);

/// What the clients do.
#[derive(Clone)]
pub(super) struct Load {
    url: String,
    clients: usize,
    connections: usize,
    ttl: Duration,
    same_name: bool,
}

impl Load {
    /// The same for every engine; only the address is another one.
    pub(super) fn new(options: &Options, url: &str) -> Self {
        let Options { clients, connections, ttl, same_name, .. } = *options;
        Self { url: url.to_owned(), clients, connections, ttl, same_name }
    }
}

/// What was seen.
pub(super) struct Seen {
    /// Locks that were got and given back within the windows.
    pub(super) pairs: u64,
    /// From asking to holding, of all that was asked for within the windows, in microseconds.
    pub(super) acquire: Histogram<u64>,
    /// From giving back to the server's word that it is.
    pub(super) release: Histogram<u64>,
    /// What was not answered as it should, by kind.
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// Tokens that were not higher than one before.
    pub(super) stale: u64,
    /// How long was measured.
    pub(super) length: Duration,
}

impl Default for Seen {
    fn default() -> Self {
        let (acquire, release) = (histogram(), histogram());
        let (errors, length) = (BTreeMap::new(), Duration::ZERO);
        Self { pairs: 0, acquire, release, errors, stale: 0, length }
    }
}

impl Seen {
    /// Adds what others saw, but for the length: they may have seen it at the same time.
    pub(super) fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.stale += other.stale;
        // The bounds are the same.
        let _ = self.acquire.add(&other.acquire);
        let _ = self.release.add(&other.release);
        for (kind, count) in &other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
    }
}

/// A lock, and the highest token that was given for it.
struct Place {
    name: Name,
    highest: AtomicU64,
}

/// A window of time, and where to tell what was seen in it.
struct Order {
    window: Arc<Window>,
    done: oneshot::Sender<Seen>,
}

/// The clients, by connection. They rest until they are [told to run](Subject::run); their sessions
/// are kept meanwhile.
pub(super) struct Subject {
    workers: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    capabilities: Capabilities,
}

impl Subject {
    /// Connects.
    ///
    /// # Errors
    /// The engine cannot be reached, or cannot have such sessions.
    pub(super) async fn start(load: &Load, clock: &Clock) -> Result<Self, Failure> {
        let places = places(load)?;
        let (mut workers, mut capabilities) = (Vec::new(), None);
        for number in 0..load.connections {
            let mine = places.iter().skip(number).step_by(load.connections).cloned().collect();
            let (orders, received) = mpsc::unbounded_channel();
            let (ready, started) = oneshot::channel();
            let (load, clock) = (load.clone(), clock.clone());
            let run = move || work(&load, &clock, mine, ready, received);
            let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(run);
            let thread = thread.map_err(|e| Failure::failed(format!("no thread: {e}")))?;
            workers.push((orders, thread));
            let answer = started.await.unwrap_or_else(|_| Err("its thread ended".to_owned()));
            capabilities = Some(answer.map_err(Failure::Failed)?);
        }
        let none = || Failure::Usage("at least one connection is needed".to_owned());
        Ok(Self { workers, capabilities: capabilities.ok_or_else(none)? })
    }

    /// What the engine promises.
    pub(super) const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Locks and unlocks as long as the window is open. Completes when all clients have given back
    /// what they had.
    ///
    /// # Errors
    /// A client's thread has panicked.
    pub(super) async fn run(&self, window: &Arc<Window>) -> Result<Seen, Failure> {
        let tell = |(orders, _): &(mpsc::UnboundedSender<Order>, _)| {
            let (done, seen) = oneshot::channel();
            // One that has ended does not answer.
            let _ = orders.send(Order { window: Arc::clone(window), done });
            seen
        };
        let all: Vec<_> = self.workers.iter().map(tell).collect();
        let mut seen = Seen::default();
        for answer in join_all(all).await {
            seen.add(&answer.map_err(|_| Failure::failed("a client's thread has ended"))?);
        }
        Ok(seen)
    }

    /// Gives the sessions back.
    pub(super) fn stop(self) {
        let (orders, threads): (Vec<_>, Vec<_>) = self.workers.into_iter().unzip();
        drop(orders);
        for thread in threads {
            // That it has panicked was noticed by what it did not answer.
            let _ = thread.join();
        }
    }
}

/// Whose lock each client wants. The names are of this run alone: a server may have others' as well.
fn places(load: &Load) -> Result<Vec<Arc<Place>>, Failure> {
    let run = format!("bench/{:08x}", fastrand::u32(..));
    let place = |suffix: &str| -> Result<_, Failure> {
        let name = Name::new(format!("{run}{suffix}")).map_err(Failure::failed)?;
        Ok(Arc::new(Place { name, highest: AtomicU64::new(0) }))
    };
    if load.same_name {
        return Ok(vec![place("")?; load.clients]);
    }
    (0..load.clients).map(|number| place(&format!("/{number:05}"))).collect()
}

/// One connection: connects, runs its clients when told to, and closes its session.
fn work(
    load: &Load,
    clock: &Clock,
    places: Vec<Arc<Place>>,
    ready: oneshot::Sender<Result<Capabilities, String>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(format!("cannot start a runtime: {error}")))),
    };
    runtime.block_on(async {
        let client = match prepare(load, clock).await {
            Ok(client) => client,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // Whoever is not there any more sends no orders.
        let _ = ready.send(Ok(client.coordinator().capabilities()));
        while let Some(Order { window, done }) = orders.recv().await {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let mut clients = JoinSet::new();
            for place in &places {
                let (client, place) = (client.clone(), Arc::clone(place));
                let (window, seen) = (Arc::clone(&window), Arc::clone(&seen));
                clients.spawn(async move { repeat(&client, &place, &window, &seen).await });
            }
            while let Some(ended) = clients.join_next().await {
                // A panic is a defect, and no figure.
                if ended.is_err() {
                    return;
                }
            }
            let seen = std::mem::take(&mut *lock(&seen));
            let _ = done.send(seen);
        }
        client.shutdown().await;
    });
}

async fn prepare(load: &Load, clock: &Clock) -> Result<Client, String> {
    let engine = connect(&load.url, clock.clone()).await.map_err(|error| error.to_string())?;
    let options = coordination::Options { length: load.ttl, ..coordination::Options::default() };
    let client = Client::new(engine, clock.clone(), options);
    let (client, keeper) = client.map_err(|error| error.to_string())?;
    tokio::spawn(keeper.run());
    // Opening the session is not what is measured, and one of this length may not be possible.
    client.session(Patience::Try).await.map_err(|error| error.to_string())?;
    Ok(client)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client.
async fn repeat(client: &Client, place: &Place, window: &Window, seen: &Mutex<Seen>) {
    let (clock, wanted) = (client.clock(), client.lock(&place.name));
    let micros = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    loop {
        let asked = clock.monotonic();
        if window.is_over(asked) {
            return;
        }
        let guard = match wanted.acquire(Patience::Until(window.end() + GRACE)).await {
            Ok(guard) => guard,
            Err(error) => {
                *lock(seen).errors.entry(kind(&error)).or_default() += 1;
                clock.sleep(REST).await;
                continue;
            }
        };
        let held = clock.monotonic();
        let token = guard.token().get();
        let is_stale = place.highest.fetch_max(token, Relaxed) >= token;
        let released = guard.release().await;
        let back = clock.monotonic();
        let mut seen = lock(seen);
        seen.stale += u64::from(is_stale);
        seen.acquire.saturating_record(micros(held - asked));
        match released {
            Ok(()) => {
                seen.release.saturating_record(micros(back - held));
                seen.pairs += u64::from(!window.is_over(back));
            }
            Err(error) => *seen.errors.entry(kind(&error)).or_default() += 1,
        }
    }
}

/// What kind of error it is, in a word.
const fn kind(error: &Error) -> &'static str {
    match error {
        Error::Timeout { .. } => "timeout",
        Error::SessionOver { .. } => "session_over",
        Error::Over { .. } => "lost",
        Error::Full { .. } => "full",
        Error::Refused { .. } => "refused",
        Error::Unavailable { .. } => "unavailable",
        _ => "other",
    }
}
