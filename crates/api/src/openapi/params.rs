//! Parameters of operations.
#![expect(dead_code, reason = "these types only describe; nothing reads their fields")]

use utoipa::IntoParams;

macro_rules! params {
    ($($(#[$doc:meta])* $in:ident $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(IntoParams)]
        #[into_params(parameter_in = $in)]
        pub(crate) struct $name { $($(#[$field_doc])* $field: $type,)* }
    )* };
}

params! {
    /// An order's identifier.
    Path OrderId {
        /// The order.
        #[param(format = Uuid)]
        id: String,
    }
    /// An offer's identifier.
    Path OfferId {
        /// The offer, or the assignment that it has become.
        #[param(example = "0199c1a2-0000-7000-8000-000000000001.1")]
        id: String,
    }
    /// A courier's name.
    Path CourierId {
        /// The courier.
        #[param(min_length = 1, max_length = 120)]
        id: String,
    }
    /// A zone's name.
    Path ZoneId {
        /// The zone.
        #[param(min_length = 1, max_length = 120)]
        id: String,
    }
    /// The idempotency key.
    Header IdempotencyKey {
        /// A new random value for each order, the same for each retry of it: a quoted string
        /// (RFC 8941), or a bare value.
        #[param(rename = "Idempotency-Key", min_length = 1, max_length = 257,
            example = "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")]
        key: String,
    }
    /// The tenant.
    Header Tenant {
        /// Whose keys these are; `public` when left out. Keys of different tenants never meet.
        #[param(rename = "X-Tenant", min_length = 1, max_length = 120)]
        tenant: Option<String>,
    }
    /// The deadline.
    Header Deadline {
        /// How long the caller will wait, in milliseconds: 350 when left out, cut to 30000.
        #[param(rename = "x-envoy-expected-rq-timeout-ms", minimum = 1)]
        deadline: Option<u64>,
    }
    /// A precondition.
    Header IfMatch {
        /// Only if the order still has this version, as `ETag` gave it; `*` is any.
        #[param(rename = "If-Match", example = "\"3\"")]
        version: Option<String>,
    }
    /// A precondition.
    Header IfNoneMatch {
        /// Only if the order has another version than this, as `ETag` gave it.
        #[param(rename = "If-None-Match", example = "\"3\"")]
        version: Option<String>,
    }
    /// A moment.
    Query At {
        /// As it was: a version, or a time in RFC 3339.
        #[param(example = "2026-11-20T08:30:00Z")]
        at: Option<String>,
    }
    /// What to list.
    Query List {
        /// Only orders with this status.
        #[param(inline)]
        status: Option<super::schema::Status>,
        /// Only orders of this zone.
        zone: Option<String>,
        /// Where to continue: `next_cursor` of the page before.
        cursor: Option<String>,
        /// Orders in the page.
        #[param(minimum = 1, maximum = 200, default = 50)]
        limit: Option<u32>,
    }
    /// What to show of a history.
    Query Events {
        /// Only events after this version.
        after: Option<u64>,
        /// Events in the page.
        #[param(minimum = 1, maximum = 500, default = 100)]
        limit: Option<u32>,
    }
    /// Where to continue.
    Query Track {
        /// Only events after this version.
        after: Option<u64>,
    }
    /// Where to continue.
    Header LastEventId {
        /// The `id` of the event seen last; browsers send it by themselves.
        #[param(rename = "Last-Event-ID")]
        last_event_id: Option<u64>,
    }
}
