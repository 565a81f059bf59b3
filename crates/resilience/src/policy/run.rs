//! The way of a call through its attempts.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::attempt::{Tried, Which};
use super::counters::count;
use super::{Attempt, Inner, Request};
use crate::deadline::{Context, Deadline};
use crate::event::Decision;
use crate::retry::{Machine, Withheld};
use crate::{Class, Classify, Error, Refusal};

/// A call with as many attempts as its policy gives it.
pub(super) async fn call<T, E, C, F, Fut>(request: Request<'_, C>, call: F) -> Result<T, Error<E>>
where
    C: Classify<T, E>,
    F: Fn(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let inner = &*request.policy.inner;
    let (mut now, mut context, mut which) = inner.begin(&request);
    let retry = inner.retry.as_ref().filter(|_| request.attempt.is_none());
    let mut machine = match retry {
        Some(retry) => Some(retry.begin(now, request.repeatable, context)),
        None => {
            inner.deposit(now, which);
            None
        }
    };
    loop {
        let classify = &request.classify;
        let entered = match inner.enter(now, context) {
            // Boxed, so that those who need not wait do not carry it around.
            Err(Refusal::Bulkhead(_)) => Box::pin(inner.wait(&mut now, context)).await,
            entered => entered,
        };
        let tried = match entered {
            Err(refusal) => inner.refused(now, refusal),
            Ok(place) => {
                // Now, so that waiting for a place is not taken for a slow answer.
                let plan = inner.plan(now, request.repeatable.is_allowed(), context);
                match plan {
                    // Boxed, so that calls that are fast enough do not carry two attempts around.
                    Some(plan) if plan.may_hedge() => {
                        Box::pin(inner.race(plan, place, which, context, classify, &call)).await
                    }
                    plan => {
                        let tried =
                            inner.attempt(now, place, which, context, classify, &call).await;
                        if let Some(plan) = plan {
                            inner.unhedged(&plan, &tried);
                        }
                        tried
                    }
                }
            }
        };
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
                count(&inner.counters.repeats);
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
    let (mut now, context, which) = inner.begin(&request);
    inner.deposit(now, which);
    let entered = match inner.enter(now, context) {
        Err(Refusal::Bulkhead(_)) => Box::pin(inner.wait(&mut now, context)).await,
        entered => entered,
    };
    let tried = match entered {
        Ok(place) => inner.attempt(now, place, which, context, &request.classify, call).await,
        Err(refusal) => inner.refused(now, refusal),
    };
    inner.finish(now, tried)
}

impl Inner {
    /// A call begins: when, in which context, and with which attempt. Its deadline is the
    /// caller's, or the end of all its attempts if that is earlier.
    #[inline]
    fn begin<C>(&self, request: &Request<'_, C>) -> (Monotonic, Context, Which) {
        let number = request.attempt.unwrap_or(1);
        let unpaid = number > 1;
        // Somebody else's second attempt is no second call.
        count(if unpaid { &self.counters.repeats } else { &self.counters.calls });
        let now = self.clock.monotonic();
        let mut context = Context::current();
        context.repeated |= unpaid;
        let overall = self.options.timeout.and_then(|timeout| timeout.overall);
        if let Some(overall) = overall {
            context = context.tightened(Deadline::within(now, overall));
        }
        let overall = overall.map(|overall| (now, overall));
        (now, context, Which { number, hedge: false, unpaid, overall })
    }

    /// The first attempt of a call is free, and counted as a call.
    #[inline]
    fn deposit(&self, now: Monotonic, which: Which) {
        if let Some(budget) = self.budget.as_ref().filter(|_| !which.unpaid) {
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
        // A policy's refusal is not a failure of the other side, has been told already, and would
        // be the same again.
        if matches!(tried, Tried::Refused(_)) {
            return Err(());
        }
        match retry.failed(machine, now, tried.class(), Duration::ZERO) {
            Ok(retrying) => {
                count(&self.counters.retries);
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
    #[inline]
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
