//! Bodies, as the document describes them: the domain's types once more, for their shape.
//!
//! They can be read and written so that a test can hold them against the originals.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Declares a type that only describes.
macro_rules! shapes {
    ($($(#[$attribute:meta])* $kind:ident $name:ident { $($body:tt)* })*) => { $(
        #[derive(Debug, Serialize, Deserialize, ToSchema)]
        $(#[$attribute])*
        pub(crate) $kind $name { $($body)* }
    )* };
}

shapes! {
    /// A place: planar metres, or degrees on the globe. One deployment uses one kind.
    #[serde(untagged)]
    #[schema(example = json!({"x": 22135, "y": 16867}))]
    enum Location {
        Planar(Planar),
        Geographic(Geographic),
    }

    /// Metres on a plane.
    #[serde(deny_unknown_fields)]
    struct Planar {
        /// Metres east of the origin.
        #[schema(minimum = -10_000_000, maximum = 10_000_000)]
        x: f64,
        /// Metres north of the origin.
        #[schema(minimum = -10_000_000, maximum = 10_000_000)]
        y: f64,
    }

    /// Degrees on the globe, WGS 84.
    #[serde(deny_unknown_fields)]
    struct Geographic {
        /// Degrees north.
        #[schema(minimum = -90, maximum = 90)]
        lat: f64,
        /// Degrees east.
        #[schema(minimum = -180, maximum = 180)]
        lon: f64,
    }

    /// A line of an order.
    #[serde(deny_unknown_fields)]
    struct Item {
        /// The article.
        #[schema(min_length = 1, max_length = 120)]
        sku: String,
        /// How many pieces.
        #[schema(minimum = 1, maximum = 10_000)]
        quantity: u32,
    }

    /// An amount of money.
    #[serde(deny_unknown_fields)]
    struct Money {
        /// ISO 4217 code.
        #[schema(pattern = "^[A-Z]{3}$", example = "KRW")]
        currency: String,
        /// In the currency's minor unit (won, cents).
        #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
        minor: i64,
    }

    /// What a customer wants: these things, from there, to here.
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({
        "merchant": "r1", "pickup": {"x": 22135, "y": 16867}, "dropoff": {"x": 22226, "y": 13960},
        "items": [{"sku": "bento", "quantity": 2}], "amount": {"currency": "KRW", "minor": 18000},
    }))]
    struct PlaceOrder {
        /// Where the order is prepared.
        #[schema(min_length = 1, max_length = 120)]
        merchant: String,
        /// Where it is picked up.
        pickup: Location,
        /// Where it is delivered.
        dropoff: Location,
        /// What it consists of.
        #[schema(min_items = 1, max_items = 100)]
        items: Vec<Item>,
        /// What it costs.
        amount: Money,
        /// When it will be ready for pick-up, within 7 days; at once when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(format = DateTime)]
        ready_at: Option<String>,
        /// Who ordered, in the caller's own terms.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 120)]
        customer: Option<String>,
        /// Anything the courier should know.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 1_000)]
        note: Option<String>,
    }

    /// Where an order stands.
    #[serde(rename_all = "snake_case")]
    enum Status {
        Placed,
        StockReserved,
        PaymentAuthorized,
        AwaitingCourier,
        Offered,
        Assigned,
        AtPickup,
        PickedUp,
        Delivered,
        Rejected,
        Cancelled,
        Compensating,
    }

    /// What became of the articles.
    #[serde(tag = "state", rename_all = "snake_case")]
    enum Stock {
        /// Nothing was asked for, or nothing was given.
        None,
        /// Set aside.
        Reserved {
            /// The stock service's name for it.
            reservation: String,
        },
        /// Given back.
        Released,
    }

    /// What became of the money.
    #[serde(tag = "state", rename_all = "snake_case")]
    enum Payment {
        /// Nothing was asked for, or nothing was given.
        None,
        /// Held, not taken.
        Authorized {
            /// The payment service's name for it.
            authorization: String,
        },
        /// Taken.
        Captured {
            /// The payment service's name for it.
            capture: String,
        },
        /// No longer held.
        Voided,
    }

    /// An order.
    struct Order {
        /// Its name.
        #[schema(format = Uuid)]
        id: String,
        /// What people call it by: short and unique. Very old orders have none.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// Where it stands.
        status: Status,
        /// How many events it has had; the `ETag`.
        version: u64,
        /// The zone that it is dispatched in.
        zone: String,
        /// Where it is prepared.
        merchant: String,
        /// Where it is picked up.
        pickup: Location,
        /// Where it is delivered.
        dropoff: Location,
        /// What it consists of.
        items: Vec<Item>,
        /// What it costs.
        amount: Money,
        /// Who ordered.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer: Option<String>,
        /// Anything the courier should know.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// When it was placed.
        #[schema(format = DateTime)]
        placed_at: String,
        /// When it can be picked up.
        #[schema(format = DateTime)]
        ready_at: String,
        /// When it last changed.
        #[schema(format = DateTime)]
        changed_at: String,
        /// When the courier picked it up.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(format = DateTime)]
        picked_up_at: Option<String>,
        /// When the customer got it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(format = DateTime)]
        delivered_at: Option<String>,
        /// The articles.
        stock: Stock,
        /// The money.
        payment: Payment,
        /// Who has it, or has been asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        courier: Option<String>,
        /// The open offer, which becomes the assignment.
        #[serde(skip_serializing_if = "Option::is_none")]
        assignment: Option<String>,
        /// Why it is being undone, or was: a stable code.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason_code: Option<String>,
        /// The same in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }

    /// An order in a list.
    struct OrderSummary {
        /// Its name.
        #[schema(format = Uuid)]
        id: String,
        /// What people call it by: short and unique. Very old orders have none.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// Where it stands.
        status: Status,
        /// How many events it has had.
        version: u64,
        /// The zone that it is dispatched in.
        zone: String,
        /// When it was placed.
        #[schema(format = DateTime)]
        placed_at: String,
        /// When it last changed.
        #[schema(format = DateTime)]
        changed_at: String,
    }

    /// A page of a list.
    struct OrderPage {
        /// The orders, newest first.
        orders: Vec<OrderSummary>,
        /// The `cursor` of the next page; null on the last.
        #[schema(required)]
        next_cursor: Option<String>,
    }

    /// Something that happened to an order.
    struct Event {
        /// Where it stands in the order's history.
        version: u64,
        /// Where it stands in the whole journal.
        position: u64,
        /// What happened.
        #[schema(example = "placed")]
        r#type: String,
        /// The shape of `data`.
        schema: u16,
        /// When.
        #[schema(format = DateTime)]
        at: String,
        /// The details, whose shape `type` and `schema` tell.
        data: Value,
        /// The hash of the event and its predecessor in the journal (SHA-256).
        hash: String,
    }

    /// A page of a history.
    struct EventPage {
        /// The events, oldest first.
        events: Vec<Event>,
        /// The `after` of the next page; null when there was nothing more.
        #[schema(required)]
        next_after: Option<u64>,
    }

    /// Why an order is called off.
    #[serde(deny_unknown_fields)]
    struct CancelRequest {
        /// In words.
        #[schema(max_length = 1_000)]
        reason: Option<String>,
    }

    /// Who reports or answers.
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({"courier": "c1"}))]
    struct CourierRequest {
        /// The courier.
        courier: String,
    }

    /// Who delivered, and what.
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({"courier": "c1"}))]
    struct DeliveredRequest {
        /// The courier.
        courier: String,
        /// Which order of a bundle.
        #[schema(format = Uuid)]
        order: Option<String>,
    }

    /// When, where and for how much a courier works.
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({
        "location": {"x": 21000, "y": 16000}, "ends_at": "2026-11-20T18:00:00Z", "capacity": 2,
    }))]
    struct ShiftRequest {
        /// Where the courier starts.
        location: Location,
        /// The zone to work in; the one that contains `location` when left out.
        zone: Option<String>,
        /// From when; now when left out.
        #[schema(format = DateTime)]
        starts_at: Option<String>,
        /// Until when orders may be picked up, within 48 hours of the start.
        #[schema(format = DateTime)]
        ends_at: String,
        /// Orders that the courier can hold at once.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 100_000, default = 1)]
        capacity: u32,
        /// Takes every offer at once, without being asked.
        #[serde(default)]
        auto_accept: bool,
    }

    /// A sign of life.
    #[serde(deny_unknown_fields)]
    struct Heartbeat {
        /// Where the courier is; unchanged when left out.
        location: Option<Location>,
    }

    /// A courier.
    struct Courier {
        /// Who.
        id: String,
        /// The zone.
        zone: String,
        /// Where the courier was last known to be.
        location: Location,
        /// From when.
        #[schema(format = DateTime)]
        starts_at: String,
        /// Until when orders may be picked up.
        #[schema(format = DateTime)]
        ends_at: String,
        /// Orders that the courier can hold at once.
        capacity: u32,
        /// Takes every offer at once.
        auto_accept: bool,
        /// Orders offered or held now.
        orders: u32,
        /// The last sign of life.
        #[schema(format = DateTime)]
        seen_at: String,
    }

    /// The offers that wait for an answer.
    struct OfferList {
        /// Those that end first in front.
        offers: Vec<Offer>,
    }

    /// An open offer.
    struct Offer {
        /// Its name, and that of the assignment that it becomes.
        id: String,
        /// Who is asked.
        courier: String,
        /// No answer by then counts as a decline.
        #[schema(format = DateTime)]
        expires_at: String,
        /// Where to go first.
        merchant: String,
        /// The same on the map.
        pickup: Location,
        /// The orders, in the sequence of delivery.
        orders: Vec<OfferedOrder>,
    }

    /// An order within an offer.
    struct OfferedOrder {
        /// Which.
        #[schema(format = Uuid)]
        id: String,
        /// Where it goes.
        dropoff: Location,
        /// When it can be picked up.
        #[schema(format = DateTime)]
        ready_at: String,
    }

    /// What a courier has taken on and not yet ended.
    struct AssignmentList {
        /// Oldest first.
        assignments: Vec<Assignment>,
    }

    /// What a courier has taken on.
    struct Assignment {
        /// Its name: that of the offer.
        id: String,
        /// Who.
        courier: String,
        /// The orders, in the sequence of delivery.
        orders: Vec<AssignedOrder>,
    }

    /// An order within an assignment.
    struct AssignedOrder {
        /// Which.
        #[schema(format = Uuid)]
        id: String,
        /// Where it stands.
        status: Status,
    }

    /// How orders are matched with couriers: the nearest courier at once, or optimal matching
    /// with bundles every tick.
    #[serde(rename_all = "lowercase")]
    enum Policy {
        Nearest,
        Batch,
    }

    /// A rectangle on the map, both corners included.
    #[serde(deny_unknown_fields)]
    struct Area {
        /// The corner with the smaller coordinates.
        min: Location,
        /// The corner with the larger coordinates.
        max: Location,
    }

    /// What an operator decides about a zone.
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({"capacity": 500}))]
    struct ZoneRequest {
        /// Most orders offered, assigned or on their way at once.
        #[schema(minimum = 1, maximum = 10_000_000)]
        capacity: u32,
        /// Orders picked up within belong to the zone; without an area none do by themselves.
        area: Option<Area>,
        /// How orders are matched with couriers; the deployment's default when left out.
        policy: Option<Policy>,
    }

    /// All zones.
    struct ZoneList {
        /// By name.
        zones: Vec<Zone>,
    }

    /// A zone.
    struct Zone {
        /// Its name.
        id: String,
        /// Most orders in dispatch at once.
        capacity: u32,
        /// Orders picked up within belong to the zone.
        #[schema(required)]
        area: Option<Area>,
        /// How orders are matched with couriers.
        policy: Policy,
        /// Orders offered, assigned or on their way now.
        in_dispatch: u32,
        /// Orders that wait for a courier.
        waiting: u32,
        /// Couriers on shift.
        couriers: u32,
        /// The token of the dispatcher that holds the zone, if one does.
        #[schema(required)]
        token: Option<u64>,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use steadfast_dispatch as dispatch;

    use super::*;

    const AT: &str = "2026-11-20T08:30:00.000000Z";
    const ID: &str = "00000000-0000-7000-8000-000000000001";
    const OFFER: &str = "00000000-0000-7000-8000-000000000001.1";

    /// A value with every member there is, through the description and through the original,
    /// comes out as it went in.
    #[track_caller]
    fn agree<Description, Original>(json: &Value)
    where
        Description: Serialize + DeserializeOwned,
        Original: Serialize + DeserializeOwned,
    {
        let original: Original = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(&serde_json::to_value(original).unwrap(), json, "the domain's type");
        let description: Description = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(&serde_json::to_value(description).unwrap(), json, "its description");
    }

    fn place() -> Value {
        serde_json::json!({"x": 1.5, "y": -2.0})
    }

    #[test]
    fn orders_are_described_as_they_are() {
        let globe = serde_json::json!({"lat": 37.5, "lon": 127.0});
        let order = serde_json::json!({
            "merchant": "r1", "pickup": place(), "dropoff": globe,
            "items": [{"sku": "bento", "quantity": 2}],
            "amount": {"currency": "KRW", "minor": 18000},
            "ready_at": AT, "customer": "kim", "note": "door code 7",
        });
        agree::<PlaceOrder, dispatch::order::PlaceOrder>(&order);
        let stocks = [
            serde_json::json!({"state": "none"}),
            serde_json::json!({"state": "reserved", "reservation": "r"}),
            serde_json::json!({"state": "released"}),
        ];
        let payments = [
            serde_json::json!({"state": "none"}),
            serde_json::json!({"state": "authorized", "authorization": "a"}),
            serde_json::json!({"state": "captured", "capture": "c"}),
            serde_json::json!({"state": "voided"}),
        ];
        for status in dispatch::order::Status::ALL {
            for (stock, payment) in stocks.iter().zip(&payments).chain([(&stocks[0], &payments[3])])
            {
                agree::<Order, dispatch::order::OrderView>(&serde_json::json!({
                    "id": ID, "number": 1_000, "status": status.as_str(), "version": 9, "zone": "default",
                    "merchant": "r1", "pickup": place(), "dropoff": place(),
                    "items": [{"sku": "bento", "quantity": 2}],
                    "amount": {"currency": "KRW", "minor": 18000},
                    "customer": "kim", "note": "n", "placed_at": AT, "ready_at": AT,
                    "changed_at": AT, "picked_up_at": AT, "delivered_at": AT, "stock": stock,
                    "payment": payment, "courier": "c1", "assignment": OFFER,
                    "reason_code": "out_of_stock", "reason": "no bento",
                }));
            }
        }
        let summary = serde_json::json!({
            "id": ID, "number": 1_000, "status": "placed", "version": 1, "zone": "default",
            "placed_at": AT,
            "changed_at": AT,
        });
        agree::<OrderPage, dispatch::service::OrderPage>(
            &serde_json::json!({"orders": [summary], "next_cursor": null}),
        );
    }

    #[test]
    fn couriers_offers_and_zones_are_described_as_they_are() {
        use dispatch::{courier, zone};

        agree::<ShiftRequest, courier::ShiftRequest>(&serde_json::json!({
            "location": place(), "zone": "z", "starts_at": AT, "ends_at": AT, "capacity": 2,
            "auto_accept": true,
        }));
        agree::<Heartbeat, courier::Heartbeat>(&serde_json::json!({"location": place()}));
        agree::<Courier, courier::CourierView>(&serde_json::json!({
            "id": "c1", "zone": "z", "location": place(), "starts_at": AT, "ends_at": AT,
            "capacity": 2, "auto_accept": true, "orders": 1, "seen_at": AT,
        }));
        agree::<Offer, courier::OfferView>(&serde_json::json!({
            "id": OFFER, "courier": "c1", "expires_at": AT, "merchant": "r1", "pickup": place(),
            "orders": [{"id": ID, "dropoff": place(), "ready_at": AT}],
        }));
        agree::<Assignment, courier::AssignmentView>(&serde_json::json!({
            "id": OFFER, "courier": "c1", "orders": [{"id": ID, "status": "assigned"}],
        }));
        let area = serde_json::json!({"min": place(), "max": place()});
        for policy in ["nearest", "batch"] {
            agree::<ZoneRequest, zone::ZoneRequest>(
                &serde_json::json!({"capacity": 5, "area": area, "policy": policy}),
            );
            agree::<Zone, zone::ZoneView>(&serde_json::json!({
                "id": "z", "capacity": 5, "area": area, "policy": policy, "in_dispatch": 1,
                "waiting": 2, "couriers": 3, "token": 4,
            }));
        }
    }
}
