//! Policies think on threads that may be blocked.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, ready};
use steadfast_dispatch::Planner;
use steadfast_dispatch::policy::{Plan, Policy, Snapshot};

/// Below this product of orders and couriers a plan takes less time than changing threads.
const SMALL: usize = 20_000;

/// Runs large plans on tokio's pool for blocking work.
pub(super) struct BlockingPool;

impl Planner for BlockingPool {
    fn plan(&self, policy: Arc<dyn Policy>, snapshot: Arc<Snapshot>) -> BoxFuture<'static, Plan> {
        let greedy = policy.name() == "nearest";
        if greedy && snapshot.orders.len() * snapshot.couriers.len() < SMALL {
            return ready(policy.plan(&snapshot)).boxed();
        }
        async move {
            let planned = tokio::task::spawn_blocking(move || policy.plan(&snapshot)).await;
            planned.unwrap_or_else(|error| {
                // A policy that panics is a defect; the orders go on waiting, and it shows.
                tracing::error!(%error, "a policy failed");
                Plan::default()
            })
        }
        .boxed()
    }
}
