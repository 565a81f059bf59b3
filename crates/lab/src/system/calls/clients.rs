//! Clients: they call, wait as long as they have patience, and write down what they heard.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use steadfast_time::{Clock, Monotonic};

use super::api::Unanswered;
use super::drive::{Moments, drive};
use super::meter::{Heard, Meter};
use super::settings::Settings;
use crate::history::Recorder;
use crate::system::Trial;

/// All clients of a trial. Each call is a process of its own in the history.
pub(super) struct Clients {
    clock: Clock,
    moments: Moments,
    targets: Rng,
    dependencies: Arc<[String]>,
    patience: Duration,
    history: Recorder,
    meter: Meter,
}

impl Clients {
    pub fn new(
        trial: &Trial<'_>,
        settings: &Settings,
        clock: Clock,
        history: Recorder,
        meter: Meter,
    ) -> Self {
        let Settings { arrivals, rate, patience, .. } = *settings;
        Self {
            clock,
            moments: Moments::new(arrivals, rate, trial.duration, trial.rng("arrivals")),
            targets: trial.rng("targets"),
            dependencies: settings.dependencies.as_slice().into(),
            patience,
            history,
            meter,
        }
    }

    /// Calls until the trial is over, and waits for the last answer. `call` makes a call that needs
    /// the dependency of that number.
    pub async fn run<F>(self, origin: Monotonic, call: impl Fn(usize) -> F)
    where
        F: Future<Output = Result<(), Unanswered>>,
    {
        let Self { clock, moments, mut targets, dependencies, patience, history, meter } = self;
        drive(&clock, origin, moments, |number| {
            let to = targets.usize(..dependencies.len().max(1));
            let answer = call(to);
            let (clock, history, meter) = (&clock, &history, &meter);
            let name = dependencies.get(to).cloned().unwrap_or_default();
            async move {
                let began = clock.monotonic();
                let pending = history.invoke_on(number, name, "call", Value::Null);
                let outcome = clock.timeout(patience, answer).await;
                match &outcome {
                    Ok(Ok(())) => pending.ok(Value::Null),
                    Ok(Err(unanswered)) if unanswered.doubtful => {
                        pending.info(Value::Null, unanswered.why.clone());
                    }
                    Ok(Err(unanswered)) => pending.fail(Value::Null, unanswered.why.clone()),
                    Err(_) => pending.info(Value::Null, "the client has given up"),
                }
                let took = clock.monotonic() - began;
                let answered = matches!(outcome, Ok(Ok(())));
                meter.heard(Heard { at: began - origin, took, answered, to });
            }
        })
        .await;
    }
}
