//! What couriers do: shifts, signs of life, offers, assignments.

use std::sync::Arc;

use steadfast_journal::{self as journal, Refusal, Write};

use steadfast_resilience::Error as Guarded;

use super::Core;
use super::setting::Setting;
use crate::Error;
use crate::courier::{
    self, AssignedOrder, AssignmentView, CourierView, Heartbeat, Liveness, OfferView, Shift,
    ShiftRequest,
};
use crate::draft::{Capacity, Draft};
use crate::limits::CONFLICT_RETRIES_MAX;
use crate::names::{CourierId, OfferId, OrderId};
use crate::order::{self, CloseReason, Command, Order, Problem, Refused, Status};

/// The set of records that hold each courier's latest shift.
pub(crate) const COURIERS: &str = "couriers";

const SHIFT: Setting = Setting { category: courier::CATEGORY, kind: "shift_set", space: COURIERS };

/// Couriers: shifts, heartbeats, offers and assignments.
#[derive(Clone)]
pub struct Couriers {
    core: Arc<Core>,
}

impl Couriers {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Starts, changes or ends a shift; also a sign of life.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overloaded`], [`Error::Unavailable`].
    pub async fn put_shift(
        &self,
        id: CourierId,
        request: ShiftRequest,
    ) -> Result<CourierView, Error> {
        let core = &*self.core;
        let moment = core.moment();
        let now = moment.at;
        request.check(core.options.locations, now)?;
        let zone = request.zone.unwrap_or_else(|| core.board().zone_of(&request.location));
        let shift = Shift {
            zone,
            location: request.location,
            starts_at: request.starts_at.unwrap_or(now),
            ends_at: request.ends_at,
            capacity: request.capacity,
            auto_accept: request.auto_accept,
        };
        SHIFT.put(core, now, id.as_str(), &shift).await?;
        let view = {
            let mut board = core.board();
            board.set_shift(&id, shift, moment);
            board.courier(&id).map(|courier| courier.view(&id))
        };
        core.wake.notify_one();
        view.ok_or_else(|| not_found(&id))
    }

    /// A courier as the dispatcher sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no shift was ever set, or it ended long ago.
    pub fn get(&self, id: &CourierId) -> Result<CourierView, Error> {
        let board = self.core.board();
        board.courier(id).map(|courier| courier.view(id)).ok_or_else(|| not_found(id))
    }

    /// A heartbeat: a sign of life, and one more sample of the rhythm in which this courier's app
    /// sends them ([`courier::liveness`]). Signs of life are not stored: after a restart, everybody
    /// on shift counts as just seen.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`].
    pub fn heartbeat(&self, id: &CourierId, beat: Heartbeat) -> Result<CourierView, Error> {
        let core = &*self.core;
        if let Some(location) = &beat.location {
            order::check_location("location", location, core.options.locations)?;
        }
        let now = core.moment();
        let view = {
            let mut board = core.board();
            board.heartbeat(id, beat.location, now);
            board.courier(id).map(|courier| courier.view(id))
        };
        view.ok_or_else(|| not_found(id))
    }

    /// What the watch over the couriers' signs of life has come to; `None` when nobody is watched
    /// ([`super::Options::heartbeat_timeout`]).
    #[must_use]
    pub fn liveness(&self) -> Option<Liveness> {
        let now = self.core.clock.monotonic();
        self.core.board().liveness(now)
    }

    /// The open offers of a courier, those that end first in front.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn offers(&self, id: &CourierId) -> Result<Vec<OfferView>, Error> {
        let board = self.core.board();
        if board.courier(id).is_none() {
            return Err(not_found(id));
        }
        Ok(board.offers_of(id, self.core.clock.now()))
    }

    /// What a courier has taken on and not yet ended, oldest first, with the orders that are
    /// still to be handed over. A courier's app that has lost an answer finds its work here;
    /// like the offers, it follows the journal and may be a moment behind.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn assignments(&self, id: &CourierId) -> Result<Vec<AssignmentView>, Error> {
        let board = self.core.board();
        if board.courier(id).is_none() {
            return Err(not_found(id));
        }
        Ok(board.assignments_of(id))
    }

    /// Takes an offer. Again: the same answer.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is closed, has expired, or was made to somebody else.
    pub async fn accept(
        &self,
        offer: OfferId,
        courier: CourierId,
    ) -> Result<AssignmentView, Error> {
        let command = |courier: CourierId| Command::Accept { offer, courier };
        self.act(offer, courier, Which::All, command).await
    }

    /// Declines an offer; its orders go to the next courier.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is closed or was made to somebody else.
    pub async fn decline(&self, offer: OfferId, courier: CourierId) -> Result<(), Error> {
        let reason = CloseReason::Declined;
        let command = |courier| Command::CloseOffer { offer, courier: Some(courier), reason };
        self.act(offer, courier, Which::All, command).await.map(|_| ())
    }

    /// At the merchant's.
    ///
    /// # Errors
    /// [`Error::Refused`] when the courier does not hold the assignment.
    pub async fn arrived(
        &self,
        assignment: OfferId,
        courier: CourierId,
    ) -> Result<AssignmentView, Error> {
        let command = |courier| Command::Arrive { assignment, courier };
        self.act(assignment, courier, Which::All, command).await
    }

    /// On the way to the customers.
    ///
    /// # Errors
    /// [`Error::Refused`] when the courier does not hold the assignment.
    pub async fn picked_up(
        &self,
        assignment: OfferId,
        courier: CourierId,
    ) -> Result<AssignmentView, Error> {
        let command = |courier| Command::PickUp { assignment, courier };
        self.act(assignment, courier, Which::All, command).await
    }

    /// Handed over: one order of the trip, the next one when `order` is `None`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the courier does not hold the assignment, or it is not picked up.
    pub async fn delivered(
        &self,
        assignment: OfferId,
        courier: CourierId,
        order: Option<OrderId>,
    ) -> Result<AssignmentView, Error> {
        let command = |courier| Command::Deliver { assignment, courier };
        let which = order.map_or(Which::Next, Which::One);
        self.act(assignment, courier, which, command).await
    }

    /// One command for the orders of a trip, in one write.
    async fn act(
        &self,
        offer: OfferId,
        courier: CourierId,
        which: Which,
        command: impl Fn(CourierId) -> Command,
    ) -> Result<AssignmentView, Error> {
        let core = &*self.core;
        for attempt in 0..CONFLICT_RETRIES_MAX {
            // What is cached may be behind; a refusal counts only on what the journal has now.
            let fresh = attempt > 0;
            let mut trip = self.trip(offer, fresh)?;
            let mut write = Write::at(core.clock.now());
            let decided = decide(core, &mut write, &mut trip, which, || command(courier.clone()));
            match decided {
                Ok(()) => {}
                Err(error) if fresh => return Err(error),
                Err(_) => continue,
            }
            if !write.appends.is_empty() {
                match core.commit(write).await {
                    Ok(_) => {}
                    Err(Guarded::Call(journal::Error::Refused(Refusal::Conflict { .. }))) => {
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            for order in &trip {
                core.repository.put(Arc::clone(order));
            }
            if core.options.heartbeat_timeout.is_some() {
                core.board().acted(&courier, core.moment());
            }
            let view = |order: &Arc<Order>| AssignedOrder { id: order.id, status: order.status };
            let orders = trip.iter().map(view).collect();
            return Ok(AssignmentView { id: offer, courier, orders });
        }
        Err(super::contended())
    }

    /// The orders of an offer's trip, in the sequence of delivery.
    fn trip(&self, offer: OfferId, fresh: bool) -> Result<Vec<Arc<Order>>, Error> {
        let core = &*self.core;
        let unknown = || Error::NotFound { what: "offer", id: offer.to_string() };
        let load = |id| if fresh { core.repository.reload(id) } else { core.repository.get(id) };
        let first = load(offer.order).map_err(|error| match error {
            Error::NotFound { .. } => unknown(),
            other => other,
        })?;
        if offer.number == 0 || (fresh && offer.number > first.offers) {
            return Err(unknown());
        }
        let ids = match &first.offer {
            Some(open) if open.offer == offer => open.trip.clone(),
            // The first order has left the trip; the others may still be on it.
            _ => core.board().trip(offer).map_or_else(Vec::new, |trip| trip.orders.clone()),
        };
        if ids.is_empty() {
            return Ok(vec![first]);
        }
        ids.into_iter().map(load).collect()
    }
}

/// Which orders of a trip a command is for.
#[derive(Clone, Copy)]
enum Which {
    All,
    One(OrderId),
    Next,
}

/// Decides for those orders that the command is for. Those that have left the trip do not
/// matter as long as one is left that agrees, or agreed before.
fn decide(
    core: &Core,
    write: &mut Write,
    trip: &mut [Arc<Order>],
    which: Which,
    command: impl Fn() -> Command,
) -> Result<(), Error> {
    let next = trip.iter().position(|order| order.status != Status::Delivered).unwrap_or(0);
    let mut draft = Draft::on(write, &core.ids);
    let mut agreed = false;
    let mut refused = None;
    for (index, order) in trip.iter_mut().enumerate() {
        let wanted = match which {
            Which::All => true,
            Which::One(id) => order.id == id,
            Which::Next => index == next,
        };
        if !wanted {
            continue;
        }
        match draft.decide(order, command(), Capacity::NONE) {
            Ok(()) | Err(Error::Refused(Refused::Done)) => agreed = true,
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        _ if agreed => Ok(()),
        Some(error) => Err(error),
        None => Err(Problem::new("order", "is not part of this assignment").into()),
    }
}

fn not_found(id: &CourierId) -> Error {
    Error::NotFound { what: "courier", id: id.to_string() }
}

impl std::fmt::Debug for Couriers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Couriers").finish_non_exhaustive()
    }
}
