//! From order events to the records of the list.
//!
//! | key | value | changes |
//! |---|---|---|
//! | `o/<order>` | a [`Row`] | with every event of the order |
//! | `z/<zone>/<order>` | none | never |
//! | `s/<zone>/<status>/<order>` | none | moves with the status |
//! | `zone/<zone>` | none | never |
//!
//! Where a key has `<zone>`, it is the length of the zone's name, a colon, and the name: a zone
//! may have any name, and none may look like the beginning of another one. Ids are UUIDs of
//! version 7, so the order of keys is that in which orders were placed.
//!
//! The `z` records say nothing that the `s` records do not. They are there because an order
//! moves between the latter: whoever looked for a zone's orders under one status after the other
//! would miss the one that moves from the second to the first meanwhile.
//!
//! All events of an order in one batch become one change of its row and at most one move in the
//! index. No payload is read but that of `placed`, for the zone; everything else follows from
//! the kind.

use serde::{Deserialize, Serialize};
use steadfast_journal::Event;
use steadfast_journal::projection::{ApplyError, Changes, Projection};
use steadfast_time::Timestamp;

use super::OrderSummary;
use crate::names::{OrderId, ZoneId};
use crate::order::{self, Status};

/// The name of the projection; it never changes.
pub(super) const NAME: &str = "orders";

/// The projection.
pub(super) struct Listed;

/// An order as it is stored: short, since there are millions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row(
    Status,
    u64,
    ZoneId,
    i64,
    i64,
    /// The order's number. Rows of orders without one are as they were before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    Option<u64>,
);

impl Row {
    /// The status, without anything else.
    pub(super) fn status(&self) -> Status {
        self.0
    }

    /// The row as it is shown.
    pub(super) fn summary(self, id: OrderId) -> OrderSummary {
        let Self(status, version, zone, placed_at, changed_at, number) = self;
        OrderSummary {
            id,
            number,
            status,
            version,
            zone,
            placed_at: Timestamp::from_micros(placed_at),
            changed_at: Timestamp::from_micros(changed_at),
        }
    }
}

/// What is read of the first event. An absent number is none.
#[derive(Deserialize)]
struct Placed {
    zone: ZoneId,
    number: Option<u64>,
}

/// What all rows' keys start with.
pub(super) const ROWS: &str = "o/";

/// What the keys of all zones start with.
pub(super) const ZONES: &str = "zone/";

/// The key of an order's row.
pub(super) fn row_key(order: OrderId) -> String {
    format!("{ROWS}{order}")
}

/// What the keys of a zone's orders start with.
pub(super) fn in_zone(zone: &ZoneId) -> String {
    format!("z/{}:{zone}/", zone.as_str().len())
}

/// What the keys of a zone's orders that stand somewhere start with.
pub(super) fn in_zone_and_status(zone: &ZoneId, status: Status) -> String {
    format!("s/{}:{zone}/{status}/", zone.as_str().len())
}

/// Where an order stands after an event; `None` when the kind is not known.
///
/// The same as [`order::Order::apply`] says, without the details that it needs the payload for.
fn after(status: Status, kind: &str) -> Option<Status> {
    // What succeeds late is recorded, and undone too.
    let advance = |to| match status {
        Status::Compensating => Status::Compensating,
        _ => to,
    };
    Some(match kind {
        "stock_reserved" => advance(Status::StockReserved),
        "payment_authorized" => advance(Status::PaymentAuthorized),
        "awaiting_courier" => advance(Status::AwaitingCourier),
        "offered" => Status::Offered,
        "offer_closed" => Status::AwaitingCourier,
        "assigned" => Status::Assigned,
        "arrived_at_pickup" => Status::AtPickup,
        "picked_up" => Status::PickedUp,
        "delivered" => Status::Delivered,
        "undo_started" => Status::Compensating,
        "rejected" => Status::Rejected,
        "cancelled" => Status::Cancelled,
        "payment_captured" | "payment_voided" | "stock_released" => status,
        _ => return None,
    })
}

impl Projection for Listed {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&self, changes: &mut Changes<'_>, event: &Event) -> Result<(), ApplyError> {
        if event.stream.category() != order::CATEGORY {
            return Ok(());
        }
        let id: OrderId = event.stream.key().parse()?;
        let (key, id) = (row_key(id), id.to_string());
        let at = event.at.as_micros();
        if event.kind == "placed" {
            let Placed { zone, number } = match event.schema {
                1 => serde_json::from_slice(&event.payload)?,
                schema => return Err(format!("schema {schema} of \"placed\" is not known").into()),
            };
            changes.put(format!("{ZONES}{zone}"), "")?;
            changes.put(in_zone(&zone) + &id, "")?;
            changes.put(in_zone_and_status(&zone, Status::Placed) + &id, "")?;
            let row = Row(Status::Placed, event.version.0, zone, at, at, number);
            return changes.put_json(key, &row);
        }
        let Some(Row(before, _, zone, placed_at, _, number)) = changes.get_json(&key)? else {
            return Err(format!("{} has not been placed", event.stream).into());
        };
        let Some(status) = after(before, &event.kind) else {
            return Err(format!("no order event {:?} is known to this version", event.kind).into());
        };
        if status != before {
            changes.delete(in_zone_and_status(&zone, before) + &id)?;
            changes.put(in_zone_and_status(&zone, status) + &id, "")?;
        }
        let row = Row(status, event.version.0, zone, placed_at, at, number);
        changes.put_json(key, &row)
    }
}

