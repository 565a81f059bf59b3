//! The engine in this process.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::sync::oneshot;

use super::ask::{Ask, Excess, Job, LOCAL, Origin, Reply, ReplyTo};
use super::calls::{Service, coordinator, fits};
use super::commit::{self, COMMAND_BYTES_MAX, Shared};
use super::core::Core;
use super::inbox::Rejected;
use super::log::{Error as OpenError, Log};
use super::records::Replay;
use super::{ENGINE, Options};
use crate::engine::machine::{Command, Output, Query};
use crate::limits::{EMBEDDED_BATCH_BYTES, EMBEDDED_SEGMENT_BYTES_MIN};
use crate::port::{Capabilities, Error, Name, Place, SessionId};

/// Sums since an engine was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches written to the log.
    pub batches: u64,
    /// Commands in them.
    pub commands: u64,
    /// Time spent on writing and syncing them.
    pub writing: Duration,
    /// How often the server stood still for so long that the time does not count.
    pub stalls: u64,
    /// Waits that are kept now.
    pub waits: u64,
}

/// The embedded engine, in the process that has its folder. Clones are the same engine; when the
/// last one is dropped, everything that was asked is committed and the folder is free, which takes
/// a sync and blocks for as long.
#[derive(Clone, Debug)]
pub struct Embedded {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    folder: Arc<str>,
    requests: AtomicU64,
    peers: AtomicU64,
}

impl Embedded {
    /// What it is and does, in this process and for those who reach it through its socket.
    pub const CAPABILITIES: Capabilities = super::calls::CAPABILITIES;

    /// Opens the engine in a folder, which is made when it does not exist. Reads the log back, so it
    /// blocks: for some milliseconds, or up to a second after a crash under full load.
    ///
    /// The clock must be one of real time: while nobody asks anything the engine waits with the
    /// operating system's timers.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the folder.
    pub fn open(
        folder: impl AsRef<Path>,
        clock: Clock,
        options: Options,
    ) -> Result<Self, OpenError> {
        Self::open_with(folder.as_ref(), clock, options, |_| {})
    }

    /// As [`Embedded::open`]; `change` sees the log before anything is written to it.
    pub(super) fn open_with(
        folder: &Path,
        clock: Clock,
        options: Options,
        change: impl FnOnce(&mut Log),
    ) -> Result<Self, OpenError> {
        let segment_bytes = options.segment_bytes.max(EMBEDDED_SEGMENT_BYTES_MIN);
        let batch_bytes = usize::try_from(segment_bytes / 4).unwrap_or(usize::MAX);
        let batch_bytes = batch_bytes.min(EMBEDDED_BATCH_BYTES);
        let mut replay = Replay::default();
        let mut log = Log::open(folder, segment_bytes, &mut |record| replay.take(record))?;
        change(&mut log);
        let shared = Arc::<Shared>::default();
        let mut core = Core::new(replay.machine);
        if !log.has_room(batch_bytes + COMMAND_BYTES_MAX) {
            // The folder was written with smaller segments or larger batches.
            log.rotate(super::records::state(core.machine()))?;
        }
        if replay.is_old {
            core.log(core.machine().now(), Command::Restart);
            if let Some((time, _, batch)) = core.batch(true) {
                log.append(time.0, batch)?;
            }
            core.written();
        }
        let thread = std::thread::Builder::new().name("coordination-log".to_owned());
        let for_thread = Arc::clone(&shared);
        let thread = thread
            .spawn(move || commit::run(for_thread, core, log, &clock, batch_bytes))
            .map_err(|source| OpenError::Io {
                action: "start a thread for",
                path: folder.to_owned(),
                source,
            })?;
        let inner = Inner {
            shared,
            thread: Mutex::new(Some(thread)),
            folder: folder.display().to_string().into(),
            requests: AtomicU64::new(0),
            peers: AtomicU64::new(LOCAL + 1),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Commits everything that was asked, frees the folder, and takes nothing any more. Blocks for
    /// about a sync. Requests after it, and waits, end in [`Error::Unavailable`].
    pub fn close(&self) {
        self.inner.close();
    }

    /// Completes with the reason when nothing is taken any more: after [`Embedded::close`], or
    /// because the log could not be written. Then only a restart helps.
    pub async fn ended(&self) -> Arc<str> {
        self.inner.shared.ended().await
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = &self.inner.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            batches: read(&counts.batches),
            commands: read(&counts.commands),
            writing: Duration::from_nanos(read(&counts.sync_nanos)),
            stalls: read(&counts.stalls),
            waits: read(&counts.waits),
        }
    }

    /// A number that no other connection has.
    pub(super) fn next_peer(&self) -> u64 {
        self.inner.peers.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands jobs to the commit thread. Those that it does not take are answered here.
    pub(super) fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        self.inner.shared.inbox.push(jobs, |rejected| {
            let (job, reply) = match rejected {
                Rejected::Full(job) => (job, Reply::Full(Excess::Requests)),
                Rejected::Ended(job, reason) => (job, Reply::stopped(&reason)),
            };
            match job {
                Job::Ask { to: ReplyTo::Task(task), .. } => drop(task.send(reply)),
                Job::Ask { to: ReplyTo::Peer(peer), origin, .. } => {
                    peer.answer(origin.request, &reply);
                    peer.flush();
                }
                Job::Cancel(_) | Job::CancelAll { .. } => {}
            }
        });
    }

    fn unavailable(&self, reason: Arc<str>) -> Error {
        Error::Unavailable { engine: ENGINE, address: Arc::clone(&self.inner.folder), reason }
    }
}

impl Inner {
    fn close(&self) {
        self.shared.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been reported to everybody who waited.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Tells the thread that nobody waits any more.
struct CancelOnDrop<'a> {
    engine: &'a Embedded,
    origin: Option<Origin>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(origin) = self.origin {
            self.engine.push([Job::Cancel(origin)]);
        }
    }
}

impl Service for Embedded {
    async fn ask(&self, ask: Ask) -> Result<Output, Error> {
        let request = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let origin = Origin { peer: LOCAL, request };
        let (to, answer) = oneshot::channel();
        let is_wait = ask.is_wait();
        let mut cancel = CancelOnDrop { engine: self, origin: is_wait.then_some(origin) };
        self.push([Job::Ask { ask, origin, to: ReplyTo::Task(to) }]);
        let reply = answer.await;
        cancel.origin = None;
        let reply = reply.unwrap_or_else(|_| Reply::stopped(&"the server has ended".into()));
        reply.into_result(|reason| self.unavailable(reason))
    }

    fn confused(&self) -> Error {
        self.unavailable("it gave an answer to another question".into())
    }
}

coordinator!(Embedded);
