//! Decisions as counters.

use super::{Decision, Event, Listener};
use crate::{Refusal, bulkhead, shed};

/// The counter's name. Its labels: `name` (the dependency), `policy`, `decision`, and `reason`
/// where there are several.
pub const DECISIONS: &str = "steadfast_policy_decisions_total";

/// Counts decisions through the `metrics` facade.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

/// Why, in one word from a bounded set.
const fn reason(decision: &Decision) -> &'static str {
    match decision {
        Decision::RetryWithheld(withheld) => withheld.as_str(),
        Decision::HedgeWithheld(withheld) => withheld.as_str(),
        Decision::TimedOut(timed_out) => timed_out.scope.as_str(),
        Decision::Breaker(transition) => transition.to.as_str(),
        Decision::Refused(refusal) => refused(refusal),
        _ => "",
    }
}

/// The same of a refusal, where its policy alone does not say.
const fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Bulkhead(refused) => match refused.reason {
            bulkhead::Reason::Busy => "busy",
            bulkhead::Reason::QueueFull => "queue_full",
            bulkhead::Reason::Deadline => "deadline",
            bulkhead::Reason::WaitedTooLong => "waited_too_long",
            bulkhead::Reason::Closed => "closed",
        },
        Refusal::Shed(refused) => match refused.reason {
            shed::Reason::QueueFull => "queue_full",
            shed::Reason::Displaced => "displaced",
            shed::Reason::Deadline => "deadline",
            shed::Reason::WaitedTooLong => "waited_too_long",
        },
        Refusal::Breaker(refused) => refused.state.as_str(),
        Refusal::Deadline(_) | Refusal::Limit(_) | Refusal::Budget(_) => "",
    }
}

impl Listener for Count {
    fn on(&self, event: &Event<'_>) {
        let decision = event.decision;
        metrics::counter!(
            DECISIONS,
            "name" => event.name.to_owned(),
            "policy" => decision.policy(),
            "decision" => decision.kind(),
            "reason" => reason(decision),
        )
        .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shed::Priority;

    #[test]
    fn whoever_counts_sees_why_somebody_was_refused() {
        let time = Duration::from_millis(50);
        let reason = shed::Reason::Displaced;
        let (waited, retry_after, priority) = (time, time, Priority::Normal);
        let shed = shed::Refused { reason, priority, waited, waiting: 7, retry_after };
        assert_eq!(super::reason(&Decision::Refused(shed.into())), "displaced");
        let state = crate::breaker::State::HalfOpen;
        let breaker = crate::breaker::Refused { state, retry_after: Some(time) };
        assert_eq!(super::reason(&Decision::Refused(breaker.into())), "HALF_OPEN");
        let late = crate::deadline::Refused { left: Duration::ZERO, needed: Duration::ZERO };
        assert_eq!(super::reason(&Decision::Refused(late.into())), "");
    }
}
