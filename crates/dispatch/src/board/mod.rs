//! The board: open orders, couriers and zones as the dispatcher sees them.
//!
//! It is the fold of committed events, in commit order, plus what nobody needs to keep: signs of
//! life, and which orders and couriers are part of a write that is under way. Everything here
//! can be lost and built again from the journal. It has no clock and does no I/O.

mod apply;
mod courier;
mod estimate;
mod life;
mod snapshot;
mod zone;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Timestamp;

pub(crate) use courier::Courier;
pub(crate) use life::{Life, Moment};
pub(crate) use snapshot::{Match, Round};
pub(crate) use zone::Zone;

use life::Sign;

use crate::courier::{AssignedOrder, AssignmentView, OfferView, OfferedOrder, Shift};
use crate::geo::Location;
use crate::names::{CourierId, OfferId, OrderId, ZoneId};
use crate::order::Order;
use crate::policy::{ServiceTimes, Travel};
use crate::zone::{PolicyName, ZoneSettings, ZoneView};

/// What the board has to know of the deployment.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) policy: PolicyName,
    pub(crate) travel: Travel,
    pub(crate) service: ServiceTimes,
    pub(crate) settle: Duration,
    pub(crate) stacking: bool,
    pub(crate) default_capacity: u32,
}

/// A trip that has been offered or is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Trip {
    pub(crate) zone: ZoneId,
    pub(crate) courier: CourierId,
    /// What is left of it, in the sequence of delivery.
    pub(crate) orders: Vec<OrderId>,
    pub(crate) offered_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) accepted: bool,
}

pub(crate) struct Board {
    rules: Rules,
    zones: BTreeMap<ZoneId, Zone>,
    couriers: BTreeMap<CourierId, Courier>,
    orders: HashMap<OrderId, Arc<Order>>,
    trips: HashMap<OfferId, Trip>,
    /// The watch over signs of life; without it everybody counts as being there.
    life: Option<Life>,
}

