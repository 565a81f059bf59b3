//! The way of a call through its attempts.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::attempt::{Tried, Which};
use super::counters::count;
use super::{Attempt, Inner, Request};
use crate::deadline::{Context, Deadline};
use crate::event::Decision;
use crate::hedge::Plan;
use crate::retry::{Machine, Withheld};
use crate::{Class, Classify, Error};

/// A call with as many attempts as its policy gives it.
pub(super) async fn call<T, E, C, F, Fut>(request: Request<'_, C>, call: F) -> Result<T, Error<E>>
where
    C: Classify<T, E>,
    F: Fn(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let inner = &*request.policy.inner;
    let (mut now, mut context) = inner.begin(request.attempt);
    let mut machine = match inner.retry.as_ref().filter(|_| request.attempt == 1) {
        Some(retry) => Some(retry.begin(now, request.repeatable, context)),
        None => {
            inner.deposit(now, &request);
            None
        }
    };
    let mut which = Which::of(&request);
    context.repeated |= which.unpaid;
    loop {
        let plan = inner.plan(now, request.repeatable.is_allowed(), context);
        let classify = &request.classify;
        let tried = match context.deadline.map_or(Ok(()), |d| d.check(now, Duration::ZERO)) {
            Err(refused) => inner.refused(now, refused.into()),
            Ok(()) => match plan.filter(Plan::may_hedge) {
                None => inner.attempt(now, which, context, classify, &call).await,
                // Boxed, so that calls that are fast enough do not carry two attempts around.
                Some(plan) => Box::pin(inner.race(plan, which, context, classify, &call)).await,
            },
        };
        if let Some(plan) = plan.filter(|plan| !plan.may_hedge()) {
            inner.unhedged(&plan, &tried);
        }
        let class = tried.class();
        if !class.is_failure() {
            if let Some(retry) = &inner.retry {
                retry.answered(class);
            }
            return inner.finish(now, tried);
        }
        let Some(machine) = machine.as_mut() else { return inner.finish(now, tried) };
        now = inner.clock.monotonic();
        match inner.again(now, machine, &tried) {
            Ok(after) => {
                // Not kept through the pause: an answer may hold on to its connection.
                drop(tried);
                inner.clock.sleep(after).await;
            }
            Err(()) => return inner.finish(now, tried),
        }
        now = inner.clock.monotonic();
        which = Which { number: machine.attempt(), ..which };
        context = machine.context();
    }
}

/// A call with one attempt.
pub(super) async fn once<T, E, C, F, Fut>(request: Request<'_, C>, call: F) -> Result<T, Error<E>>
where
    C: Classify<T, E>,
    F: FnOnce(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let inner = &*request.policy.inner;
    let (now, mut context) = inner.begin(request.attempt);
    inner.deposit(now, &request);
    let which = Which::of(&request);
    context.repeated |= which.unpaid;
    let tried = match context.deadline.map_or(Ok(()), |d| d.check(now, Duration::ZERO)) {
        Ok(()) => inner.attempt(now, which, context, &request.classify, call).await,
        Err(refused) => inner.refused(now, refused.into()),
    };
    inner.finish(now, tried)
}

impl Inner {
    /// A call begins: when, and in which context. Its deadline is the caller's, or the end of all
    /// its attempts if that is earlier.
    fn begin(&self, attempt: u32) -> (Monotonic, Context) {
        // Somebody else's second attempt is no second call.
        count(if attempt <= 1 { &self.counters.calls } else { &self.counters.repeats });
        let now = self.clock.monotonic();
        let context = Context::current();
        let overall = self.options.timeout.and_then(|timeout| timeout.overall);
        match overall {
            Some(overall) => (now, context.tightened(Deadline::within(now, overall))),
            None => (now, context),
        }
    }

    /// The first attempt of a call is free, and counted as a call.
    fn deposit<C>(&self, now: Monotonic, request: &Request<'_, C>) {
        if let Some(budget) = self.budget.as_ref().filter(|_| request.attempt <= 1) {
            budget.deposit(now);
        }
    }

    /// An attempt has failed: after which pause is there another?
    fn again<T, E>(
        &self,
        now: Monotonic,
        machine: &mut Machine,
        tried: &Tried<T, E>,
    ) -> Result<Duration, ()> {
        let Some(retry) = &self.retry else { return Err(()) };
        // A policy's refusal is not a failure of the other side, and asking the policy again at
        // once would not change its mind.
        let decided = match tried {
            Tried::Refused(refusal) => Err(Withheld::Refused { policy: refusal.policy() }),
            Tried::Answered(..) | Tried::TimedOut(_) => {
                retry.failed(machine, now, tried.class(), Duration::ZERO)
            }
        };
        match decided {
            Ok(retrying) => {
                count(&self.counters.retries);
                count(&self.counters.repeats);
                self.events.emit(now, || Decision::Retrying(retrying));
                Ok(retrying.after)
            }
            Err(withheld) => {
                if matches!(withheld, Withheld::Budget(_)) {
                    self.budget_spent(now);
                }
                self.events.emit(now, || Decision::RetryWithheld(withheld));
                Err(())
            }
        }
    }

    /// The breaker is told that more fails than may be asked again.
    pub(super) fn budget_spent(&self, now: Monotonic) {
        if let Some(breaker) = &self.breaker {
            self.told(now, breaker.budget_spent(now));
        }
    }

    /// The end of a call.
    fn finish<T, E>(&self, now: Monotonic, tried: Tried<T, E>) -> Result<T, Error<E>> {
        if let Some(objective) = &self.objective {
            objective.record(now, matches!(tried.class(), Class::Success | Class::Refusal));
        }
        match tried {
            Tried::Answered(Ok(answer), _) => Ok(answer),
            Tried::Answered(Err(error), _) => Err(Error::Call(error)),
            Tried::TimedOut(timeout) => {
                Err(Error::TimedOut { name: self.events.name().clone(), timeout })
            }
            Tried::Refused(refusal) => {
                Err(Error::Refused { name: self.events.name().clone(), refusal })
            }
        }
    }
}
