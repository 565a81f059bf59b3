//! A trial's faults, applied to processes at their times.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};

use super::{Crew, Failure, clock};
use crate::Error;
use crate::fault::{Fault, Planned};
use crate::observed::Span;
use crate::system::Trial;

/// How often a run says how far it is, and asks whether it must not go on.
const STEP: Duration = Duration::from_millis(100);

/// A fault that began or ended, and when it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Since the beginning of the trial.
    pub at: Duration,
    /// Which of the schedule.
    pub number: usize,
    /// What.
    pub fault: Fault,
    /// Whether it began; otherwise it ended.
    pub begins: bool,
}

/// What was done, written down while it is done.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Mark>>);

impl Log {
    /// What was done so far.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When which fault was at work; one that still was, until `end`.
    #[must_use]
    pub fn spans(&self, end: Duration) -> Vec<Span> {
        let marks = self.marks();
        let until = |begun: &Mark| {
            let ended = marks.iter().find(|it| !it.begins && it.number == begun.number);
            ended.map_or(end, |it| it.at).min(end)
        };
        let begun = marks.iter().filter(|mark| mark.begins && mark.at < end);
        begun
            .map(|mark| Span {
                label: mark.fault.to_string(),
                from: mark.at.as_secs_f64(),
                to: until(mark).as_secs_f64(),
            })
            .collect()
    }
}

/// Applies faults at their times, and ends when there are no more. Pauses and kills hit the crew; of
/// the others `apply` hears, with `true` when they begin and `false` when they end.
///
/// # Errors
/// When a process that is to be hit is gone, or there is none of that name.
pub async fn direct(
    crew: &Crew<'_>,
    schedule: &[Planned],
    started: Monotonic,
    log: &Log,
    mut apply: impl FnMut(usize, &Fault, bool),
) -> Result<(), Failure> {
    let clock = clock::machine();
    let mut changes: Vec<(Duration, bool, usize)> = Vec::new();
    for (number, planned) in schedule.iter().enumerate() {
        if planned.length == Some(Duration::ZERO) {
            // It would end before it begins.
            continue;
        }
        changes.push((planned.at, true, number));
        changes.extend(planned.length.map(|length| (planned.at + length, false, number)));
    }
    // What ends makes room for what begins at the same moment.
    changes.sort_by_key(|&(at, begins, number)| (at, begins, number));
    for (at, begins, number) in changes {
        clock.sleep_until(started + at).await;
        let Some(planned) = schedule.get(number) else { continue };
        match (&planned.fault, begins) {
            (Fault::Pause { node }, true) => crew.stop(node)?,
            (Fault::Pause { node }, false) => crew.go_on(node)?,
            (Fault::Kill { node }, true) => crew.kill(node)?,
            (Fault::Kill { node }, false) => crew.start(node)?,
            (other, _) => apply(number, other, begins),
        }
        let (at, fault) = (clock.monotonic() - started, planned.fault.clone());
        let mark = Mark { at, number, fault, begins };
        log.0.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
    }
    Ok(())
}

/// Says how far a trial is, and ends when it must not go on. To be run beside it: whichever ends
/// first drops the other, and what that has started with it.
pub async fn watch(trial: &Trial<'_>, started: Monotonic, clock: &Clock) -> Error {
    loop {
        let done = clock.monotonic() - started;
        if let Err(error) = trial.progress(done) {
            return error;
        }
        clock.sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seconds: u64, number: usize, begins: bool) -> Mark {
        let fault = Fault::Pause { node: "worker-1".to_owned() };
        Mark { at: Duration::from_secs(seconds), number, fault, begins }
    }

    #[test]
    fn overlapping_faults_of_one_node_end_by_themselves() {
        let marks = [(1, 0, true), (2, 1, true), (3, 0, false), (9, 1, false), (11, 2, true)];
        let marks = marks.map(|(at, number, begins)| mark(at, number, begins)).to_vec();
        let spans = Log(Mutex::new(marks)).spans(Duration::from_secs(8));
        let times: Vec<_> = spans.iter().map(|span| (span.from, span.to)).collect();
        assert_eq!(times, [(1.0, 3.0), (2.0, 8.0)]);
    }
}
