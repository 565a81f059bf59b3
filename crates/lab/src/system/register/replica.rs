//! A replica on a host, and the way to it.

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use steadfast_coordination::Name;
use steadfast_coordination::quorum::{MemoryReplica, Replica, ReplicaError, Tag, Tagged};

use super::MADE_UP;
use crate::sim::Net;

/// Bytes of a request beside its value: a name, a tag, a header. They matter only where a link has
/// a bandwidth.
const REQUEST_BYTES: usize = 128;

/// What runs on a replica's host. It keeps what it took through a kill; and it may lie.
#[derive(Debug)]
pub(super) struct Node {
    store: MemoryReplica,
    lie: Mutex<Lie>,
}

#[derive(Debug)]
struct Lie {
    share: f64,
    rng: Rng,
}

impl Node {
    pub(super) fn new(rng: Rng) -> Self {
        Self { store: MemoryReplica::new(), lie: Mutex::new(Lie { share: 0.0, rng }) }
    }

    /// From now on this share of its answers is not what it holds.
    pub(super) fn lies(&self, share: f64) {
        self.lie.lock().unwrap_or_else(PoisonError::into_inner).share = share;
    }

    async fn answer(&self, name: &Name) -> Result<Tagged, ReplicaError> {
        let held = self.store.read(name).await?;
        let mut lie = self.lie.lock().unwrap_or_else(PoisonError::into_inner);
        if lie.share == 0.0 || lie.rng.f64() >= lie.share {
            return Ok(held);
        }
        Ok(if lie.rng.bool() {
            // It denies everything.
            Tagged::default()
        } else {
            // It makes up a newer value. The same tag always has the same value, as with all others.
            let counter = held.tag.counter.saturating_add(1);
            let value = MADE_UP.saturating_add(counter).to_be_bytes().to_vec();
            Tagged { tag: Tag { counter, writer: u64::MAX }, value }
        })
    }
}

/// A client's way to a replica. A message that is lost is silence; the register has its own limit
/// for that.
pub(super) struct Remote {
    pub(super) net: Net,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) node: Arc<Node>,
}

impl Replica for Remote {
    fn read<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Tagged, ReplicaError>> {
        let (node, name) = (Arc::clone(&self.node), name.clone());
        let work = move || {
            let (node, name) = (Arc::clone(&node), name.clone());
            async move { node.answer(&name).await }.boxed()
        };
        self.call(REQUEST_BYTES, work).boxed()
    }

    fn write<'a>(
        &'a self,
        name: &'a Name,
        tagged: &'a Tagged,
    ) -> BoxFuture<'a, Result<(), ReplicaError>> {
        let bytes = REQUEST_BYTES + tagged.value.len();
        let (node, name, tagged) = (Arc::clone(&self.node), name.clone(), tagged.clone());
        let work = move || {
            let (node, name, tagged) = (Arc::clone(&node), name.clone(), tagged.clone());
            async move { node.store.write(&name, &tagged).await }.boxed()
        };
        self.call(bytes, work).boxed()
    }
}

impl Remote {
    async fn call<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn() -> BoxFuture<'static, Result<T, ReplicaError>> + Send + Sync + 'static,
    ) -> Result<T, ReplicaError> {
        match self.net.call(&self.from, &self.to, bytes, work).await {
            Ok(answer) => answer,
            Err(refused) => Err(ReplicaError(refused.to_string())),
        }
    }
}
