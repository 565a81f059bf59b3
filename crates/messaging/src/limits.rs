//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest name of a topic, a group or a consumer, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Messages that the relay has handed to the bus and that are not yet marked as published. At
/// 50,000 messages a second this is 160 ms of work, many times the way to the consumer's disk
/// and back.
pub const IN_FLIGHT_MAX: usize = 8_192;

/// Rows that the relay reads from the outbox at once.
pub const POLL_ROWS_MAX: usize = 1_024;

/// Changes to outbox rows in one write of the relay.
pub const MARKS_MAX: usize = 1_024;

/// How long a relay that has lost its lead waits for the bus's answers to what it had published, to
/// mark it. The next leader publishes again whatever is not marked by then.
pub const LAST_MARKS_MAX: Duration = Duration::from_millis(100);

/// Messages that wait in one lane of the embedded bus. As large as the relay's window, so that
/// a slow lane holds up the others only when the window itself is full.
pub const LANE_QUEUE_MAX: usize = IN_FLIGHT_MAX;

/// Messages that one lane of a consumer has in its hands: queued behind another of the same key,
/// being handled, held until a gap closes, or waiting to be marked.
pub const IN_HAND_MAX: usize = 4_096;

/// Handlers that run at once in one lane.
pub const CONCURRENT_MAX: usize = 256;

/// Messages of one key that wait for an earlier one to arrive.
pub const HELD_PER_KEY_MAX: usize = 64;

/// Messages of all keys of a lane that wait for earlier ones. Half of what a lane may have in
/// its hands, so that there is always room for the message that closes a gap.
pub const HELD_MAX: usize = IN_HAND_MAX / 2;

/// How long a message waits for an earlier one before it is given back.
pub const HELD_FOR_MAX: Duration = Duration::from_secs(5);

/// Idle keys whose high-water mark a lane remembers, to save a read.
pub const KEYS_REMEMBERED_MAX: usize = 16_384;

/// Inbox marks and dead letters in one write of a consumer.
pub const LEDGER_PARTS_MAX: usize = 512;

/// Bytes of parked payloads in one write of a consumer, beyond the first letter.
pub const LEDGER_BYTES_MAX: usize = 4 << 20;

/// Keys of one consumer that may be parked. A consumer with more has a fault that is not in the
/// messages; it waits instead of parking the next one.
pub const PARKED_KEYS_MAX: usize = 100_000;

/// Longest reason kept with a dead letter, in bytes; the rest is cut off.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Dead letters on one page of a list.
pub const LETTERS_PAGE_MAX: usize = 1_000;

/// Dead letters replayed in a second, at most.
pub const REPLAY_PER_SECOND_MAX: u32 = 10_000;
