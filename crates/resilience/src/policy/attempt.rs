//! One attempt, with all that guards it.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::counters::count;
use super::{Inner, Request};
use crate::breaker::Permit;
use crate::bulkhead;
use crate::deadline::{Context, Deadline};
use crate::event::Decision;
use crate::timeout::{Limit, Scope, TimedOut, Within};
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
}

impl Which {
    pub(super) const fn of<C>(request: &Request<'_, C>) -> Self {
        Self { number: request.attempt, hedge: false, unpaid: request.attempt > 1 }
    }
}

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
    /// Makes one attempt, if every guard agrees. Whoever drops this gives back what it holds.
    pub(super) async fn attempt<T, E, C, F, Fut>(
        &self,
        now: Monotonic,
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
        let Which { number, hedge, unpaid } = which;
        let mut now = now;
        let place = match self.bulkhead.as_ref().map(|bulkhead| bulkhead.try_acquire()) {
            None => None,
            Some(Ok(place)) => Some(place),
            // A second attempt beside the first takes a free place, or none.
            Some(Err(refused)) if hedge => return self.refused(now, refused.into()),
            // Boxed, so that those who need not wait do not carry it around.
            Some(Err(_)) => match Box::pin(self.place(&mut now, context)).await {
                Ok(place) => place,
                Err(refusal) => return self.refused(now, refusal),
            },
        };
        let permit = match self.pass(now) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(now, refusal),
        };
        // Last, so that what another guard refuses costs nothing.
        if let Err(refusal) = if unpaid { self.pay(now) } else { Ok(()) } {
            return self.refused(now, refusal);
        }
        let limit = self.limit(now, number, context);
        let answer = match limit {
            Some(limit) => {
                let deadline = Some(Deadline::at(limit.at()));
                let context = Context { deadline, ..context };
                let work = context.scope(call(Attempt { number, hedge, deadline }));
                let mut work = pin!(Within::new(work, limit));
                poll_fn(|task| work.as_mut().poll(task, &self.clock)).await
            }
            None if context == Context::default() => {
                Ok(call(Attempt { number, hedge, deadline: None }).await)
            }
            None => Ok(context.scope(call(Attempt { number, hedge, deadline: None })).await),
        };
        let tried = match answer {
            Ok(outcome) => {
                let class = classify.classify(&outcome);
                Tried::Answered(outcome, class)
            }
            Err(timed_out) => Tried::TimedOut(timed_out),
        };
        self.learn(now, permit, &tried);
        drop(place);
        tried
    }

    /// A place in the bulkhead, waited for if need be. Moves `now` on when it waited.
    async fn place(
        &self,
        now: &mut Monotonic,
        context: Context,
    ) -> Result<Option<bulkhead::Permit<&bulkhead::Bulkhead>>, Refusal> {
        let Some(bulkhead) = &self.bulkhead else { return Ok(None) };
        let permit = bulkhead.acquire(context.deadline).await;
        *now = self.clock.monotonic();
        let permit = permit?;
        if let Some(deadline) = context.deadline {
            deadline.check(*now, Duration::ZERO)?;
        }
        Ok(Some(permit))
    }

    /// The breaker's leave.
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

    /// When the attempt is given up: at its own limit, or at the deadline of all, if that is
    /// earlier.
    fn limit(&self, now: Monotonic, number: u32, context: Context) -> Option<Limit> {
        let own = self.timeout.as_ref().map(|timeout| timeout.limit(now));
        let limit = match (own, context.deadline) {
            (Some(own), deadline) => Limit::new(now, own, Scope::Attempt).before(now, deadline),
            (None, Some(deadline)) => Limit::new(now, deadline.left(now), Scope::Deadline),
            (None, None) => return None,
        };
        Some(limit.attempt(number))
    }

    /// Tells every part what came of an attempt.
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
