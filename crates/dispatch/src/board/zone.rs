//! A zone on the board.

use std::collections::{BTreeSet, HashSet};

use steadfast_fencing::FencingToken;
use steadfast_time::Timestamp;

use crate::names::{CourierId, OfferId, OrderId};
use crate::zone::ZoneSettings;

pub(crate) struct Zone {
    pub(crate) settings: ZoneSettings,
    /// Orders without a courier, by the time they were placed (their ids sort by it).
    pub(crate) waiting: BTreeSet<OrderId>,
    /// Waiting orders that are part of a write under way.
    pub(crate) reserved: HashSet<OrderId>,
    /// Orders offered, assigned or on their way.
    pub(crate) dispatched: u32,
    pub(crate) couriers: BTreeSet<CourierId>,
    /// When open offers end.
    pub(crate) expiries: BTreeSet<(Timestamp, OfferId)>,
    /// The lease on the zone, while this process holds it.
    pub(crate) token: Option<FencingToken>,
    /// Something has changed that a policy may act on.
    pub(crate) dirty: bool,
    /// A write of the dispatcher is under way.
    pub(crate) writing: bool,
}

impl Zone {
    pub(super) fn new(settings: ZoneSettings) -> Self {
        Self {
            settings,
            waiting: BTreeSet::new(),
            reserved: HashSet::new(),
            dispatched: 0,
            couriers: BTreeSet::new(),
            expiries: BTreeSet::new(),
            token: None,
            dirty: true,
            writing: false,
        }
    }

    /// How many more orders may be in dispatch.
    pub(crate) fn room(&self) -> usize {
        let out = self.dispatched as usize + self.reserved.len();
        (self.settings.capacity as usize).saturating_sub(out)
    }

    /// Offers that have ended without an answer.
    pub(crate) fn expired(&self, now: Timestamp) -> impl Iterator<Item = OfferId> {
        let over = self.expiries.iter().take_while(move |(end, _)| *end < now);
        over.map(|(_, offer)| *offer)
    }
}
