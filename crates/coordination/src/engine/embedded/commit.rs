//! The commit thread: takes what has come, has it logged, answers.
//!
//! While one batch is on its way to the disk the next one collects in the [`Inbox`]; under load a
//! sync is shared by everything that came during the one before it. There is one thread because
//! there is one log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use steadfast_time::Clock;
use tokio::sync::Notify;

use super::ask::{Job, Origin, Reply, ReplyTo};
use super::core::{Answers, Core};
use super::inbox::Inbox;
use super::log::Log;
use super::pace::Pace;
use super::peer::Peer;
use super::records;

/// The shortest wait: sooner the operating system does not come back anyway.
const WAIT_MIN: Duration = Duration::from_micros(50);

/// More than any single command is long.
pub(super) const COMMAND_BYTES_MAX: usize = 8_192;

/// What the thread and the handles share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    pub(super) counts: Counts,
    /// Why nothing is taken any more; set once.
    ended: OnceLock<Arc<str>>,
    end: Notify,
}

/// Sums since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) batches: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) sync_nanos: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) waits: AtomicU64,
}

impl Shared {
    /// Completes with the reason when nothing is taken any more.
    pub(super) async fn ended(&self) -> Arc<str> {
        loop {
            let mut notified = std::pin::pin!(self.end.notified());
            notified.as_mut().enable();
            if let Some(reason) = self.ended.get() {
                return Arc::clone(reason);
            }
            notified.await;
        }
    }

    /// Takes nothing any more, and says so to those who still wait.
    fn end(&self, reason: &Arc<str>) {
        self.ended.get_or_init(|| Arc::clone(reason));
        let mut answers = Vec::new();
        for job in self.inbox.end(reason) {
            if let Job::Ask { origin, to, .. } = job {
                answers.push((origin, to, Reply::stopped(reason)));
            }
        }
        give(&mut answers);
        self.end.notify_waiters();
    }
}

/// Ends everything with the thread, also when that panics.
struct OnEnd(Arc<Shared>);

impl Drop for OnEnd {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            "the commit thread has panicked; restart the server"
        } else {
            "the server is being shut down"
        };
        self.0.end(&reason.into());
    }
}

/// The thread's work, until the inbox is closed and empty, or the log stops.
pub(super) fn run(
    shared: Arc<Shared>,
    mut core: Core,
    log: Log,
    clock: &Clock,
    batch_bytes: usize,
) {
    let shared = OnEnd(shared);
    let mut pace = Pace::new(core.machine().now(), clock.monotonic());
    let mut log = Writer { log, shared: &shared.0, clock };
    let mut jobs = VecDeque::new();
    let mut answers = Answers::default();
    let shared = &shared.0;
    loop {
        let deadline = core.machine().next_deadline();
        let patience = deadline.map(|deadline| (deadline - pace.now()).max(WAIT_MIN));
        let goes_on = shared.inbox.take(&mut jobs, patience);
        note(shared, pace.advance(clock.monotonic(), patience));
        let mut result;
        // At least one round, for the sessions that are due.
        loop {
            let now = pace.now();
            core.begin(now);
            while core.batch_len() < batch_bytes {
                let Some(job) = jobs.pop_front() else { break };
                core.take(now, job, &mut answers);
            }
            core.end(now, &mut answers);
            shared.counts.waits.store(core.waits() as u64, Ordering::Relaxed);
            give(&mut answers.early);
            let force = !goes_on || core.batch_len() >= batch_bytes;
            result = log.write(&mut core, force);
            if result.is_err() {
                break;
            }
            give(&mut answers.late);
            result = log.make_room(&core, batch_bytes);
            if result.is_err() || jobs.is_empty() {
                break;
            }
        }
        note(shared, pace.advance(clock.monotonic(), Some(Duration::ZERO)));
        if let Err(reason) = result {
            stop(shared, &mut core, &mut answers, jobs, &reason);
            return;
        }
        if !goes_on {
            let reason = "the server is being shut down".into();
            core.stop(&reason, &mut answers);
            give(&mut answers.late);
            return;
        }
    }
}

fn note(shared: &Shared, stall: Option<Duration>) {
    if let Some(stall) = stall {
        shared.counts.stalls.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(?stall, "the coordination server stood still; no session loses that time");
    }
}

/// Tells everybody that the log has stopped. What they asked may be in it or not, and what the
/// machine says now may not survive a restart, so nothing of it is told.
fn stop(
    shared: &Shared,
    core: &mut Core,
    answers: &mut Answers,
    jobs: VecDeque<Job>,
    reason: &Arc<str>,
) {
    tracing::error!(%reason, "the coordination server takes nothing any more");
    for (_, _, reply) in &mut answers.late {
        *reply = Reply::stopped(reason);
    }
    core.stop(reason, answers);
    for job in jobs {
        if let Job::Ask { origin, to, .. } = job {
            answers.late.push((origin, to, Reply::stopped(reason)));
        }
    }
    shared.end(reason);
    give(&mut answers.late);
}

/// Gives answers; those of one connection together.
fn give(answers: &mut Vec<(Origin, ReplyTo, Reply)>) {
    let mut peers: Vec<Arc<Peer>> = Vec::new();
    for (origin, to, reply) in answers.drain(..) {
        match to {
            // Who does not wait any more does not mind.
            ReplyTo::Task(task) => drop(task.send(reply)),
            ReplyTo::Peer(peer) => {
                peer.answer(origin.request, &reply);
                if peers.iter().all(|known| !Arc::ptr_eq(known, &peer)) {
                    peers.push(peer);
                }
            }
        }
    }
    for peer in peers {
        peer.flush();
    }
}

/// The log, counted.
struct Writer<'a> {
    log: Log,
    shared: &'a Shared,
    clock: &'a Clock,
}

impl Writer<'_> {
    /// Writes the batch if somebody waits for it, or `force`.
    fn write(&mut self, core: &mut Core, force: bool) -> Result<(), Arc<str>> {
        let Some((time, commands, batch)) = core.batch(force) else { return Ok(()) };
        let before = self.clock.monotonic();
        self.log.append(time.0, batch).map_err(|error| Arc::from(error.to_string()))?;
        let took = self.clock.monotonic() - before;
        let counts = &self.shared.counts;
        counts.batches.fetch_add(1, Ordering::Relaxed);
        counts.commands.fetch_add(commands as u64, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        core.written();
        Ok(())
    }

    /// Goes on in the next segment in time, so that the next batch fits: now, when the machine is
    /// as the log says and nothing waits to be written.
    fn make_room(&mut self, core: &Core, batch_bytes: usize) -> Result<(), Arc<str>> {
        if core.batch_len() > 0 || self.log.has_room(batch_bytes + COMMAND_BYTES_MAX) {
            return Ok(());
        }
        let state = records::state(core.machine());
        self.log.rotate(state).map_err(|error| Arc::from(error.to_string()))
    }
}
