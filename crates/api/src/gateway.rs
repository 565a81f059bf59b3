//! What a request passes before anything is done for it: the first hop.
//!
//! The gateway spends at most its own budget (100 ms by the sources) and retries nothing. It gives
//! the request its deadline, and lets in so many at once; what waits beyond that is shed by
//! importance, newest first under overload. Couriers who report on what they are carrying come
//! first: their work finishes what has been begun. Lists come last.
//!
//! Reads of single orders wait for a disk, so they run on threads of their own, behind a policy
//! that may hedge them: a read that is stuck on one connection is made a second time on another.
//! They change nothing, so they are safe to be made twice; nothing else here is hedged.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use steadfast_dispatch::Error;
use steadfast_resilience::bulkhead::pool;
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::event::{Decision, Events};
use steadfast_resilience::policy::{Attempt, Policy};
use steadfast_resilience::retry::Repeatable;
use steadfast_resilience::shed::{Gate, Permit, Priority};
use steadfast_resilience::{Class, Error as Guarded, Refusal};
use steadfast_time::{Clock, Monotonic};

use crate::problem::{Code, Problem};

/// The gateway of a process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    gate: Arc<Gate>,
    events: Events,
    reads: Reads,
}

/// How single orders are read.
#[derive(Debug)]
pub struct Reads {
    /// The threads.
    pub pool: pool::Pool,
    /// What stands before them.
    pub policy: Policy,
    /// The routes that may be read a second time when they are slow.
    pub hedged: Vec<&'static str>,
}

impl Gateway {
    /// A gate, whose refusals are told to `events`, and threads for reads.
    #[must_use]
    pub fn new(gate: Gate, events: Events, reads: Reads) -> Self {
        Self { inner: Arc::new(Inner { gate: Arc::new(gate), events, reads }) }
    }

    /// Requests at work, requests that wait, and how many may be at work.
    #[must_use]
    pub fn figures(&self) -> (u32, u32, u32) {
        let gate = &self.inner.gate;
        (gate.in_flight(), gate.waiting(), gate.limit())
    }

    /// Whether more comes than can be done.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.inner.gate.is_overloaded()
    }

    /// Takes no more reads; those that wait are still made.
    pub fn close(&self) {
        self.inner.reads.pool.close();
    }

    /// What stands before the reads.
    #[must_use]
    pub fn reads(&self) -> &Policy {
        &self.inner.reads.policy
    }

    /// Lets a request in, or says why not.
    async fn enter(&self, priority: Priority, deadline: Deadline) -> Result<Permit, Problem> {
        let Inner { gate, events, .. } = &*self.inner;
        let permit = match gate.try_enter_owned() {
            Some(permit) => return Ok(permit),
            None => gate.enter_owned(priority, Some(deadline)).await,
        };
        permit.map_err(|refusal| {
            events.emit(gate.clock().monotonic(), || Decision::Refused(refusal.clone()));
            refused(events.name(), &refusal)
        })
    }

    /// Reads on a thread of its own.
    async fn read<T, F>(&self, route: &str, read: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Clone + Send + 'static,
    {
        let Reads { pool, policy, hedged } = &self.inner.reads;
        let safe = if hedged.contains(&route) { Repeatable::Marked } else { Repeatable::No };
        let attempt = |attempt: Attempt| {
            let job = pool.run(attempt.deadline, read.clone());
            async {
                match job.await {
                    Ok(outcome) => outcome.map_err(Failure::Service),
                    Err(error) => Err(Failure::Pool(error)),
                }
            }
        };
        let request = policy.request().repeatable(safe).classify(class::<T>);
        request.call(attempt).await.map_err(Problem::from)
    }
}

/// A request that was let in, with the time that it has. Its place is free again when this is
/// dropped. Nothing is learned from a request that was dropped before it was done: how soon its
/// client went away says nothing about us.
#[must_use = "the request's place is given back at once"]
pub(crate) struct Admitted {
    deadline: Deadline,
    /// It asked for less time than requests usually have.
    hurried: bool,
    clock: Clock,
    gateway: Option<Gateway>,
    place: Option<(Permit, Monotonic)>,
}

