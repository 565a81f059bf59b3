//! Placing, showing and cancelling orders.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use steadfast_journal::{self as journal, Claim, Event, Refusal, StoredResponse, Version, Write};
use steadfast_resilience::Error as Guarded;
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_time::{Monotonic, Timestamp};

use super::Core;
use super::admission::Ticket;
use super::inflight::{InFlight, Place};
use super::key::IdempotencyKey;
use super::list::{Filter, OrderPage};
use super::tracking::Tracking;
use crate::Error;
use crate::draft::{Capacity, Draft};
use crate::limits::{
    CONFLICT_RETRIES_MAX, IDEMPOTENCY_RETENTION, ORDER_EVENTS_MAX, PAGE_EVENTS_MAX,
};
use crate::names::{OrderId, TenantId};
use crate::order::{
    CANCELLED_BY_CUSTOMER, Command, EventView, Order, OrderEvent, OrderView, PlaceOrder, Placed,
    Problem, Refused, Undo,
};

/// A moment in an order's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// After its nth event.
    Version(Version),
    /// After everything that happened up to and including then.
    Time(Timestamp),
}

/// The answer to a request to place an order.
#[derive(Clone, Debug)]
pub struct PlacedResponse {
    /// What was stored, byte for byte.
    pub response: Arc<StoredResponse>,
    /// Whether the work had been done before.
    pub replayed: bool,
}

/// Orders: place, get, list, follow, cancel.
#[derive(Clone)]
pub struct Orders {
    core: Arc<Core>,
    inflight: Arc<InFlight>,
}

