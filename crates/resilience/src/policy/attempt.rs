//! One attempt, with all that guards it.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::Inner;
use super::counters::count;
use crate::breaker::Permit;
use crate::bulkhead::{self, Bulkhead};
use crate::deadline::{Context, Deadline};
use crate::event::Decision;
use crate::limit::{self, Limit};
use crate::sync::AtomicU64;
use crate::timeout::{self, Scope, TimedOut, Within};
use crate::{Class, Classify, Refusal};

/// What an attempt is told about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which one it is; the first is 1.
    pub number: u32,
    /// It runs beside another one that is slow.
    pub hedge: bool,
    /// By when its answer is needed; `None` when nobody says.
    pub deadline: Option<Deadline>,
}

/// Which attempt of a call.
#[derive(Clone, Copy)]
pub(super) struct Which {
    pub(super) number: u32,
    /// Beside another one.
    pub(super) hedge: bool,
    /// Somebody else's repetition, which the budget has not been asked for yet.
    pub(super) unpaid: bool,
    /// Since when the policy's limit of all attempts together runs, if there is one.
    pub(super) overall: Option<(Monotonic, Duration)>,
}

impl Which {
    /// The end of all attempts, and whose it is.
    fn cut_off(&self, now: Monotonic, deadline: Deadline) -> timeout::Limit {
        match self.overall {
            Some((begun, overall)) if begun + overall <= deadline.moment() => {
                timeout::Limit::new(begun, overall, Scope::Overall)
            }
            _ => timeout::Limit::new(now, deadline.left(now), Scope::Deadline),
        }
    }
}

/// A place in the bulkhead, if there is one.
pub(super) type Place<'a> = Option<bulkhead::Permit<&'a Bulkhead>>;

/// How an attempt ended.
pub(super) enum Tried<T, E> {
    Answered(Result<T, E>, Class),
    TimedOut(TimedOut),
    Refused(Refusal),
}

impl<T, E> Tried<T, E> {
    pub(super) const fn class(&self) -> Class {
        match self {
            Self::Answered(_, class) => *class,
            Self::TimedOut(_) | Self::Refused(_) => Class::TRANSIENT,
        }
    }
}