impl Admitted {
    /// Lets a request in that has so much time, where others usually have `usual`.
    pub(crate) async fn new(
        gateway: Option<&Gateway>,
        clock: &Clock,
        priority: Priority,
        allowed: Duration,
        usual: Duration,
    ) -> Result<Self, Problem> {
        let (deadline, hurried) = (Deadline::within(clock.monotonic(), allowed), allowed < usual);
        let place = match gateway {
            Some(gateway) => {
                let permit = gateway.enter(priority, deadline).await?;
                Some((permit, clock.monotonic()))
            }
            None => None,
        };
        Ok(Self { deadline, hurried, clock: clock.clone(), gateway: gateway.cloned(), place })
    }

    /// The moment by which the request must be answered.
    pub(crate) const fn deadline(&self) -> Monotonic {
        self.deadline.moment()
    }

    /// Does the request's work, which sees the deadline in its context. What it has handed to the
    /// journal by then may still be done; all such requests can be repeated.
    pub(crate) async fn run<T>(
        self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let (clock, left) = (self.clock.clone(), self.deadline.left(self.clock.monotonic()));
        self.keep(async { clock.timeout(left, work).await.unwrap_or_else(|_| Err(late())) }).await
    }

    /// The same for work that keeps the deadline by itself.
    pub(crate) async fn keep<T>(
        self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let done = Context::until(self.deadline).scope(work).await.map_err(Problem::from);
        self.done(done)
    }

    /// Reads something that a disk may have to be waited for.
    pub(crate) async fn read<T, F>(self, route: &str, read: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Clone + Send + 'static,
    {
        let Some(gateway) = &self.gateway else { return Ok(read()?) };
        let done = Context::until(self.deadline).scope(gateway.read(route, read)).await;
        self.done(done)
    }

    /// Gives the place back. A limit that adapts has to know how long the work took, and whether
    /// there was no capacity for it further down.
    fn done<T>(self, done: Result<T, Problem>) -> Result<T, Problem> {
        if let Some((permit, since)) = self.place {
            let now = self.clock.monotonic();
            let code = done.as_ref().err().map(Problem::code);
            // A limit that moves shows in the figures; here nobody has to be told.
            let _ = match code {
                // Who asks for the impossible does not make the gate narrower for others.
                Some(Code::DeadlineExceeded) if self.hurried => None,
                Some(Code::DeadlineExceeded | Code::Overloaded) => permit.dropped(now, now - since),
                _ => permit.success(now, now - since),
            };
        }
        done
    }
}

const fn late() -> Error {
    Error::DeadlineExceeded { what: Cow::Borrowed("not done within the deadline") }
}

/// Why a read has no result.
#[derive(Debug)]
enum Failure {
    Service(Error),
    Pool(pool::Error),
}

/// What a read says about the storage.
fn class<T>(outcome: &Result<T, Failure>) -> Class {
    match outcome {
        Ok(_) => Class::Success,
        Err(Failure::Service(Error::Unavailable { .. } | Error::Unreadable(_))) => Class::Permanent,
        Err(Failure::Service(_)) => Class::Refusal,
        Err(Failure::Pool(pool::Error::Refused(_))) => Class::TRANSIENT,
        Err(Failure::Pool(pool::Error::Panicked(_))) => Class::Permanent,
    }
}

impl From<Guarded<Failure>> for Problem {
    fn from(error: Guarded<Failure>) -> Self {
        match error {
            Guarded::Call(Failure::Service(error)) => error.into(),
            Guarded::Call(Failure::Pool(error)) => match error.refusal() {
                Some(refusal) => refused("reads", &refusal),
                None => {
                    tracing::error!(%error, "a read panicked");
                    Self::new(Code::Internal, "the read failed")
                }
            },
            Guarded::Refused { name, refusal } => refused(&name, &refusal),
            Guarded::TimedOut { name, timeout } => {
                Self::new(Code::DeadlineExceeded, format!("timeout {name}: {timeout}"))
            }
        }
    }
}

/// A policy's refusal, as the client sees it: which policy, why, and when to come back.
fn refused(name: &str, refusal: &Refusal) -> Problem {
    let detail = format!("{} {name}: {refusal}", refusal.policy());
    match (refusal, refusal.retry_after()) {
        (Refusal::Deadline(_), _) => Problem::new(Code::DeadlineExceeded, detail),
        // Also when time ran out in our queue: the request came with some, so that is our overload.
        (_, Some(retry_after)) => {
            Problem::new(Code::Overloaded, detail).with_retry_after(retry_after)
        }
        (_, None) => Problem::new(Code::Overloaded, detail),
    }
}
