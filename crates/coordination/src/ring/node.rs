//! A node: whom keys can belong to.

use std::sync::Arc;

/// The weight of an ordinary node, in percent.
pub const ORDINARY_PERCENT: u32 = 100;

/// One to whom keys can belong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    name: Arc<str>,
    weight_percent: u32,
    domain: Option<Arc<str>>,
}

impl Node {
    /// An ordinary node. Its place depends on the name alone, so the name must be the same in
    /// every process and after every restart: a host's name, not an address that changes.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), weight_percent: ORDINARY_PERCENT, domain: None }
    }

    /// How much of the keys it takes, in percent of an ordinary node: 200 is twice as much.
    #[must_use]
    pub const fn weighing(mut self, percent: u32) -> Self {
        self.weight_percent = percent;
        self
    }

    /// What it fails together with: a host, a rack, a zone. See
    /// [`Ring::replicas_apart`](super::Ring::replicas_apart).
    #[must_use]
    pub fn within(mut self, domain: impl Into<Arc<str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, shared.
    pub(super) const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its weight, in percent of an ordinary node.
    #[must_use]
    pub const fn weight_percent(&self) -> u32 {
        self.weight_percent
    }

    /// What it fails together with, where that was said.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// How many points of the ring it has: as many as its weight says, but one at least.
    pub(super) fn points(&self, virtual_nodes: u32) -> usize {
        let hundredfold = u64::from(virtual_nodes) * u64::from(self.weight_percent);
        usize::try_from(((hundredfold + 50) / 100).max(1)).unwrap_or(usize::MAX)
    }
}

impl From<&str> for Node {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Node {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
