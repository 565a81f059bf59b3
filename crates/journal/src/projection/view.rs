//! The reading side of a projection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use steadfast_time::Clock;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::Error;
use super::control::Control;
use crate::{Journal, Position, StorageError, Store};

/// What a projection's runner is doing.
#[derive(Clone, Debug, Default)]
pub enum Condition {
    /// It has not been started.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It has ended because the journal was closed, or has been dropped.
    Stopped,
    /// It has stopped for this reason, and needs somebody to look at it.
    Failed(Arc<Error>),
}

/// How far a projection is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The last event in the view that readers see; nothing while the first one is built.
    pub live: Option<Position>,
    /// The last event in the view that is being built, if one is.
    pub building: Option<Position>,
    /// What the runner is doing.
    pub condition: Condition,
}

/// What a view and its runner share.
#[derive(Default)]
pub(super) struct Shared {
    /// How many wait for the view to catch up.
    waiting: AtomicUsize,
    /// Tells the runner that somebody began to wait.
    hurry: Notify,
}

impl Shared {
    /// Completes as soon as somebody waits.
    pub(super) async fn hurried(&self) {
        while self.waiting.load(Ordering::Acquire) == 0 {
            self.hurry.notified().await;
        }
    }
}

/// One who waits; dropping it ends the wait.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        shared.hurry.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A cheap handle on the records of a projection.
#[derive(Clone)]
pub struct View {
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) rebuilds: mpsc::Sender<oneshot::Sender<()>>,
}

impl View {
    /// The record under a key.
    ///
    /// # Errors
    /// [`Error::Building`] until the view is there; or the storage failed.
    pub fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        self.read(|store, space| store.record(space, key))
    }

    /// The records under several keys, in the order of the keys. Each is as it is when it is read,
    /// all of them from one generation.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn get_many(&self, keys: &[impl AsRef<str>]) -> Result<Vec<Option<Bytes>>, Error> {
        self.read(|store, space| {
            let records = keys.iter().map(|key| store.record(space, key.as_ref()));
            records.collect()
        })
    }

    /// The record under a key, as a value of a type.
    ///
    /// # Errors
    /// As [`View::get`]; [`Error::Shape`] when the record has another one.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.get(key)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes).map_err(|source| {
            let (projection, key) = (self.name.to_string(), key.to_owned());
            Error::Shape { projection, key, source }
        })?;
        Ok(Some(value))
    }

    /// Records whose key starts with `prefix` and comes after `after`, in key order.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.read(|store, space| store.records(space, prefix, after, limit))
    }

    /// The same, in reverse key order, starting before `before`.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn list_reverse(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        self.read(|store, space| store.records_reverse(space, prefix, before, limit))
    }

    /// Reads from the live generation. A generation is cleared only after another one has become
    /// live, so what was read is whole if the same one is live before and after.
    fn read<R>(
        &self,
        look: impl Fn(&dyn Store, &str) -> Result<R, StorageError>,
    ) -> Result<R, Error> {
        let store = self.journal.store();
        let live = || {
            let live = Control::load(store, &self.name)?.readable(self.version);
            live.ok_or_else(|| Error::Building { projection: self.name.to_string() })
        };
        let mut before = live()?;
        loop {
            let found = look(store, &before.space(&self.name))
                .map_err(|source| Error::Storage { projection: self.name.to_string(), source })?;
            let after = live()?;
            if after == before {
                return Ok(found);
            }
            before = after;
        }
    }

    /// How far the projection is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until the view contains the event at `position`, at most for `limit`: read what you
    /// have written by waiting for [`crate::Committed::head`].
    ///
    /// # Errors
    /// [`Error::Behind`] when the time is over; [`Error::Stopped`] when nobody runs the projection.
    pub async fn catch_up_to(&self, position: Position, limit: Duration) -> Result<(), Error> {
        let mut progress = self.progress.clone();
        let there = |progress: &Progress| progress.live.is_some_and(|live| live >= position);
        if there(&progress.borrow()) {
            return Ok(());
        }
        let _waiting = Waiting::begin(&self.shared);
        let wait = progress.wait_for(|progress| there(progress) || progress.has_ended());
        match self.clock.timeout(limit, wait).await {
            Ok(Ok(found)) if there(&found) => Ok(()),
            Ok(_) => Err(Error::Stopped { projection: self.name.to_string() }),
            Err(_) => Err(Error::Behind {
                projection: self.name.to_string(),
                wanted: position,
                position: self.progress().live.unwrap_or_default(),
            }),
        }
    }

    /// Builds the view anew from the first event, and completes once it is the one that readers
    /// see. One that is under way already is waited for; it applies the same rules.
    ///
    /// Dropping the future does not stop the rebuilding.
    ///
    /// # Errors
    /// [`Error::Stopped`] when nobody runs the projection.
    pub async fn rebuild(&self) -> Result<(), Error> {
        let stopped = |_| Error::Stopped { projection: self.name.to_string() };
        let (done, switched) = oneshot::channel();
        self.rebuilds.send(done).await.map_err(|_| stopped(()))?;
        switched.await.map_err(|_| stopped(()))
    }
}

impl Progress {
    /// Whether the runner has ended, well or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.condition, Condition::Stopped | Condition::Failed(_))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("name", &self.name)
            .field("progress", &self.progress())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::FutureExt;
    use steadfast_time::sim::Simulation;

    use super::super::{ApplyError, Changes, Options, Projection, Runner};
    use super::*;
    use crate::{Event, RecordChange, Write, memory};

    struct Nothing;

    impl Projection for Nothing {
        fn name(&self) -> &str {
            "nothing"
        }

        fn version(&self) -> u32 {
            1
        }

        fn apply(&self, _: &mut Changes<'_>, _: &Event) -> Result<(), ApplyError> {
            Ok(())
        }
    }

    /// The write that makes the next generation, with this one record, live, and clears the one
    /// before.
    fn next_generation(control: &mut Control, value: &'static str) -> Write {
        let mut write = Write::default();
        control.begin(1);
        let record = |space: String, value: Option<&'static str>| RecordChange {
            space: space.into(),
            key: "k".to_owned(),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        let spaces = (control.live, control.building.unwrap());
        if let Some(before) = spaces.0 {
            write.records.push(record(before.space("nothing"), None));
        }
        write.records.push(record(spaces.1.space("nothing"), Some(value)));
        control.switch();
        let (change, guard) = control.store("nothing").unwrap();
        write.records.push(change);
        write.guards.push(guard);
        write
    }

    #[test]
    fn a_read_that_is_overtaken_by_a_switch_is_repeated() {
        let clock = Simulation::new(1).clock();
        let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
        let (_runner, view) =
            Runner::new(journal.clone(), clock, Nothing, Options::default()).unwrap();
        let state = RefCell::new((writer, Control::default()));
        let switch = |value| {
            let (writer, control) = &mut *state.borrow_mut();
            let mut commit = Box::pin(journal.commit(next_generation(control, value)));
            assert!(commit.as_mut().now_or_never().is_none());
            writer.run_once().unwrap();
            commit.as_mut().now_or_never().unwrap().unwrap();
        };
        switch("1");
        assert_eq!(view.get("k").unwrap().as_deref(), Some(&b"1"[..]));
        let values = RefCell::new(vec!["3", "2"]);
        let found = view.read(|store, space| {
            // Between the look at what is live and the look at the record.
            if let Some(value) = values.borrow_mut().pop() {
                switch(value);
            }
            store.record(space, "k")
        });
        assert_eq!(found.unwrap().as_deref(), Some(&b"3"[..]));
    }
}
