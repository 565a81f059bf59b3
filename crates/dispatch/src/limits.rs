//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest name of a courier, zone, merchant, tenant, or article, in bytes.
pub const NAME_BYTES_MAX: usize = 120;

/// Longest note on an order, in bytes.
pub const NOTE_BYTES_MAX: usize = 1_000;

/// Most lines in one order.
pub const ITEMS_MAX: usize = 100;

/// Most pieces of one article in one order.
pub const QUANTITY_MAX: u32 = 10_000;

/// Largest amount of one order, in the currency's minor unit.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// How far ahead an order may be ready.
pub const READY_AHEAD_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Most orders that a courier may hold at once.
pub const COURIER_CAPACITY_MAX: u32 = 100_000;

/// Most orders in dispatch at once in a zone.
pub const ZONE_CAPACITY_MAX: u32 = 10_000_000;

/// Couriers whose signs of life are watched at once, with up to half a kilobyte each.
pub const COURIERS_WATCHED_MAX: usize = 1_000_000;

/// Heartbeats that are remembered of each courier: a quarter of an hour of an app's that sends one
/// every fifteen seconds, in 256 bytes.
pub const COURIER_SAMPLES: usize = 64;

/// Longest shift.
pub const SHIFT_MAX: Duration = Duration::from_secs(48 * 3_600);

/// Orders whose folded state is kept in memory; others are read from the journal.
pub const ORDERS_CACHED_MAX: usize = 16_384;

/// Orders in one page of a list.
pub const PAGE_ORDERS_MAX: usize = 200;

/// Events that the list of orders takes in at a time. At 30,000 events a second this is a quarter
/// of a second, in which most orders go from placed to awaiting a courier and change their record
/// once; a reader who comes then waits for less than a tenth of a second.
pub const LIST_BATCH_EVENTS: usize = 8_192;

/// How long the list of orders waits for more events while nobody asks for it. Longer merges more
/// of an order's events into one change, and lets the first one who asks wait longer.
pub const LIST_BATCH_DELAY: Duration = Duration::from_millis(500);

/// Orders read ahead per zone, at least, where a list merges those of many zones.
pub const LIST_SCAN_LEAST: usize = 8;

/// Zones that such a merge reads the names of at a time.
pub const LIST_ZONES_READ: usize = 1_000;

/// Events in one page of an order's history.
pub const PAGE_EVENTS_MAX: usize = 500;

/// How often a decision is made again after somebody else wrote first.
pub const CONFLICT_RETRIES_MAX: usize = 16;

/// Orders offered in one write. Each costs an event, a message and its share of the guards.
pub const OFFERS_PER_WRITE_MAX: usize = 256;

/// Events of one order. A courier search that declines forever ends long before this.
pub const ORDER_EVENTS_MAX: usize = 5_000;

/// How long an idempotency key is kept after the work it names has been done.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// Order numbers that a process reserves at once: a block lasts for a quarter of a second under the
/// highest load, and is reserved anew when a third of it is left. A process that ends leaves a gap of
/// two blocks at most.
pub const ORDER_NUMBERS_BLOCK: u64 = 1_000;

/// Requests that wait at once for the first one of their idempotency key.
pub const ATTACHED_MAX: usize = 1_024;

/// Clients that follow orders at once.
pub const TRACKERS_MAX: usize = 4_096;

/// Events that a client who follows an order may lag behind before it is cut off.
pub const TRACKER_LAG_MAX: usize = 256;

/// Calls of one provider at once. At 5 ms a call that is 50,000 a second, more than a journal
/// takes; at 100 ms still 2,500.
pub const PROVIDER_CALLS_MAX: u32 = 256;

/// Calls of one provider that wait for a place: as many as orders are prepared at once.
pub const PROVIDER_WAITS_MAX: u32 = 2_048;

/// Requests that wait for a place among the orders that are being prepared. More would not get
/// one before their deadline.
pub const ADMISSION_WAITS_MAX: u32 = 4_096;

/// How long one of them waits at most. The order service has 350 ms; what is left then is still
/// ten times what a write takes.
pub const ADMISSION_WAIT_MAX: Duration = Duration::from_millis(250);

/// Heartbeats of a dispatcher in the length of a lease. Each is a write, beside the renewals.
pub const BEATS_PER_LEASE: u32 = 3;

/// Heartbeats in a row without which a dispatcher is suspected: about when its lease would end if it
/// had stopped altogether, which is when others could use its zones and not before.
pub const BEATS_MISSED_MAX: u32 = 3;

/// Zones that a dispatcher hands over at once; the others are dispatched as ever until it is their
/// turn. Together with one exchange each, some hundred zones change hands within a second.
pub const ZONES_RETURNED_AT_ONCE: usize = 32;

/// Requests for zones' leases that a dispatcher takes back before it rests for as long as its client
/// waits between two questions. The client gives its session up when it owes the server more than a
/// thousand releases.
pub const ZONES_WITHDRAWN_AT_ONCE: usize = 256;
