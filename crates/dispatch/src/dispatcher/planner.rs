//! Where policies do their thinking.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, ready};

use crate::policy::{Plan, Policy, Snapshot};

/// Runs a policy. A plan may take some tens of milliseconds of processor time, which an
/// asynchronous runtime must not spend on its own threads.
pub trait Planner: Send + Sync + 'static {
    /// The policy's plan for the snapshot.
    fn plan(&self, policy: Arc<dyn Policy>, snapshot: Arc<Snapshot>) -> BoxFuture<'static, Plan>;
}

/// Plans on the spot: for simulations and replays, which have no other thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Planner for Inline {
    fn plan(&self, policy: Arc<dyn Policy>, snapshot: Arc<Snapshot>) -> BoxFuture<'static, Plan> {
        ready(policy.plan(&snapshot)).boxed()
    }
}
