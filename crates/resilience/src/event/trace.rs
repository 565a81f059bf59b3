//! Decisions as `tracing` events.

use super::{Decision, Event, Listener};
use crate::breaker::State;

/// Writes decisions to the log. What an operator should see at once is a warning: a circuit that
/// opens, a peer that is suspected. What happens once per call under load
/// (refusals, retries, timeouts) is for whoever turns on `debug`, so that trouble does not bring
/// a flood of lines along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace;

/// How loudly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Volume {
    Warn,
    Info,
    Debug,
}

const fn volume(decision: &Decision) -> Volume {
    match decision {
        Decision::Breaker(transition) => match transition.to {
            State::Open | State::ForcedOpen | State::ForcedClosed => Volume::Warn,
            State::Closed | State::HalfOpen => Volume::Info,
        },
        Decision::Suspected(_) => Volume::Warn,
        Decision::Trusted(_) => Volume::Info,
        Decision::Refused(_)
        | Decision::TimedOut(_)
        | Decision::Retrying(_)
        | Decision::RetryWithheld(_)
        | Decision::Hedged(_)
        | Decision::HedgeWithheld(_)
        | Decision::HedgeWon(_)
        | Decision::Limit(_) => Volume::Debug,
    }
}

impl Listener for Trace {
    fn on(&self, event: &Event<'_>) {
        let (policy, name, kind) = (event.decision.policy(), event.name, event.decision.kind());
        match volume(event.decision) {
            Volume::Warn => tracing::warn!(policy, name, kind, "{event}"),
            Volume::Info => tracing::info!(policy, name, kind, "{event}"),
            Volume::Debug => tracing::debug!(policy, name, kind, "{event}"),
        }
    }
}
