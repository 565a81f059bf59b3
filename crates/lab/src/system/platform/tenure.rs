//! Who holds which zone's lease, by the nodes' own words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast_coordination::event::Event;
use steadfast_time::Clock;

use super::setup::NODES;
use crate::observed::Series;

/// Changes of holders, in order of true time. Clones are the same.
#[derive(Clone)]
pub(super) struct Tenures {
    clock: Clock,
    zones: Arc<Mutex<BTreeMap<String, Changes>>>,
}

/// When which node, by its number from 1, came to hold a zone; 0 is nobody.
type Changes = Vec<(Duration, u64)>;

impl Tenures {
    /// By the clock that is true.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, zones: Arc::default() }
    }

    /// A node, by its number from 1, says what has happened to it.
    pub(super) fn hear(&self, node: u64, event: &Event) {
        let (name, holds) = match event {
            Event::Acquired { name, .. } => (name, true),
            Event::Released { name, .. } | Event::Lost { name, .. } => (name, false),
            _ => return,
        };
        let Some(zone) = name.as_str().strip_prefix("zone/") else { return };
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = zones.entry(zone.to_owned()).or_default();
        let holder = changes.last().map_or(0, |&(_, holder)| holder);
        // One that has lost it may say so long after another one has got it.
        let next = match holds {
            true => node,
            false if holder == node => 0,
            false => return,
        };
        changes.push((self.clock.monotonic().since_start(), next));
    }

    /// A curve for each zone, with at most so many points.
    pub(super) fn series(&self, most: usize) -> Vec<Series> {
        let mut states = vec!["nobody"];
        states.extend(NODES);
        let zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let curve = |(zone, changes): (&String, &Changes)| {
            let mut series = Series::states("lease", &format!("zone {zone}"), &states);
            for &(at, node) in changes.iter().take(most) {
                series.push(at, node as f64);
            }
            series
        };
        zones.iter().map(curve).collect()
    }
}
