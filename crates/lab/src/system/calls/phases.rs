//! Which part of a trial means what: the total outage within it, and the quiet after it.

use std::time::Duration;

use crate::fault::{Fault, Planned};
use crate::system::Trial;

/// A stretch of time.
pub(super) type Stretch = (Duration, Duration);

/// The parts of a trial that its figures speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Phases {
    /// The first time that a dependency answers nobody.
    pub outage: Option<Stretch>,
    /// The second half of it: by then whoever can notice has.
    pub settled: Option<Stretch>,
    /// The second half of what remains after the last fault.
    pub quiet: Option<Stretch>,
    /// From the beginning of the first fault to the end of the last.
    pub troubled: Option<Stretch>,
    /// When the last fault ends, if it does.
    pub healed: Option<Duration>,
    /// For each dependency, whether no fault hits it.
    pub bystanders: Vec<bool>,
}

impl Phases {
    pub fn of(trial: &Trial<'_>, dependencies: &[String]) -> Self {
        let end = trial.duration;
        let until =
            |fault: &Planned| fault.length.map_or(end, |length| (fault.at + length).min(end));
        let silences = |fault: &Fault| {
            matches!(fault, Fault::Pause { .. } | Fault::Kill { .. } | Fault::Partition { .. })
        };
        let outage = trial.schedule.iter().find(|it| silences(&it.fault));
        let outage = outage.map(|it| (it.at, until(it)));
        let last = trial.schedule.iter().map(until).max();
        let healed = last.filter(|healed| *healed < end);
        let half = |(from, to): Stretch| (from + (to - from) / 2, to);
        let hit = |name: &String| trial.schedule.iter().any(|it| hits(&it.fault, name));
        Self {
            outage,
            settled: outage.map(half),
            troubled: trial.schedule.iter().map(|it| it.at).min().zip(last),
            quiet: healed.map(|healed| half((healed, end))),
            healed,
            bystanders: dependencies.iter().map(|name| !hit(name)).collect(),
        }
    }
}

fn hits(fault: &Fault, name: &str) -> bool {
    fault.nodes().any(|node| crate::fault::matches(node, name))
}
