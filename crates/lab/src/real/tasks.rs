//! Tasks that go on whether anybody waits for them or not, and end with whoever began them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A set of tasks; all of them end when its last clone is dropped, or [`Tasks::end`] is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock();
        // Those that have ended make room.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Begins a task that goes on when nobody waits for its answer any more. The answer is an error
    /// when it was ended.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.spawn(async move {
            let answer = task.await;
            // Whoever asked may be gone.
            let _ = sender.send(answer);
        });
        receiver
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        self.lock().abort_all();
    }
}
