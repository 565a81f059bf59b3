//! batch draft
mod commit;
mod insertion;
mod instance;
mod options;
mod route;
mod search;
pub use options::Options;
use super::{Plan, Policy, Snapshot};
use instance::Instance;
use search::Search;

/// Rolling search.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    options: Options,
}

impl Batch {
    /// new
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Policy for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn plan(&self, snapshot: &Snapshot) -> Plan {
        let instance = Instance::new(snapshot, &self.options);
        let mut search = Search::new(&instance, &self.options);
        search.run();
        commit::due(snapshot, &instance, &search.solution(), &self.options)
    }
}