/// A request, as an order needs one.
#[cfg(test)]
pub(super) const BENTO: &str = r#"{"merchant":"r1","pickup":{"x":1,"y":2},
    "dropoff":{"x":3,"y":4},"items":[{"sku":"bento","quantity":2}],
    "amount":{"currency":"KRW","minor":18000}}"#;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use steadfast_fencing::FencingToken;
    use steadfast_time::Uuid;

    use super::*;
    use crate::names::{CourierId, OfferId, TenantId};
    use crate::order::{
        ArrivedAtPickup, Assigned, AwaitingCourier, Cancelled, CloseReason, Delivered, OfferClosed,
        Offered, Order, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentVoided, PickedUp,
        Rejected, StockReleased, StockReserved, Undo, UndoStarted,
    };

    /// One of each kind but the first.
    fn events() -> Vec<OrderEvent> {
        let order = OrderId(Uuid::from_u128(1));
        let offer = OfferId { order, number: 1 };
        let courier: CourierId = "c1".parse().unwrap();
        let (until, text) = (Timestamp::EPOCH, String::new);
        vec![
            StockReserved { reservation: text() }.into(),
            PaymentAuthorized { authorization: text() }.into(),
            AwaitingCourier { until }.into(),
            Offered {
                offer,
                courier: courier.clone(),
                trip: vec![order],
                expires_at: until,
                token: FencingToken::FIRST,
            }
            .into(),
            OfferClosed { offer, courier: courier.clone(), reason: CloseReason::Declined }.into(),
            Assigned { assignment: offer, courier }.into(),
            ArrivedAtPickup { assignment: offer }.into(),
            PickedUp { assignment: offer }.into(),
            Delivered { assignment: offer }.into(),
            PaymentCaptured { capture: text() }.into(),
            UndoStarted { outcome: Undo::Rejected, code: text(), reason: text() }.into(),
            PaymentVoided {}.into(),
            StockReleased {}.into(),
            Rejected {}.into(),
            Cancelled {}.into(),
        ]
    }

    proptest! {
        /// Also for histories that no command makes.
        #[test]
        fn the_kinds_alone_say_what_the_fold_says(
            history in prop::collection::vec(prop::sample::select(events()), 0..40),
        ) {
            let request = serde_json::from_str(BENTO).unwrap();
            let (zone, tenant) = (ZoneId::default_zone(), TenantId::public());
            let placed = order::Placed { number: None, request, zone, tenant };
            let mut order = Order::placed(OrderId(Uuid::from_u128(1)), Timestamp::EPOCH, placed);
            let mut status = Status::Placed;
            for event in history {
                status = after(status, event.kind()).unwrap();
                order.apply(Timestamp::EPOCH + Duration::from_secs(1), event);
                prop_assert_eq!(status, order.status);
            }
        }
    }

    #[test]
    fn a_row_from_before_there_were_numbers_is_read_and_written_as_it_was() {
        let old = r#"["placed",1,"default",5,6]"#;
        let row: Row = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), old);
        let numbered = r#"["placed",1,"default",5,6,1000]"#;
        let row: Row = serde_json::from_str(numbered).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), numbered);
        assert_eq!(row.summary(OrderId(Uuid::from_u128(1))).number, Some(1_000));
    }

    #[test]
    fn every_kind_is_in_the_property() {
        let kinds: std::collections::BTreeSet<_> = events().iter().map(OrderEvent::kind).collect();
        // All of `OrderEvent` but `placed`: a new kind has to be added here, too.
        assert_eq!(kinds.len(), 15);
        assert_eq!(after(Status::Placed, "teleported"), None);
        assert_eq!(after(Status::Placed, "placed"), None);
    }

    #[test]
    fn no_zone_looks_like_the_beginning_of_another() {
        let zone = |name: &str| name.parse::<ZoneId>().unwrap();
        let names = ["a", "a/b", "1:a", "a/placed/", "/", "김밥", "3:a/b"].map(zone);
        for one in &names {
            for other in names.iter().filter(|other| *other != one) {
                assert!(!in_zone(one).starts_with(&in_zone(other)), "{one} {other}");
                for status in Status::ALL {
                    let key = in_zone_and_status(one, status);
                    let others = Status::ALL.map(|s| in_zone_and_status(other, s));
                    assert!(!others.iter().any(|other| key.starts_with(other)), "{key}");
                }
            }
        }
    }
}
