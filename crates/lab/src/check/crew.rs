//! Work on other threads, for no longer than there is time.
//!
//! The one who asks waits until the deadline and not a moment longer. What is still at work then is
//! told to stop, and does so by itself soon after.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use super::Deadline;
use super::search::Shared;
use crate::Verdict;
use crate::limits::CHECK_THREADS_MAX;

/// What came of many jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The first that is violated; of all, unless time ran out.
    pub violated: Option<usize>,
    /// The first that was not found out.
    pub unknown: Option<usize>,
    /// Whether all were looked at.
    pub is_complete: bool,
}

/// Why there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Time is over.
    Late,
    /// The machine gave no thread, or the work broke.
    Broken,
}

impl Lost {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Late => "the time is over",
            Self::Broken => "the machine gave no thread to search on, or the search broke",
        }
    }
}

fn wait<T>(answers: &Receiver<T>, deadline: &Deadline, shared: &Shared) -> Result<T, Lost> {
    let answer = answers.recv_timeout(deadline.left());
    if answer.is_err() {
        shared.stop();
    }
    answer.map_err(|error| match error {
        RecvTimeoutError::Timeout => Lost::Late,
        RecvTimeoutError::Disconnected => Lost::Broken,
    })
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("check".to_owned()).spawn(work).map(drop)
}

/// Does one thing.
pub(super) fn one<T: Send + 'static>(
    deadline: &Deadline,
    shared: &Arc<Shared>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let (send, answers) = channel();
    // Nobody listens any more after the deadline.
    spawn(move || drop(send.send(work()))).map_err(|_| Lost::Broken)?;
    wait(&answers, deadline, shared)
}

/// Does `jobs` things on several threads, in their order, and none after one that is violated.
pub(super) fn all(
    jobs: usize,
    threads_wanted: usize,
    deadline: &Deadline,
    shared: &Arc<Shared>,
    work: impl Fn(usize) -> Verdict + Send + Sync + 'static,
) -> Result<Outcome, Lost> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = threads.min(CHECK_THREADS_MAX).min(jobs).min(threads_wanted).max(1);
    let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let first = Arc::new(AtomicUsize::new(usize::MAX));
    let (send, answers) = channel();
    for _ in 0..threads {
        let (send, work, next) = (send.clone(), Arc::clone(&work), Arc::clone(&next));
        let (first, shared) = (Arc::clone(&first), Arc::clone(shared));
        spawn(move || {
            let mut unknown: Option<usize> = None;
            loop {
                let job = next.fetch_add(1, Relaxed);
                if job >= jobs || job > first.load(Relaxed) || shared.is_stopped() {
                    break;
                }
                match work(job) {
                    Verdict::Holds => {}
                    Verdict::Violated => drop(first.fetch_min(job, Relaxed)),
                    Verdict::Unknown => {
                        unknown.get_or_insert(job);
                    }
                }
            }
            // Nobody listens any more after the deadline.
            let _ = send.send(unknown);
        })
        .map_err(|_| Lost::Broken)?;
    }
    drop(send);
    let mut unknown: Option<usize> = None;
    for _ in 0..threads {
        match wait(&answers, deadline, shared) {
            Ok(found) => unknown = unknown.into_iter().chain(found).min(),
            Err(lost) => {
                let violated = Some(first.load(Relaxed)).filter(|&job| job != usize::MAX);
                if violated.is_none() {
                    return Err(lost);
                }
                return Ok(Outcome { violated, unknown, is_complete: false });
            }
        }
    }
    let violated = Some(first.load(Relaxed)).filter(|&job| job != usize::MAX);
    Ok(Outcome { violated, unknown, is_complete: true })
}
