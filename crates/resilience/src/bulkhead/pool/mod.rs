//! Threads for work that blocks.
//!
//! **When to use it:** for a library or a system call that has no asynchronous form: a file, an
//! embedded database, a slow hash. On an executor's own thread it would stop every task there; on
//! a pool that all blocking work shares (`tokio::task::spawn_blocking`: 512 threads and an
//! unbounded queue) one stuck disk takes the threads of all the others. A pool per dependency is
//! the bulkhead for this kind of work. **When not:** for anything that can be awaited.
//!
//! **How it behaves.** The queue is bounded: full means a refusal at once. A job is not begun when
//! its deadline has passed, or when its caller has gone (its place in the queue is free at once).
//! A job that has begun cannot be stopped: its caller may go, the thread works on. A job that
//! panics is an error for its caller; the thread goes on.
//!
//! **How it ends.** Dropping the pool takes no more jobs, refuses those that wait, and does *not*
//! wait for those at work: a drop that joined would block an executor's thread for as long as the
//! slowest job takes. [`Pool::shutdown`] is for those who want to wait: it works off what waits and
//! completes when the last thread is at its end.
//!
//! **What it costs:** two thread switches and two allocations per job: 5 µs there and back for a job
//! that does nothing, where `spawn_blocking` takes 13 µs (`benches/bulkhead.rs`).
//!
//! ```
//! use steadfast_resilience::bulkhead::{Pool, pool};
//! use steadfast_time::Clock;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let options = pool::Options { threads: 2, queue: 16 };
//! let disk = Pool::new("disk", &options, Clock::system())?;
//! let sum = disk.run(None, || (1..=10).sum::<u32>()).await;
//! assert_eq!(sum, Ok(55));
//! let failed = disk.run(None, || -> u32 { panic!("bad sector") }).await;
//! assert_eq!(failed.unwrap_err().to_string(), "the job panicked: bad sector");
//! disk.shutdown().await;
//! # Ok::<(), pool::StartError>(())
//! # }).unwrap();
//! ```

mod error;
mod options;
mod queue;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures::future::{Either, select};
use steadfast_time::Clock;
use tokio::sync::{mpsc, oneshot};

use super::Ticket;
use crate::deadline::Deadline;

pub use error::{Error, StartError};
pub use options::Options;
use queue::{Job, Next, Queue};

/// So many threads, and a bounded queue in front of them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Ends when the last thread does.
    ended: mpsc::Receiver<std::convert::Infallible>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something came into the queue, or it was closed.
    changed: Condvar,
    clock: Clock,
}

impl Pool {
    /// Starts the threads; the operating system shows them as `name-0`, `name-1` and so on (Linux
    /// the first fifteen bytes of that).
    ///
    /// # Errors
    /// The settings make no sense, or the operating system gave no thread.
    pub fn new(name: &str, options: &Options, clock: Clock) -> Result<Self, StartError> {
        options.check()?;
        let queue = Mutex::new(Queue::new(*options));
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), clock });
        let (alive, ended) = mpsc::channel(1);
        let pool = Self { shared, ended };
        // The name of a thread must not contain what ends it.
        let name = name.replace('\0', "?");
        for number in 0..options.threads {
            let (shared, alive) = (Arc::clone(&pool.shared), alive.clone());
            // If there is none, dropping `pool` ends the others.
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                shared.work();
                drop(alive);
            })?;
        }
        Ok(pool)
    }

    /// Runs `work` on one of the threads, if it can begin before the deadline. It has its place in
    /// the queue when this returns, not only when the future is polled. Dropping the future takes
    /// the job out of the queue; one that has begun runs to its end, and its result is dropped.
    ///
    /// # Errors
    /// [`Error::Refused`] if it did not begin, [`Error::Panicked`] if it did not end well.
    pub fn run<T, F>(
        &self,
        deadline: Option<Deadline>,
        work: F,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |begin| {
            let outcome = begin.map_err(Error::Refused).and_then(|()| {
                catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Error::panicked(&*panic))
            });
            // Nobody there: whoever asked has gone.
            let _ = answer.send(outcome);
        });
        let place = self.shared.push(deadline, job);
        async move {
            let place = place?;
            let answered = match deadline {
                None => answered.await,
                Some(deadline) => {
                    let over = place.shared.clock.sleep_until(deadline.moment());
                    match select(answered, over).await {
                        Either::Left((outcome, _)) => outcome,
                        Either::Right(((), answered)) => {
                            place.give_up();
                            answered.await
                        }
                    }
                }
            };
            // A job answers, however it ends, unless what it holds panics when it is dropped.
            answered.unwrap_or_else(|_| Err(Error::Panicked("while it was dropped".to_owned())))
        }
    }

    /// Takes no more jobs, works off those that wait, and completes when all threads have ended.
    pub async fn shutdown(mut self) {
        self.close();
        while self.ended.recv().await.is_some() {}
    }

    /// Takes no more jobs. Those that wait are still worked off; then the threads end.
    pub fn close(&self) {
        self.shared.queue().close();
        self.shared.changed.notify_all();
    }

    /// Jobs at work.
    #[must_use]
    pub fn busy(&self) -> u32 {
        self.shared.queue().busy()
    }

    /// Jobs that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.shared.queue().waiting()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        let refused = self.shared.queue().empty(self.shared.clock.monotonic());
        for (job, refused) in refused {
            run(job, Err(refused));
        }
    }
}

/// A job's place in the queue, given up on drop.
struct Place {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Place {
    /// Its deadline has passed: it is refused, unless it has begun.
    fn give_up(&self) {
        let now = self.shared.clock.monotonic();
        let removed = self.shared.queue().remove(self.ticket, now);
        if let Some((job, refused)) = removed {
            run(job, Err(refused));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.shared.clock.monotonic();
        // What the job holds is dropped after the lock is free.
        let _removed = self.shared.queue().remove(self.ticket, now);
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, deadline: Option<Deadline>, job: Job) -> Result<Place, Error> {
        let now = self.clock.monotonic();
        let ticket = self.queue().push(now, deadline, job)?;
        self.changed.notify_one();
        Ok(Place { shared: Arc::clone(self), ticket })
    }

    /// What each thread does until the pool is closed and the queue is empty.
    fn work(&self) {
        let mut queue = self.queue();
        loop {
            match queue.take(self.clock.monotonic()) {
                Next::Run(job) => {
                    drop(queue);
                    let began = self.clock.monotonic();
                    run(job, Ok(()));
                    queue = self.queue();
                    queue.done(self.clock.monotonic() - began);
                }
                Next::Skip(job, refused) => {
                    drop(queue);
                    run(job, Err(refused));
                    queue = self.queue();
                }
                Next::Wait => {
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                Next::End => return,
            }
        }
    }
}

/// A job catches its own panics; those of values that are dropped because nobody waits for them
/// any more are caught here.
fn run(job: Job, begin: Result<(), super::Refused>) {
    let _ = catch_unwind(AssertUnwindSafe(|| job(begin)));
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue();
        f.debug_struct("Shared")
            .field("busy", &queue.busy())
            .field("waiting", &queue.waiting())
            .finish_non_exhaustive()
    }
}
