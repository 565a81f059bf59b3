//! The way of a call through its attempts.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::attempt::Tried;
use super::counters::count;
use super::{Attempt, Inner, Request};
use crate::deadline::{Context, Deadline};
use crate::event::Decision;
use crate::hedge::Plan;
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
    let (mut now, mut context) = inner.begin(request.attempt);
    let mut machine = match inner.retry.as_ref().filter(|_| request.attempt == 1) {
        Some(retry) => Some(retry.begin(now, request.repeatable, context)),
        None => {
            inner.pay(now, &request)?;
            None
        }
    };
    let mut number = request.attempt;
    if number > 1 {
        context.repeated = true;
    }
    loop {
        let plan = inner.plan(now, request.repeatable.is_allowed(), context);
        let classify = &request.classify;
        let tried = match context.deadline.map_or(Ok(()), |d| d.check(now, Duration::ZERO)) {
            Err(refused) => inner.refused(now, refused.into()),
            Ok(()) => match plan.filter(Plan::may_hedge) {
                None => inner.attempt(now, (number, false), context, classify, &call).await,
                // Boxed, so that calls that are fast enough do not carry two attempts around.
                Some(plan) => {
                    Box::pin(inner.race(plan, number, context, classify, &call)).await
                }
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
            Ok(after) => inner.clock.sleep(after).await,
            Err(()) => return inner.finish(now, tried),
        }
        now = inner.clock.monotonic();
        number = machine.attempt();
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
    inner.pay(now, &request)?;
    context.repeated |= request.attempt > 1;
    let tried = match context.deadline.map_or(Ok(()), |d| d.check(now, Duration::ZERO)) {
        Ok(()) => {
            let which = (request.attempt, false);
            inner.attempt(now, which, context, &request.classify, call).await
        }
        Err(refused) => inner.refused(now, refused.into()),
    };
    inner.finish(now, tried)
}

impl Inner {
    /// A call begins: when, and in which context. Its deadline is the caller's, or the end of all
    /// its attempts if that is earlier.
    fn begin(&self, attempt: u32) -> (Monotonic, Context) {
        // Somebody else's second attempt is no second call.
        count(if attempt <= 1 { &self.counters.calls } else { &self.counters.retries });
        let now = self.clock.monotonic();
        let context = Context::current();
        let overall = self.options.timeout.and_then(|timeout| timeout.overall);
        match overall {
            Some(overall) => (now, context.tightened(Deadline::within(now, overall))),
            None => (now, context),
        }
    }

    /// What the only attempt of a call costs: nothing if it is the first, and counted as a call;
    /// one from the budget if somebody else repeats himself.
    fn pay<C, E>(&self, now: Monotonic, request: &Request<'_, C>) -> Result<(), Error<E>> {
        let Some(budget) = &self.budget else { return Ok(()) };
        if request.attempt <= 1 {
            budget.deposit(now);
            return Ok(());
        }
        match budget.take(now) {
            Ok(()) => Ok(()),
            Err(spent) => {
                self.budget_spent(now);
                let refusal = Refusal::Budget(spent);
                count(&self.counters.refusals);
                self.events.emit(now, || Decision::Refused(refusal.clone()));
                Err(Error::Refused { name: self.events.name().clone(), refusal })
            }
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
    fn budget_spent(&self, now: Monotonic) {
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
