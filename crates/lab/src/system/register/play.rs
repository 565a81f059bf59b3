//! A stage with replicas and clients on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_coordination::Name;
use steadfast_coordination::quorum::Replica;

use super::client::{self, Shared};
use super::replica::{Node, Remote};
use super::{Setup, broken};
use crate::Error;
use crate::fault::{AtWork, Fault, Planned};
use crate::history::{Event, Recorder};
use crate::sim::Stage;

/// Replicas, clients, and what the clients write down.
pub(super) struct Play {
    stage: Stage,
    nodes: BTreeMap<String, Arc<Node>>,
    recorder: Recorder,
}

impl Play {
    /// Sets it up; clients begin operations until `end`.
    pub(super) fn new(setup: &Setup, seed: u64, end: Duration) -> Result<Self, Error> {
        let stage = Stage::new(seed, &setup.nodes(), setup.link);
        let mut seeds = Rng::with_seed(seed ^ 0x7265_6769_7374_6572);
        let node = |name: String| (name, Arc::new(Node::new(seeds.fork())));
        let nodes: BTreeMap<_, _> = setup.replicas().into_iter().map(node).collect();
        let names = (1..=setup.keys).map(|key| Name::new(format!("key-{key}")));
        let names = names.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let recorder = Recorder::new(stage.clock());
        let shared = Shared::new(setup, names, recorder.clone(), stage.clock(), end);
        let shared = Rc::new(shared);
        for from in setup.clients() {
            let host = stage.host(&from);
            let way = |(to, node): (&String, &Arc<Node>)| -> Arc<dyn Replica> {
                let (net, node) = (stage.net(), Arc::clone(node));
                Arc::new(Remote { net, from: from.clone(), to: to.clone(), node })
            };
            let replicas: Vec<_> = nodes.iter().map(way).collect();
            let (shared, clock) = (Rc::clone(&shared), host.clock());
            let rng = Rc::new(RefCell::new(seeds.fork()));
            host.boot(move || {
                client::program(Rc::clone(&shared), replicas.clone(), clock.clone(), rng.clone())
            });
        }
        Ok(Self { stage, nodes, recorder })
    }

    pub(super) fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Plans faults.
    pub(super) fn direct(&self, schedule: &[Planned]) {
        let nodes = self.nodes.clone();
        let mut at_work = AtWork::default();
        self.stage.direct(schedule, move |fault, begins| {
            let now = at_work.change(fault, begins);
            if let Fault::Lie { node, .. } = fault
                && let Some(node) = nodes.get(node)
            {
                node.lies(if let Some(Fault::Lie { share, .. }) = now { *share } else { 0.0 });
            }
        });
    }

    /// Waits for what is under way, and gives what was written down. What has no answer by then (its
    /// client stands still) never gets one.
    pub(super) fn end(&mut self, setup: &Setup) -> Result<Vec<Event>, Error> {
        // Two halves, and a little more than their limit.
        self.stage.settle(setup.timeout.saturating_mul(3));
        let history = self.recorder.take();
        if history.is_empty() {
            return Err(broken("the trial is over before any client has asked anything"));
        }
        Ok(history)
    }
}
