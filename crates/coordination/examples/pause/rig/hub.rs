//! Where the workers' connections end: the storage, and what they report.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast_time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::history::{Line, Type};
use super::storage::{Ask, Fence, Storage};
use super::wire::{Hello, Report, What};
use super::{Outcome, clock};

/// What a worker has reported.
#[derive(Clone, Debug)]
pub struct Told {
    pub worker: u32,
    pub at: u64,
    pub what: What,
}

/// Everything that is known, in the order in which it came to be known.
pub struct Known {
    pub storage: Storage,
    pub told: Vec<Told>,
}

struct Shared {
    clock: Clock,
    known: Mutex<Known>,
    changed: watch::Sender<()>,
    ending: watch::Sender<bool>,
}

/// The storage, and the ear of the director. Clones are the same.
#[derive(Clone)]
pub struct Hub {
    path: PathBuf,
    shared: Arc<Shared>,
    _serving: Arc<Serving>,
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hub {
    /// Listens in a folder.
    pub fn listen(folder: &Path, fence: Fence) -> Outcome<Self> {
        let path = folder.join(format!("{fence}.hub"));
        let listener = UnixListener::bind(&path)?;
        let shared = Arc::new(Shared {
            clock: clock::machine(),
            known: Mutex::new(Known { storage: Storage::new(fence), told: Vec::new() }),
            changed: watch::Sender::new(()),
            ending: watch::Sender::new(false),
        });
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                // A connection that breaks is a worker that was killed; its operations stay open.
                tokio::spawn(async move { drop(shared.serve(stream).await) });
            }
        });
        Ok(Self { path, shared, _serving: Arc::new(Serving(serving)) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known()
    }

    /// Everything that was reported so far comes before this.
    pub fn position(&self) -> usize {
        self.known().told.len()
    }

    /// Waits until `look` finds something.
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
        self.until(limit, |known| known.told.iter().skip(after).find_map(&mut fits)).await
    }

    /// Tells the workers that it is enough.
    pub fn end(&self) {
        self.shared.ending.send_replace(true);
    }

    /// A look at the register, as one more process of the history.
    pub fn final_read(&self, process: u32) {
        let mut known = self.known();
        let before = self.clock().monotonic().as_nanos();
        let value = known.storage.value().last().copied();
        let lines = [
            Line::read(process, Type::Invoke, None, before),
            Line::read(process, Type::Ok, value, self.clock().monotonic().as_nanos()),
        ];
        known.told.extend(lines.map(|line| Told {
            worker: process,
            at: line.time,
            what: What::History(line),
        }));
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, stream: UnixStream) -> Outcome<()> {
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        let hello = lines.next_line().await?.ok_or("nothing was said")?;
        match serde_json::from_str(&hello)? {
            Hello::Storage { worker } => {
                while let Some(line) = lines.next_line().await? {
                    let ask: Ask = serde_json::from_str(&line)?;
                    let answer = self.known().storage.answer(worker, ask);
                    self.changed.send_replace(());
                    let mut answer = serde_json::to_vec(&answer)?;
                    answer.push(b'\n');
                    to.write_all(&answer).await?;
                }
            }
            Hello::Reports { worker } => {
                let mut ending = self.ending.subscribe();
                let telling = async {
                    if ending.wait_for(|is_ending| *is_ending).await.is_ok() {
                        let _ = to.write_all(b"\n").await;
                    }
                    std::future::pending::<()>().await;
                };
                let hearing = async {
                    while let Some(line) = lines.next_line().await? {
                        let Report { at, what } = serde_json::from_str(&line)?;
                        self.known().told.push(Told { worker, at, what });
                        self.changed.send_replace(());
                    }
                    Outcome::Ok(())
                };
                tokio::select! {
                    biased;
                    heard = hearing => heard?,
                    () = telling => {}
                }
            }
        }
        Ok(())
    }
}