impl Inner {
    /// The first guards: the deadline, and a place in the bulkhead if one is free.
    #[inline]
    pub(super) fn enter(&self, now: Monotonic, context: Context) -> Result<Place<'_>, Refusal> {
        if let Some(deadline) = context.deadline {
            deadline.check(now, Duration::ZERO)?;
        }
        Ok(self.bulkhead.as_ref().map(Bulkhead::try_acquire).transpose()?)
    }

    /// Waits for a place in the bulkhead. Moves `now` on.
    pub(super) async fn wait(
        &self,
        now: &mut Monotonic,
        context: Context,
    ) -> Result<Place<'_>, Refusal> {
        let Some(bulkhead) = &self.bulkhead else { return Ok(None) };
        let unsent = Unsent(&self.counters.unsent);
        let permit = bulkhead.acquire(context.deadline).await;
        std::mem::forget(unsent);
        *now = self.clock.monotonic();
        let permit = permit?;
        if let Some(deadline) = context.deadline {
            deadline.check(*now, Duration::ZERO)?;
        }
        Ok(Some(permit))
    }

    /// Makes one attempt, if the other guards agree too. Whoever drops this gives back what it
    /// holds.
    pub(super) async fn attempt<T, E, C, F, Fut>(
        &self,
        now: Monotonic,
        place: Place<'_>,
        which: Which,
        context: Context,
        classify: &C,
        call: F,
    ) -> Tried<T, E>
    where
        C: Classify<T, E>,
        F: FnOnce(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Which { number, hedge, unpaid, .. } = which;
        let counted = match self.limit.as_ref().map(Limit::try_acquire).transpose() {
            Ok(counted) => counted,
            Err(refused) => return self.refused(now, refused.into()),
        };
        let permit = match self.pass(now) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(now, refusal),
        };
        // Last, so that what another guard refuses costs nothing.
        if let Err(refusal) = if unpaid { self.pay(now) } else { Ok(()) } {
            return self.refused(now, refusal);
        }
        let given = self.given(now, which, context);
        let deadline = given.map(|limit| Deadline::at(limit.at()));
        let (attempt, context) =
            (Attempt { number, hedge, deadline }, Context { deadline, ..context });
        let answer = match given {
            None if context == Context::default() => Ok(call(attempt).await),
            // Called inside, for a client may look at its context as soon as it is called.
            None => Ok(context.scope(async move { call(attempt).await }).await),
            Some(limit) => {
                let work = context.scope(async move { call(attempt).await });
                let mut work = pin!(Within::new(work, limit));
                poll_fn(|task| work.as_mut().poll(task, &self.clock)).await
            }
        };
        let tried = match answer {
            Ok(outcome) => {
                let class = classify.classify(&outcome);
                Tried::Answered(outcome, class)
            }
            Err(timed_out) => Tried::TimedOut(timed_out),
        };
        if let Some(counted) = counted {
            self.sample(now, counted, &tried);
        }
        self.learn(now, permit, &tried);
        drop(place);
        tried
    }

    /// The breaker's leave.
    #[inline]
    fn pass(&self, now: Monotonic) -> Result<Option<Permit<&crate::breaker::Breaker>>, Refusal> {
        let Some(breaker) = &self.breaker else { return Ok(None) };
        let (permit, changed) = breaker.permit(now);
        self.told(now, changed);
        Ok(Some(permit?))
    }

    /// One attempt from the budget.
    fn pay(&self, now: Monotonic) -> Result<(), Refusal> {
        match self.budget.as_ref().map_or(Ok(()), |budget| budget.take(now)) {
            Ok(()) => {
                count(&self.counters.retries);
                Ok(())
            }
            Err(spent) => {
                self.budget_spent(now);
                Err(Refusal::Budget(spent))
            }
        }
    }

    /// When the attempt is given up: at its own limit, or at that of all attempts or the caller's
    /// deadline, if that is earlier.
    #[inline]
    fn given(&self, now: Monotonic, which: Which, context: Context) -> Option<timeout::Limit> {
        let own = self.timeout.as_ref().map(|timeout| timeout.limit(now));
        let limit = match (own, context.deadline) {
            (Some(own), Some(deadline)) if deadline.moment() < now + own => {
                which.cut_off(now, deadline)
            }
            (Some(own), _) => timeout::Limit::new(now, own, Scope::Attempt),
            (None, Some(deadline)) => which.cut_off(now, deadline),
            (None, None) => return None,
        };
        Some(limit.attempt(which.number))
    }

    /// Tells the concurrency limit how long an attempt took, or that there was no room for it: no
    /// answer in time, or one that says "busy". Other answers to a failed attempt say nothing
    /// about room.
    fn sample<T, E>(
        &self,
        started: Monotonic,
        counted: limit::Permit<&Limit>,
        tried: &Tried<T, E>,
    ) {
        let now = self.clock.monotonic();
        let took = now - started;
        let moved = match tried.class() {
            Class::Success | Class::Refusal => counted.success(now, took),
            Class::Transient { .. } => counted.dropped(now, took),
            Class::Permanent => None,
        };
        if let Some(changed) = moved {
            self.events.emit(now, || Decision::Limit(changed));
        }
    }

    /// Tells every part what came of an attempt.
    #[inline]
    fn learn<T, E>(
        &self,
        started: Monotonic,
        permit: Option<Permit<&crate::breaker::Breaker>>,
        tried: &Tried<T, E>,
    ) {
        let class = tried.class();
        let failed = class.is_failure();
        if let Some(permit) = permit {
            // It reads the clock only where the moment makes a difference.
            let changed = permit.record(&self.clock, class);
            if changed.is_some() {
                self.told(self.clock.monotonic(), changed);
            }
        }
        if let Some(timeout) = self.timeout.as_ref().filter(|timeout| timeout.observes()) {
            let now = self.clock.monotonic();
            match tried {
                // Only its own limit says that it was too short; one that was cut off by the
                // deadline of all says nothing, and neither does a failure, which may be quick.
                Tried::TimedOut(reached) if reached.scope == Scope::Attempt => {
                    timeout.timed_out(now, reached.limit);
                }
                Tried::Answered(..) if !failed => timeout.observe(now, now - started, None),
                Tried::TimedOut(_) | Tried::Answered(..) | Tried::Refused(_) => {}
            }
        }
        if failed {
            count(&self.counters.failures);
        }
        if let Tried::TimedOut(timed_out) = tried {
            count(&self.counters.timeouts);
            let now = self.clock.monotonic();
            self.events.emit(now, || Decision::TimedOut(*timed_out));
        }
    }

    /// An attempt that was not let through.
    pub(super) fn refused<T, E>(&self, now: Monotonic, refusal: Refusal) -> Tried<T, E> {
        count(&self.counters.refusals);
        self.events.emit(now, || Decision::Refused(refusal.clone()));
        Tried::Refused(refusal)
    }
}

/// An attempt that waits, and is counted as one that never reached the other side if nobody waits
/// for it any more.
struct Unsent<'a>(&'a AtomicU64);

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        count(self.0);
    }
}
