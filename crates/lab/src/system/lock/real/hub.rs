//! Where the workers' connections end: the storage, and what they report.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::super::storage::Fence;
use super::register::{Register, Request};
use super::wire::{Hello, Phase, Report, What};
use crate::history::{Event, Kind};
use crate::limits::REPORTS_MAX;
use crate::real::{Failure, clock};

/// The one that looks at the register in the end. Workers count from 1.
const OBSERVER: u64 = 0;

/// What a worker has reported.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who.
    pub worker: u64,
    /// When, in nanoseconds of the machine's clock.
    pub at: u64,
    /// What.
    pub what: What,
}

/// Everything that is known, in the order in which it came to be known.
#[derive(Debug)]
pub struct Known {
    /// The register, and who came to it.
    pub storage: Register,
    /// The workers' reports.
    pub told: Vec<Told>,
    /// Reports beyond [`REPORTS_MAX`], which were not kept.
    pub dropped: u64,
}

impl Known {
    /// What the workers did at the storage and heard from it, in order of time. What was never
    /// answered is open in the end.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        let events = self.told.iter().filter_map(|told| match &told.what {
            What::History(event) => Some(event.clone()),
            _ => None,
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|event| event.time);
        events
    }
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    known: Mutex<Known>,
    changed: watch::Sender<()>,
    phase: watch::Sender<Phase>,
}

/// The storage, and the ear of the director. Clones are the same; its connections end with the last.
#[derive(Clone, Debug)]
pub struct Hub {
    path: PathBuf,
    shared: Arc<Shared>,
    _serving: Arc<Serving>,
}

#[derive(Debug)]
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hub {
    /// Listens in a folder, in a task of the tokio runtime that this is called on.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn listen(folder: &Path, fence: Fence) -> Result<Self, Failure> {
        let path = folder.join("hub");
        let listener = UnixListener::bind(&path)?;
        let known = Known { storage: Register::new(fence), told: Vec::new(), dropped: 0 };
        let shared = Arc::new(Shared {
            clock: clock::machine(),
            known: Mutex::new(known),
            changed: watch::Sender::new(()),
            phase: watch::Sender::new(Phase::Gathering),
        });
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let shared = Arc::clone(&served);
                // A connection that breaks is a worker that was killed; its operations stay open.
                connections.spawn(async move { drop(shared.serve(stream).await) });
            }
        });
        Ok(Self { path, shared, _serving: Arc::new(Serving(serving)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The clock of all processes.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Everything that is known now.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known()
    }

    /// Everything that was reported so far comes before this.
    #[must_use]
    pub fn position(&self) -> usize {
        self.known().told.len()
    }

    /// Waits until `look` finds something; none when it does not within the limit.
    pub async fn until<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&Known) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.shared.changed.subscribe();
        let finding = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = look(&self.known()) {
                    return found;
                }
                if changed.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        self.clock().timeout(limit, finding).await.ok()
    }

    /// Waits for a report after a position.
    pub async fn report<T>(
        &self,
        after: usize,
        limit: Duration,
        mut fits: impl FnMut(&Told) -> Option<T>,
    ) -> Option<T> {
        let mut next = after;
        let look = |known: &Known| {
            let found = known.told.iter().skip(next).find_map(&mut fits);
            next = next.max(known.told.len());
            found
        };
        self.until(limit, look).await
    }

    /// Lets the workers begin.
    pub fn begin(&self) {
        self.shared.phase.send_replace(Phase::Working);
    }

    /// Tells the workers that it is enough.
    pub fn end(&self) {
        self.shared.phase.send_replace(Phase::Ending);
    }

    /// A look at the register, as one more process of the history.
    pub fn final_read(&self) {
        let mut known = self.known();
        let event = |kind, value| {
            let time = self.clock().monotonic().as_nanos();
            Event { process: OBSERVER, kind, f: "read".into(), key: None, value, time, error: None }
        };
        let asked = event(Kind::Invoke, Value::Null);
        let value = json!(known.storage.value().last());
        for event in [asked, event(Kind::Ok, value)] {
            let (at, what) = (event.time, What::History(event));
            known.told.push(Told { worker: OBSERVER, at, what });
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, stream: UnixStream) -> Result<(), Failure> {
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        let hello = lines.next_line().await?.ok_or("nothing was said")?;
        match serde_json::from_str(&hello)? {
            Hello::Storage { worker } => {
                while let Some(line) = lines.next_line().await? {
                    let request: Request = serde_json::from_str(&line)?;
                    let now = self.clock.monotonic().as_nanos();
                    let answer = self.known().storage.serve(worker, &request, now);
                    self.changed.send_replace(());
                    let mut answer = serde_json::to_vec(&answer)?;
                    answer.push(b'\n');
                    to.write_all(&answer).await?;
                }
            }
            Hello::Reports { worker } => {
                let mut phase = self.phase.subscribe();
                let telling = async {
                    for next in [Phase::Working, Phase::Ending] {
                        if phase.wait_for(|phase| *phase >= next).await.is_err() {
                            break;
                        }
                        let mut line = serde_json::to_vec(&next)?;
                        line.push(b'\n');
                        to.write_all(&line).await?;
                    }
                    std::future::pending::<Result<(), Failure>>().await
                };
                let hearing = async {
                    while let Some(line) = lines.next_line().await? {
                        let Report { at, what } = serde_json::from_str(&line)?;
                        self.hear(Told { worker, at, what });
                    }
                    Ok::<(), Failure>(())
                };
                tokio::select! {
                    biased;
                    heard = hearing => heard?,
                    told = telling => told?,
                }
            }
        }
        Ok(())
    }

    fn hear(&self, told: Told) {
        let mut known = self.known();
        if known.told.len() < REPORTS_MAX {
            known.told.push(told);
        } else {
            known.dropped += 1;
        }
        drop(known);
        self.changed.send_replace(());
    }
}
