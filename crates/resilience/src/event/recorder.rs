//! The last few decisions, for tests and for whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use steadfast_time::Monotonic;

use super::{Decision, Event, Listener};
use crate::limits::RECORDS_MAX;

/// A decision that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub at: Monotonic,
    /// Whose policy.
    pub name: String,
    /// What was decided.
    pub decision: Decision,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, name, decision } = self;
        Event { at: *at, name, decision }.fmt(f)
    }
}

/// Keeps the last decisions, and forgets the oldest.
#[derive(Debug)]
pub struct Recorder {
    records: Mutex<VecDeque<Record>>,
    max: usize,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::keeping(RECORDS_MAX)
    }
}

impl Recorder {
    /// Keeps this many, but not more than [`RECORDS_MAX`] and at least one.
    #[must_use]
    pub fn keeping(max: usize) -> Self {
        Self { records: Mutex::default(), max: max.clamp(1, RECORDS_MAX) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().iter().cloned().collect()
    }

    /// What was kept, oldest first; nothing is kept any more.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        self.lock().drain(..).collect()
    }
}

impl Listener for Recorder {
    fn on(&self, event: &Event<'_>) {
        let (name, decision) = (event.name.to_owned(), event.decision.clone());
        let mut records = self.lock();
        if records.len() == self.max {
            records.pop_front();
        }
        records.push_back(Record { at: event.at, name, decision });
    }
}

impl Listener for std::sync::Arc<Recorder> {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::breaker::{Cause, Counts, State, Transition};
    use crate::event::Events;

    #[test]
    fn the_last_few_are_kept_and_an_event_reads_like_a_sentence() {
        let recorder = std::sync::Arc::new(Recorder::keeping(2));
        let events = Events::to("stock", recorder.clone());
        let counts = Counts { calls: 100, failed: 57, slow: 0 };
        for seconds in [1, 2, 60] {
            let next_probe = Some(Duration::from_secs(seconds));
            let (from, to, cause) = (State::Closed, State::Open, Cause::Failures(counts));
            let transition = Transition { from, to, cause, next_probe };
            events.emit(Monotonic::default(), || Decision::Breaker(transition));
        }
        let lines: Vec<String> = recorder.take().iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2);
        let expected = "breaker stock: CLOSED→OPEN, 57 of the last 100 failed, next probe in 60 s";
        assert_eq!(lines[1], expected);
        assert!(recorder.records().is_empty());
    }

    #[test]
    fn nobody_listening_means_nothing_made_up() {
        let events = Events::silent("stock");
        events.emit(Monotonic::default(), || unreachable!("made up for nobody"));
        assert!(!events.is_heard());
    }
}
