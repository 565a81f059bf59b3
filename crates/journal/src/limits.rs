//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest key of a stream, in bytes.
pub const STREAM_KEY_BYTES_MAX: usize = 200;

/// Longest idempotency key, in bytes (the de facto limit; Stripe's is the same).
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Longest name of a counter, a resource, a timer, a consumer, or a record's key, in bytes.
pub const NAME_BYTES_MAX: usize = 400;

/// Largest payload of one event, message, timer, record, or stored response, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Most parts (events, messages, marks, …) in one write. A tick of the dispatcher that offers
/// hundreds of orders at once fits.
pub const WRITE_PARTS_MAX: usize = 8_192;

/// Most events or rows that one read returns.
pub const READ_ROWS_MAX: usize = 10_000;

/// Writes that may wait for the writer thread. At 10,000 writes a second this is a wait of less
/// than half a second, more than any caller's deadline allows.
pub const QUEUE_WRITES_MAX: usize = 4_096;

/// Writes in one group commit.
pub const BATCH_WRITES_MAX: usize = 512;

/// Batches that a [`crate::Feed`] may fall behind before it reads from the store instead.
pub const FEED_BATCHES_MAX: usize = 256;

/// How long an inbox mark is kept. It must outlive every redelivery.
pub const INBOX_RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long a published outbox row is kept, so that it can still be looked at.
pub const OUTBOX_RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// Rows removed in one step of pruning, which runs between commits.
pub const PRUNE_ROWS_MAX: usize = 256;

/// Events that verification reads at a time.
pub const VERIFY_PAGE_EVENTS: usize = 1_000;

/// Events after a snapshot that are read at a time.
pub const SNAPSHOT_PAGE_EVENTS: usize = 1_000;

/// Events that a projection applies in one commit, unless its options say otherwise.
pub const PROJECTION_BATCH_EVENTS: usize = 500;

/// Events that a projection applies before it lets other tasks run: a millisecond or less, where
/// an event costs a few microseconds.
pub const PROJECTION_TURN_EVENTS: u64 = 128;

/// Records that one event may change in a view.
pub const EVENT_CHANGES_MAX: usize = 2_000;

/// Changed records after which a projection commits before the next event. With those of one more
/// event and the checkpoint they fit into [`WRITE_PARTS_MAX`].
pub const PROJECTION_BATCH_CHANGES: usize = 4_000;

/// Bytes of changed records after which a projection commits before the next event; also the most
/// that one event may change.
pub const PROJECTION_BATCH_BYTES: usize = 8 << 20;

/// Records of an old view that are removed in one commit.
pub const PROJECTION_CLEAR_RECORDS: usize = 1_000;

/// Requests to rebuild a view that may wait for its runner; more wait to be let in.
pub const PROJECTION_REBUILDS_WAITING: usize = 8;

/// The first pause of a projection when the journal is overloaded; each next one is twice as long.
pub const PROJECTION_RETRY_MIN: Duration = Duration::from_millis(10);

/// The longest such pause.
pub const PROJECTION_RETRY_MAX: Duration = Duration::from_secs(1);
