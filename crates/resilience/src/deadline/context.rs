//! What travels with the work inside a process.

use std::future::Future;

use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

use super::Deadline;

task_local! {
    static CONTEXT: Context;
}

/// A future that runs in a context.
pub type Scoped<F> = TaskLocalFuture<Context, F>;

/// What travels with the work inside a process: task-local, so that it need not be handed through
/// every signature. Work that is spawned has to be given it: `tokio::spawn(context.scope(work))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// By when an answer is needed. `None`: nobody has said.
    pub deadline: Option<Deadline>,
    /// The caller is repeating itself: this work belongs to a second or later attempt of
    /// somebody further up. Retries of retries multiply (three layers of four attempts are 64
    /// calls), so layers below hold back.
    pub repeated: bool,
}

impl Context {
    /// Work that is needed by then.
    #[must_use]
    pub const fn until(deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), repeated: false }
    }

    /// That of the running task; empty when there is none.
    #[must_use]
    pub fn current() -> Self {
        CONTEXT.try_with(|context| *context).unwrap_or_default()
    }

    /// The same with a deadline that is not later than this one.
    #[must_use]
    pub fn tightened(self, deadline: Deadline) -> Self {
        let deadline = self.deadline.map_or(deadline, |own| own.min(deadline));
        Self { deadline: Some(deadline), ..self }
    }

    /// Runs work in this context.
    pub fn scope<F: Future>(self, work: F) -> Scoped<F> {
        CONTEXT.scope(self, work)
    }

    /// Runs something that does not wait in this context.
    pub fn sync_scope<T>(self, work: impl FnOnce() -> T) -> T {
        CONTEXT.sync_scope(self, work)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use steadfast_time::Monotonic;

    use super::*;

    #[test]
    fn it_holds_inside_and_not_outside_and_only_gets_tighter() {
        let at = |seconds| Deadline::at(Monotonic::from_start(Duration::from_secs(seconds)));
        assert_eq!(Context::current(), Context::default());
        let outer = Context { deadline: Some(at(5)), repeated: true };
        let seen = outer
            .scope(async {
                let inner = Context::current().tightened(at(9)).tightened(at(3));
                inner.scope(async { Context::current() }).await
            })
            .now_or_never()
            .unwrap();
        assert_eq!(seen, Context { deadline: Some(at(3)), repeated: true });
        assert_eq!(Context::current(), Context::default());
        assert_eq!(outer.sync_scope(Context::current), outer);
    }
}
