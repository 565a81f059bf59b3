//! From the board to a policy's snapshot, and back from its plan.

use std::collections::HashMap;
use std::sync::Arc;

use steadfast_time::Timestamp;

use super::Board;
use super::estimate::{point, seconds};
use crate::limits::OFFERS_PER_WRITE_MAX;
use crate::names::{CourierId, MerchantId, OrderId, ZoneId};
use crate::order::Order;
use crate::policy::{CandidateCourier, Plan, Snapshot, WaitingOrder};

/// One round of a zone's policy: what it sees, and what the numbers in its answer mean.
pub(crate) struct Round {
    pub(crate) snapshot: Arc<Snapshot>,
    orders: Vec<OrderId>,
    couriers: Vec<CourierId>,
}

/// Orders for one courier, reserved on the board until their write is answered.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) courier: CourierId,
    pub(crate) courier_capacity: u32,
    pub(crate) auto_accept: bool,
    pub(crate) orders: Vec<Arc<Order>>,
}

impl Board {
    /// What the zone's policy should see; `None` when there is nothing to decide.
    pub(crate) fn round(&self, id: &ZoneId, now: Timestamp) -> Option<Round> {
        let zone = self.zones.get(id)?;
        if zone.room() == 0 || zone.waiting.len() == zone.reserved.len() {
            return None;
        }
        let mut couriers = Vec::new();
        let mut candidates = Vec::new();
        for courier_id in &zone.couriers {
            let Some(courier) = self.couriers.get(courier_id) else { continue };
            let over = courier.shift.ends_at < now;
            if over || !courier.is_there {
                continue;
            }
            let idle = courier.trips.is_empty() && courier.reserved == 0 && courier.free_at <= now;
            let spare = if self.rules.stacking { courier.spare() } else { courier.shift.capacity };
            candidates.push(CandidateCourier {
                position: point(&courier.free_location),
                free_s: if self.rules.stacking {
                    seconds(now.max(courier.shift.starts_at))
                } else {
                    seconds(courier.free_at.max(courier.shift.starts_at))
                },
                off_s: seconds(courier.shift.ends_at),
                spare: spare as usize,
                may_instruct_now: courier.shift.starts_at <= now && (idle || self.rules.stacking),
            });
            couriers.push(courier_id.clone());
        }
        let index: HashMap<&CourierId, usize> =
            couriers.iter().enumerate().map(|(index, id)| (id, index)).collect();
        let mut merchants: HashMap<&MerchantId, u32> = HashMap::new();
        let mut orders = Vec::new();
        let mut waiting = Vec::new();
        for order in zone.waiting.iter().filter(|id| !zone.reserved.contains(id)) {
            let Some(order) = self.orders.get(order) else { continue };
            let next = u32::try_from(merchants.len()).unwrap_or(u32::MAX);
            let request = &order.request;
            let declined = order.declined.iter();
            waiting.push(WaitingOrder {
                merchant: *merchants.entry(&request.merchant).or_insert(next),
                pickup: point(&request.pickup),
                dropoff: point(&request.dropoff),
                placed_s: seconds(order.placed_at),
                ready_s: seconds(order.ready_at()),
                excluded: declined.filter_map(|id| index.get(id).copied()).collect(),
            });
            orders.push(order.id);
        }
        let snapshot = Snapshot {
            now_s: seconds(now),
            orders: waiting,
            couriers: candidates,
            travel: self.rules.travel,
            service: self.rules.service,
        };
        Some(Round { snapshot: Arc::new(snapshot), orders, couriers })
    }

    /// Reserves what a plan wants, as far as the zone has room and nothing has changed since the
    /// snapshot.
    pub(crate) fn reserve(&mut self, zone_id: &ZoneId, round: &Round, plan: &Plan) -> Vec<Match> {
        let mut matches = Vec::new();
        let Some(zone) = self.zones.get_mut(zone_id) else { return matches };
        let mut room = zone.room().min(OFFERS_PER_WRITE_MAX);
        for trip in &plan.trips {
            let Some(courier_id) = round.couriers.get(trip.courier) else { continue };
            let Some(courier) = self.couriers.get_mut(courier_id) else { continue };
            let ids: Vec<OrderId> =
                trip.orders.iter().filter_map(|order| round.orders.get(*order).copied()).collect();
            let free = |id: &OrderId| zone.waiting.contains(id) && !zone.reserved.contains(id);
            let size = ids.len();
            if size > room || size > courier.spare() as usize || !ids.iter().all(free) {
                continue;
            }
            let orders: Vec<_> = ids.iter().filter_map(|id| self.orders.get(id).cloned()).collect();
            if orders.is_empty() || orders.len() != size {
                continue;
            }
            room -= size;
            zone.reserved.extend(&ids);
            courier.reserved += u32::try_from(size).unwrap_or(u32::MAX);
            matches.push(Match {
                courier: courier_id.clone(),
                courier_capacity: courier.shift.capacity,
                auto_accept: courier.shift.auto_accept,
                orders,
            });
        }
        matches
    }

    /// Takes a reservation back whose write was refused. (One that was committed has been
    /// resolved by its own events.)
    pub(crate) fn unreserve(&mut self, zone_id: &ZoneId, matches: &[Match]) {
        for Match { courier, orders, .. } in matches {
            for order in orders {
                let zone = self.zone_mut(zone_id);
                if !zone.reserved.remove(&order.id) {
                    continue;
                }
                zone.dirty = true;
                if let Some(courier) = self.couriers.get_mut(courier) {
                    courier.reserved = courier.reserved.saturating_sub(1);
                }
            }
        }
    }
}
