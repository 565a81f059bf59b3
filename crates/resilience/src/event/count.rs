//! Decisions as counters.

use super::{Decision, Event, Listener};

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
        _ => "",
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
