//! Replicas: they take writes, stamp them, and tell each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use steadfast_time::Clock;
use steadfast_time::logical::hybrid::{Hybrid, Options, Stamp};
use steadfast_time::logical::vector::Vector;

use super::Setup;
use super::ledger::Ledger;
use super::version::{Mark, Rule, Version, merge};
use crate::sim::{Host, Net};

/// Bytes of a version on its way.
const VERSION_BYTES: usize = 128;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) key: u64,
    pub(super) write: u64,
    /// The highest stamp that the client has read of this value.
    pub(super) stamp: Stamp,
    /// What the client has seen of this value, and this write.
    pub(super) vector: Vector<usize>,
}

/// A replica cannot take a write.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

struct Node {
    name: String,
    clock: Clock,
    hybrid: Hybrid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: BTreeMap<u64, Vec<Version>>,
    /// Writes that were taken from clients: a request that arrives twice is done once.
    taken: BTreeSet<u64>,
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All replicas. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Cluster {
    rule: Rule,
    nodes: Arc<Vec<Node>>,
    net: Net,
    ledger: Arc<Ledger>,
}

impl Cluster {
    pub(super) fn new(setup: &Setup, hosts: &[Host], net: Net, ledger: Arc<Ledger>) -> Self {
        let options = Options { max_offset: setup.max_offset, ..Options::default() };
        let node = |host: &Host| Node {
            name: host.name().to_owned(),
            clock: host.clock(),
            // A replica that is killed is none of this system's faults.
            hybrid: Hybrid::volatile(host.clock(), options),
            state: Mutex::default(),
        };
        let nodes = Arc::new(hosts.iter().map(node).collect());
        Self { rule: setup.rule, nodes, net, ledger }
    }

    /// The name of the replica that is nearest to a client.
    pub(super) fn nearest(&self, client: usize) -> (usize, &str) {
        let index = client % self.nodes.len();
        (index, &self.nodes[index].name)
    }

    /// What a replica has.
    pub(super) fn read(&self, replica: usize, key: u64) -> Vec<Version> {
        self.nodes[replica].state().values.get(&key).cloned().unwrap_or_default()
    }

    /// Everything that each replica has.
    pub(super) fn contents(&self) -> Vec<BTreeMap<u64, Vec<Version>>> {
        self.nodes.iter().map(|node| node.state().values.clone()).collect()
    }

    /// A replica takes a client's write, and tells the others.
    pub(super) fn write(&self, replica: usize, request: &Request) -> Result<(), Refusal> {
        let node = &self.nodes[replica];
        if !node.state().taken.insert(request.write) {
            return Ok(());
        }
        let mark = match self.rule {
            Rule::WallClock => Mark::WallClock(node.clock.now().as_micros(), replica),
            Rule::Hybrid => Mark::Hybrid(self.stamp(node, request.stamp)?, replica),
            Rule::Vector => Mark::Vector(request.vector.clone()),
        };
        let version = Version { write: request.write, mark };
        self.take(replica, request.key, version.clone());
        self.tell(replica, Arc::new(vec![(request.key, version)]));
        Ok(())
    }

    /// A stamp above all that this replica and the client have seen.
    fn stamp(&self, node: &Node, seen: Stamp) -> Result<Stamp, Refusal> {
        let refusal = |error| Refusal(format!("{error}"));
        let stamp = node.hybrid.now().map_err(refusal)?;
        if stamp > seen {
            return Ok(stamp);
        }
        node.hybrid.observe(seen).inspect_err(|_| self.ledger.refused()).map_err(refusal)
    }

    fn take(&self, replica: usize, key: u64, version: Version) {
        let mut state = self.nodes[replica].state();
        let kept = state.values.entry(key).or_default();
        merge(kept, version, |write, kept| self.ledger.dropped(write, kept));
    }

    /// A version from another replica.
    fn receive(&self, replica: usize, key: u64, version: &Version) {
        if let Mark::Hybrid(stamp, _) = &version.mark
            && self.nodes[replica].hybrid.observe(*stamp).is_err()
        {
            // It comes again with the gossip, when the date has caught up with it.
            self.ledger.refused();
            return;
        }
        self.take(replica, key, version.clone());
    }

    fn tell(&self, replica: usize, versions: Arc<Vec<(u64, Version)>>) {
        let bytes = versions.len() * VERSION_BYTES;
        for (other, node) in self.nodes.iter().enumerate().filter(|(other, _)| *other != replica) {
            let (cluster, versions) = (self.clone(), Arc::clone(&versions));
            self.net.post(&self.nodes[replica].name, &node.name, bytes, move || {
                let (cluster, versions) = (cluster.clone(), Arc::clone(&versions));
                async move {
                    for (key, version) in versions.iter() {
                        cluster.receive(other, *key, version);
                    }
                }
                .boxed()
            });
        }
    }

    /// Tells the others all that a replica has, again and again: whatever a partition has swallowed
    /// comes with the next round.
    pub(super) async fn gossip(self, replica: usize, clock: Clock, every: Duration) {
        loop {
            clock.sleep(every).await;
            let values = self.nodes[replica].state().values.clone();
            let versions = values.into_iter().flat_map(|(key, versions)| {
                versions.into_iter().map(move |version| (key, version))
            });
            self.tell(replica, Arc::new(versions.collect()));
        }
    }
}