impl Board {
    pub(crate) fn new(rules: Rules, life: Option<Life>) -> Self {
        let mut zones = BTreeMap::new();
        let settings = ZoneSettings { capacity: rules.default_capacity, area: None, policy: None };
        zones.insert(ZoneId::default_zone(), Zone::new(settings));
        Self {
            rules,
            zones,
            couriers: BTreeMap::new(),
            orders: HashMap::new(),
            trips: HashMap::new(),
            life,
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The zone that a place belongs to: the first, by name, whose area contains it.
    pub(crate) fn zone_of(&self, place: &Location) -> ZoneId {
        let contains = |zone: &Zone| zone.settings.area.is_some_and(|area| area.contains(place));
        let found = self.zones.iter().find(|(_, zone)| contains(zone));
        found.map_or_else(ZoneId::default_zone, |(id, _)| id.clone())
    }

    pub(crate) fn zones(&self) -> impl Iterator<Item = (&ZoneId, &Zone)> {
        self.zones.iter()
    }

    pub(crate) fn zone(&self, id: &ZoneId) -> Option<&Zone> {
        self.zones.get(id)
    }

    /// The zone, made with the default settings when it is new.
    pub(crate) fn zone_mut(&mut self, id: &ZoneId) -> &mut Zone {
        let capacity = self.rules.default_capacity;
        self.zones
            .entry(id.clone())
            .or_insert_with(|| Zone::new(ZoneSettings { capacity, area: None, policy: None }))
    }

    pub(crate) fn set_zone(&mut self, id: &ZoneId, settings: ZoneSettings) {
        let zone = self.zone_mut(id);
        zone.settings = settings;
        zone.dirty = true;
    }

    pub(crate) fn view_zone(&self, id: &ZoneId) -> Option<ZoneView> {
        let zone = self.zones.get(id)?;
        Some(ZoneView {
            id: id.clone(),
            capacity: zone.settings.capacity,
            area: zone.settings.area,
            policy: zone.settings.policy.unwrap_or(self.rules.policy),
            in_dispatch: zone.dispatched,
            waiting: u32::try_from(zone.waiting.len()).unwrap_or(u32::MAX),
            couriers: u32::try_from(zone.couriers.len()).unwrap_or(u32::MAX),
            token: zone.token.map(steadfast_fencing::FencingToken::get),
        })
    }

    pub(crate) fn courier(&self, id: &CourierId) -> Option<&Courier> {
        self.couriers.get(id)
    }

    /// Sets or changes a shift; also a sign of life.
    pub(crate) fn set_shift(&mut self, id: &CourierId, shift: Shift, now: Moment) {
        if let Some(known) = self.couriers.get(id)
            && known.shift.zone != shift.zone
        {
            let old = known.shift.zone.clone();
            self.zone_mut(&old).couriers.remove(id);
        }
        let zone = self.zone_mut(&shift.zone);
        zone.couriers.insert(id.clone());
        zone.dirty = true;
        match self.couriers.get_mut(id) {
            Some(courier) => courier.set_shift(shift),
            None => {
                self.couriers.insert(id.clone(), Courier::new(shift, now.at));
            }
        }
        self.sign(id, Sign::Shift, now);
        self.reckon(id);
    }

    /// Where a courier delivered last, known from before a restart.
    pub(crate) fn delivered_at(&mut self, id: &CourierId, place: Location, at: Timestamp) {
        let settle = self.rules.settle;
        if let Some(courier) = self.couriers.get_mut(id)
            && courier.shift.starts_at <= at
        {
            courier.delivered(place, at, settle);
        }
        self.reckon(id);
    }

    /// Notes a heartbeat of a courier who is known.
    pub(crate) fn heartbeat(&mut self, id: &CourierId, location: Option<Location>, now: Moment) {
        if let (Some(courier), Some(location)) = (self.couriers.get_mut(id), location) {
            courier.moved(location);
        }
        self.sign(id, Sign::Heartbeat, now);
        self.reckon(id);
    }

    pub(crate) fn order(&self, id: OrderId) -> Option<&Arc<Order>> {
        self.orders.get(&id)
    }

    pub(crate) fn trip(&self, offer: OfferId) -> Option<&Trip> {
        self.trips.get(&offer)
    }

    /// The open offers of a courier, those that end first in front.
    pub(crate) fn offers_of(&self, id: &CourierId, now: Timestamp) -> Vec<OfferView> {
        let Some(courier) = self.couriers.get(id) else { return Vec::new() };
        let open = |trip: &&Trip| !trip.accepted && trip.expires_at >= now;
        let mut offers: Vec<OfferView> = courier
            .trips
            .iter()
            .filter_map(|offer| Some((offer, self.trips.get(offer).filter(open)?)))
            .filter_map(|(offer, trip)| self.view_offer(*offer, trip))
            .collect();
        offers.sort_by_key(|offer| (offer.expires_at, offer.id));
        offers
    }

    /// The trips that a courier has taken on and not yet ended, oldest first.
    pub(crate) fn assignments_of(&self, id: &CourierId) -> Vec<AssignmentView> {
        let Some(courier) = self.couriers.get(id) else { return Vec::new() };
        let accepted = |offer: &OfferId| Some((*offer, self.trip(*offer).filter(|t| t.accepted)?));
        let view = |(id, trip): (OfferId, &Trip)| {
            let orders = trip.orders.iter().filter_map(|order| self.orders.get(order));
            let view = |order: &Arc<Order>| AssignedOrder { id: order.id, status: order.status };
            AssignmentView { id, courier: trip.courier.clone(), orders: orders.map(view).collect() }
        };
        courier.trips.iter().filter_map(accepted).map(view).collect()
    }

    fn view_offer(&self, id: OfferId, trip: &Trip) -> Option<OfferView> {
        let orders: Vec<&Arc<Order>> =
            trip.orders.iter().filter_map(|order| self.orders.get(order)).collect();
        let first = orders.first()?;
        Some(OfferView {
            id,
            courier: trip.courier.clone(),
            expires_at: trip.expires_at,
            merchant: first.request.merchant.clone(),
            pickup: first.request.pickup,
            orders: orders
                .iter()
                .map(|order| OfferedOrder {
                    id: order.id,
                    dropoff: order.request.dropoff,
                    ready_at: order.ready_at(),
                })
                .collect(),
        })
    }
}
