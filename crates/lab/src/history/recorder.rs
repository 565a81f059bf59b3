//! Writes a history down while it happens.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use steadfast_time::Clock;

use super::event::{Event, Kind};

/// Writes events down in the order in which they happen. Clones write the same history.
#[derive(Clone, Debug)]
pub struct Recorder {
    clock: Clock,
    events: Arc<Mutex<Vec<Event>>>,
}

/// An operation that has begun. Its client must say how it ended; a client that is killed says
/// nothing, and the operation stays open.
#[must_use = "say how it ended"]
#[derive(Debug)]
pub struct Pending {
    recorder: Recorder,
    process: u64,
    f: Cow<'static, str>,
    key: Option<Cow<'static, str>>,
}

impl Recorder {
    /// An empty history; `clock` is the one that is true for all clients.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, events: Arc::default() }
    }

    fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn event(&self, kind: Kind, process: u64, f: Cow<'static, str>, value: Value) -> Event {
        let time = u64::try_from(self.clock.monotonic().since_start().as_nanos());
        let time = time.unwrap_or(u64::MAX);
        Event { process, kind, f, key: None, value, time, error: None }
    }

    /// A client asks.
    pub fn invoke(&self, process: u64, f: impl Into<Cow<'static, str>>, value: Value) -> Pending {
        self.begin(process, f.into(), None, value)
    }

    /// A client asks something of one of several objects.
    pub fn invoke_on(
        &self,
        process: u64,
        key: impl Into<Cow<'static, str>>,
        f: impl Into<Cow<'static, str>>,
        value: Value,
    ) -> Pending {
        self.begin(process, f.into(), Some(key.into()), value)
    }

    fn begin(
        &self,
        process: u64,
        f: Cow<'static, str>,
        key: Option<Cow<'static, str>>,
        value: Value,
    ) -> Pending {
        let event = self.event(Kind::Invoke, process, f.clone(), value);
        self.push(Event { key: key.clone(), ..event });
        Pending { recorder: self.clone(), process, f, key }
    }

    /// What was written down so far, taken out.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Pending {
    fn end(self, kind: Kind, value: Value, error: Option<Cow<'static, str>>) {
        let event = self.recorder.event(kind, self.process, self.f, value);
        self.recorder.push(Event { key: self.key, error, ..event });
    }

    /// It was done, and this is the answer.
    pub fn ok(self, value: Value) {
        self.end(Kind::Ok, value, None);
    }

    /// It had no effect.
    pub fn fail(self, value: Value, error: impl Into<Cow<'static, str>>) {
        self.end(Kind::Fail, value, Some(error.into()));
    }

    /// Nobody knows whether it had an effect.
    pub fn info(self, value: Value, error: impl Into<Cow<'static, str>>) {
        self.end(Kind::Info, value, Some(error.into()));
    }
}
