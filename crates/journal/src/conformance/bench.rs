//! An engine under test, at hand for a check.

use std::sync::Arc;

use super::Subject;
use crate::{Applied, Engine, Pruned, Refusal, Store, Write};

pub(super) struct Bench<S: Subject> {
    subject: S,
    open: Option<(S::Engine, Arc<dyn Store>)>,
}

impl<S: Subject> Bench<S> {
    pub(super) fn new(mut subject: S) -> Self {
        let engine = subject.open();
        let store = engine.store();
        Self { subject, open: Some((engine, store)) }
    }

    fn engine(&mut self) -> &mut S::Engine {
        &mut self.open.as_mut().expect("the engine is open").0
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.open.as_ref().expect("the engine is open").1.as_ref()
    }

    /// Takes the engine out; the bench is of no use until it is opened again.
    pub(super) fn take(&mut self) -> S::Engine {
        self.open.take().expect("the engine is open").0
    }

    pub(super) fn open(&mut self) {
        assert!(self.open.is_none(), "one engine at a time");
        let engine = self.subject.open();
        let store = engine.store();
        self.open = Some((engine, store));
    }

    /// Closes the engine and opens the storage again.
    pub(super) fn reopen(&mut self) {
        let mut engine = self.take();
        engine.close().expect("an engine closes");
        drop(engine);
        self.open();
    }

    /// Ends the process and opens the storage again.
    pub(super) fn crash(&mut self) {
        let engine = self.take();
        self.subject.crash(engine);
        self.open();
    }

    pub(super) fn batch(&mut self, writes: &[Write]) -> Vec<Result<Applied, Refusal>> {
        let outcomes = self.engine().commit(writes).expect("the storage works");
        assert_eq!(outcomes.len(), writes.len(), "one outcome per write");
        outcomes
    }

    /// Commits a write alone.
    pub(super) fn one(&mut self, write: Write) -> Result<Applied, Refusal> {
        self.batch(&[write]).remove(0)
    }

    /// Commits a write that nothing may refuse.
    #[track_caller]
    pub(super) fn ok(&mut self, write: Write) -> Applied {
        self.one(write).expect("nothing refuses this write")
    }

    /// Commits a write that must be refused.
    #[track_caller]
    pub(super) fn refused(&mut self, write: Write) -> Refusal {
        self.one(write).expect_err("this write must be refused")
    }

    pub(super) fn prune(&mut self, now: steadfast_time::Timestamp, limit: usize) -> Pruned {
        self.engine().prune(now, limit).expect("the storage works")
    }
}