impl Orders {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, inflight: Arc::default() }
    }

    /// Places an order, once per tenant and key.
    ///
    /// A request whose key is at work waits for the first one's answer, as long as `deadline`
    /// allows (or is turned away at once, if [`super::Options::attach`] says so).
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::KeyReused`], [`Error::KeyInFlight`], [`Error::Overloaded`],
    /// [`Error::DeadlineExceeded`] (then the order may or may not exist: ask again with the same
    /// key), [`Error::Unavailable`].
    pub async fn place(
        &self,
        request: PlaceOrder,
        tenant: TenantId,
        key: IdempotencyKey,
        deadline: Monotonic,
    ) -> Result<PlacedResponse, Error> {
        request.check(self.core.options.locations, self.core.clock.now())?;
        let fingerprint = fingerprint(&request)?;
        loop {
            match self.inflight.enter(&tenant, key.as_str(), fingerprint) {
                Place::First(leader) => {
                    // What the hop may spend of the request's time; the write sees what is left.
                    let now = self.core.clock.monotonic();
                    let deadline = Deadline::at(deadline).hop(now, self.core.options.hop);
                    let work = self.place_first(request, tenant, key, fingerprint, deadline);
                    let placed = Context::current().tightened(deadline).scope(work).await?;
                    leader.finish(Arc::clone(&placed.response));
                    return Ok(placed);
                }
                Place::Attached(follower) if self.core.options.attach => {
                    let left = self.left(deadline)?;
                    match self.core.clock.timeout(left, follower.wait()).await {
                        Ok(Some(response)) => {
                            return Ok(PlacedResponse { response, replayed: true });
                        }
                        Ok(None) => {}
                        Err(_) => return Err(in_flight()),
                    }
                }
                Place::Attached(_) => return Err(in_flight()),
                Place::Reused => return Err(Error::KeyReused),
                Place::Full => {
                    let retry_after = Duration::from_secs(1);
                    let what = "too many requests wait for the first one of their key".into();
                    return Err(Error::Overloaded { what, retry_after });
                }
            }
        }
    }

    fn left(&self, deadline: Monotonic) -> Result<Duration, Error> {
        let left = deadline - self.core.clock.monotonic();
        if left.is_zero() { Err(Error::late()) } else { Ok(left) }
    }

    async fn place_first(
        &self,
        request: PlaceOrder,
        tenant: TenantId,
        key: IdempotencyKey,
        fingerprint: [u8; 32],
        deadline: Deadline,
    ) -> Result<PlacedResponse, Error> {
        let core = &*self.core;
        let id = OrderId(core.ids.next(core.clock.now()));
        let ticket: Ticket<'_> = core.admission.enter(id, deadline).await?;

        // Before the moment is taken: it may have to wait.
        let numbered = match &core.options.numbers {
            None => None,
            Some(numbers) => match numbers.next(deadline).await {
                Ok(numbered) => Some((numbers, numbered)),
                Err(error) => return self.placed_before(&tenant, &key, fingerprint, error),
            },
        };
        let now = core.clock.now();
        let zone = core.board().zone_of(&request.pickup);
        let number = numbered.map(|(_, numbered)| numbered.number);
        let placed = Placed { number, request, zone, tenant: tenant.clone() };
        let order = Order::placed(id, now, placed.clone());
        let response = response(&order)?;
        let mut write = Write::at(now);
        write.claim = Some(Claim {
            tenant: tenant.into(),
            key: key.as_str().to_owned(),
            fingerprint,
            expires_at: now + IDEMPOTENCY_RETENTION,
            response: response.clone(),
        });
        Draft::on(&mut write, &core.ids).place(&order, OrderEvent::Placed(placed))?;
        if let Some((_, numbered)) = numbered {
            numbered.remember(&mut write);
        }
        match core.commit(write).await {
            Ok(_) => {
                ticket.keep();
                if let Some((numbers, numbered)) = numbered {
                    numbers.placed(numbered);
                }
                core.repository.put(Arc::new(order));
                Ok(PlacedResponse { response: Arc::new(response), replayed: false })
            }
            Err(Guarded::Call(journal::Error::Refused(Refusal::Duplicate(claimed)))) => {
                Ok(PlacedResponse { response: Arc::new(claimed.response), replayed: true })
            }
            Err(Guarded::Call(journal::Error::Refused(Refusal::KeyReused))) => {
                Err(Error::KeyReused)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The answer to a request that was done before, when `error` keeps a new one from being done.
    fn placed_before(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
        error: Error,
    ) -> Result<PlacedResponse, Error> {
        let store = self.core.journal.store();
        match store.claimed(tenant.as_str(), key.as_str(), self.core.clock.now())? {
            None => Err(error),
            Some(claimed) if claimed.fingerprint != fingerprint => Err(Error::KeyReused),
            Some(claimed) => {
                Ok(PlacedResponse { response: Arc::new(claimed.response), replayed: true })
            }
        }
    }

    /// An order as it is, or as it was.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a moment before the order was placed.
    pub fn get(&self, id: OrderId, at: Option<AsOf>) -> Result<OrderView, Error> {
        let mut events = self.events(id, Version::NONE, ORDER_EVENTS_MAX)?;
        match at {
            None => {}
            Some(AsOf::Version(version)) => events.retain(|event| event.version <= version),
            Some(AsOf::Time(time)) => events.retain(|event| event.at <= time),
        }
        let order = Order::fold(id, &events)?.ok_or_else(|| not_found(id))?;
        Ok(OrderView::from(&order))
    }

    /// An order's events after a version, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn history(
        &self,
        id: OrderId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<EventView>, Error> {
        let events = self.events(id, after, limit.min(PAGE_EVENTS_MAX))?;
        if events.is_empty() && self.core.journal.store().version(&id.stream())? == Version::NONE {
            return Err(not_found(id));
        }
        Ok(events.iter().map(EventView::from).collect())
    }

    fn events(&self, id: OrderId, after: Version, limit: usize) -> Result<Vec<Event>, Error> {
        Ok(self.core.journal.store().stream(&id.stream(), after, limit)?)
    }

    /// Orders by status and zone, newest first. Everything that was answered before the call is
    /// in the list.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor that is not ours; [`Error::DeadlineExceeded`] when the
    /// list does not catch up in time.
    pub async fn list(
        &self,
        filter: Filter,
        cursor: Option<String>,
        limit: usize,
        deadline: Monotonic,
    ) -> Result<OrderPage, Error> {
        super::list::page(&self.core, &filter, cursor.as_deref(), limit, deadline).await
    }

    /// Follows an order: its events after a version, then each new one. Ends with the order, or
    /// when the receiver falls too far behind.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Overloaded`] when too many follow already.
    pub fn track(&self, id: OrderId, after: Version) -> Result<Tracking, Error> {
        self.core.trackers.track(&self.core.journal, id, after)
    }

    /// Calls an order off: from now on everything that was done for it is undone. Again: nothing
    /// changes.
    ///
    /// # Errors
    /// [`Error::Refused`] once it is picked up; [`Error::VersionMismatch`] when it has changed
    /// since `if_match`.
    pub async fn cancel(
        &self,
        id: OrderId,
        reason: Option<String>,
        if_match: Option<Version>,
    ) -> Result<OrderView, Error> {
        let reason = reason.unwrap_or_else(|| "called off by the customer".to_owned());
        if reason.len() > crate::limits::NOTE_BYTES_MAX {
            return Err(Problem::new("reason", "must have at most 1000 bytes").into());
        }
        let core = &*self.core;
        let mut order = core.repository.reload(id)?;
        for _ in 0..CONFLICT_RETRIES_MAX {
            if let Some(expected) = if_match
                && expected != order.version
            {
                let (expected, actual) = (expected.0, order.version.0);
                return Err(Error::VersionMismatch { expected, actual });
            }
            let command = Command::Undo {
                outcome: Undo::Cancelled,
                code: CANCELLED_BY_CUSTOMER.to_owned(),
                reason: reason.clone(),
            };
            let mut write = Write::at(core.clock.now());
            let mut draft = Draft::on(&mut write, &core.ids);
            match draft.decide(&mut order, command, Capacity::NONE) {
                Ok(()) => drop(draft),
                Err(Error::Refused(Refused::Done)) => return Ok(OrderView::from(&*order)),
                Err(error) => return Err(error),
            }
            match core.commit(write).await {
                Ok(_) => {
                    core.repository.put(Arc::clone(&order));
                    return Ok(OrderView::from(&*order));
                }
                Err(Guarded::Call(journal::Error::Refused(Refusal::Conflict { .. }))) => {
                    order = core.repository.reload(id)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(super::contended())
    }
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orders").finish_non_exhaustive()
    }
}

fn not_found(id: OrderId) -> Error {
    Error::NotFound { what: "order", id: id.to_string() }
}

const fn in_flight() -> Error {
    Error::KeyInFlight { retry_after: Duration::from_secs(1) }
}

/// A hash of what the request means, not of how it was spelled: white space and the order of
/// fields make no difference.
fn fingerprint(request: &PlaceOrder) -> Result<[u8; 32], Error> {
    let canonical = serde_json::to_vec(request).map_err(unwritable)?;
    Ok(Sha256::digest(&canonical).into())
}

fn response(order: &Order) -> Result<StoredResponse, Error> {
    let body = serde_json::to_vec(&OrderView::from(order)).map_err(unwritable)?;
    Ok(StoredResponse {
        status: 201,
        location: Some(format!("/orders/{}", order.id)),
        version: Some(order.version),
        body: Bytes::from(body),
    })
}

fn unwritable(error: serde_json::Error) -> Error {
    Problem::new("body", format!("cannot be written as JSON: {error}")).into()
}
