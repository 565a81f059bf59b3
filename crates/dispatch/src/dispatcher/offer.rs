//! One write of a zone's dispatcher.

use std::sync::Arc;

use steadfast_fencing::FencingToken;
use steadfast_journal::{self as journal, Fence, Refusal, Write};
use steadfast_time::Timestamp;

use super::planner::Planner;
use crate::board::{Match, Round};
use crate::draft::{Capacity, Draft};
use crate::names::{OfferId, ZoneId};
use crate::order::{CloseReason, Command, Order};
use crate::policy::Policy;
use crate::service::Core;

/// What a dispatcher is about to do in a zone: take back offers that have ended without an
/// answer, let the policy decide, and make its offers.
pub(super) struct Work {
    pub(super) zone: ZoneId,
    pub(super) zone_capacity: u32,
    pub(super) token: FencingToken,
    pub(super) at: Timestamp,
    pub(super) expired: Vec<(OfferId, Vec<Arc<Order>>)>,
    pub(super) round: Option<(Round, Arc<dyn Policy>)>,
    pub(super) matches: Vec<Match>,
}

/// How it went.
pub(super) enum Outcome {
    /// There was nothing to do.
    Nothing,
    /// Committed.
    Done,
    /// Another dispatcher has the zone.
    Deposed,
    /// Something had changed; the next round sees it.
    Again,
    /// The journal is full, closed, or has failed.
    Failed(journal::Error),
}

impl Work {
    /// Plans and commits.
    pub(super) async fn carry_out(&mut self, core: &Core, planner: &dyn Planner) -> Outcome {
        if let Some((round, policy)) = self.round.take() {
            let plan = planner.plan(Arc::clone(&policy), Arc::clone(&round.snapshot)).await;
            match plan.check(&round.snapshot) {
                Ok(()) => self.matches = core.board().reserve(&self.zone, &round, &plan),
                Err(error) => {
                    tracing::error!(zone = %self.zone, policy = policy.name(), %error, "unsound plan");
                }
            }
        }
        if self.expired.is_empty() && self.matches.is_empty() {
            return Outcome::Nothing;
        }
        self.commit(core).await
    }

    /// Commits it. What cannot be any more (an order was called off a moment ago) is left out,
    /// and the rest is tried again without it.
    async fn commit(&mut self, core: &Core) -> Outcome {
        loop {
            let mut write = Write::at(self.at);
            write.fence = Some(Fence { resource: self.zone.resource(), token: self.token });
            let orders = self.draft(core, &mut write);
            if write.appends.is_empty() {
                return Outcome::Again;
            }
            match core.journal.commit(write).await {
                Ok(_) => {
                    orders.into_iter().for_each(|order| core.repository.put(order));
                    return Outcome::Done;
                }
                Err(journal::Error::Refused(Refusal::Stale { .. })) => return Outcome::Deposed,
                Err(journal::Error::Refused(Refusal::Conflict { stream, .. })) => {
                    self.leave_out(core, |order| order.id.stream() == stream);
                }
                Err(journal::Error::Refused(Refusal::OutOfBounds { counter, .. })) => {
                    if counter == self.zone.counter() {
                        // The zone is full: the board was behind.
                        self.drop_matches(core, |_| true);
                    } else {
                        self.drop_matches(core, |m| m.courier.counter() == counter);
                    }
                }
                Err(error) => return Outcome::Failed(error),
            }
        }
    }

    /// Fills the write; returns the orders as they will be.
    fn draft(&mut self, core: &Core, write: &mut Write) -> Vec<Arc<Order>> {
        let mut draft = Draft::on(write, &core.ids);
        let mut after = Vec::new();
        for (offer, orders) in &self.expired {
            let reason = CloseReason::Expired;
            for order in orders {
                let mut order = Arc::clone(order);
                let command = Command::CloseOffer { offer: *offer, courier: None, reason };
                if draft.decide(&mut order, command, Capacity::NONE).is_ok() {
                    after.push(order);
                }
            }
        }
        for Match { courier, courier_capacity, auto_accept, orders } in &self.matches {
            let Some(first) = orders.first() else { continue };
            let offer = OfferId { order: first.id, number: first.offers + 1 };
            let trip: Vec<_> = orders.iter().map(|order| order.id).collect();
            let capacity = Capacity { zone: self.zone_capacity, courier: *courier_capacity };
            for order in orders {
                let mut order = Arc::clone(order);
                let command = Command::Offer {
                    offer,
                    courier: courier.clone(),
                    trip: trip.clone(),
                    expires_at: self.at + core.options.offer_timeout,
                    token: self.token,
                };
                let accept = Command::Accept { offer, courier: courier.clone() };
                let offered = draft.decide(&mut order, command, capacity).is_ok();
                if offered && *auto_accept {
                    // Cannot be refused: it was offered to this courier just now.
                    let accepted = draft.decide(&mut order, accept, Capacity::NONE);
                    debug_assert!(accepted.is_ok());
                }
                if offered {
                    after.push(order);
                }
            }
        }
        after
    }

    /// Leaves out the trips with an order that is not as the board had it.
    fn leave_out(&mut self, core: &Core, stale: impl Fn(&Order) -> bool) {
        self.expired.retain(|(_, orders)| !orders.iter().any(|order| stale(order)));
        self.drop_matches(core, |m| m.orders.iter().any(|order| stale(order)));
    }

    fn drop_matches(&mut self, core: &Core, unwanted: impl Fn(&Match) -> bool) {
        let (dropped, kept) = std::mem::take(&mut self.matches).into_iter().partition(unwanted);
        self.matches = kept;
        core.board().unreserve(&self.zone, &dropped);
    }
}
