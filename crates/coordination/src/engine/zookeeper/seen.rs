//! Which node has which token.
//!
//! The port names an entry by its token alone; ZooKeeper finds a node by its name. What was seen
//! is remembered, within bounds; what was forgotten is found again by listing the queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use steadfast_fencing::FencingToken;

use crate::limits::ZOOKEEPER_SEEN_MAX;

/// The nodes that were seen, by their tokens.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<FencingToken, Arc<str>>>);

impl Seen {
    /// Remembers a node's path. When there are too many, the oldest entry is forgotten: it is the
    /// most likely to be gone.
    pub(super) fn add(&self, token: FencingToken, path: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(token).or_insert_with(|| path.into());
        if seen.len() > ZOOKEEPER_SEEN_MAX {
            seen.pop_first();
        }
    }

    /// The path of a node, if it was seen in that queue.
    pub(super) fn path(&self, queue: &str, token: FencingToken) -> Option<Arc<str>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = seen.get(&token)?;
        let within = path.strip_prefix(queue).is_some_and(|rest| rest.starts_with('/'));
        within.then(|| Arc::clone(path))
    }

    /// Forgets a node that is gone.
    pub(super) fn remove(&self, token: FencingToken) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_in_its_own_queue_and_the_oldest_are_forgotten() {
        let token = |number: usize| FencingToken::new(number as u64).unwrap();
        let seen = Seen::default();
        for number in 1..=ZOOKEEPER_SEEN_MAX + 1 {
            seen.add(token(number), "/q/a/node");
        }
        assert_eq!(seen.path("/q/a", token(1)), None);
        assert_eq!(seen.path("/q/a", token(2)).as_deref(), Some("/q/a/node"));
        assert_eq!(seen.path("/q/b", token(2)), None);
        assert_eq!(seen.path("/q/a/no", token(2)), None);
        seen.remove(token(2));
        assert_eq!(seen.path("/q/a", token(2)), None);
    }
}
