//! The limits of this crate, with the reason for each.

use std::time::Duration;

/// The longest deadline that a server may be told to accept: an hour. Who works for longer wants a
/// durable timer, not a waiting request.
pub const DEADLINE_MAX: Duration = Duration::from_secs(3_600);

/// Decisions that a [`crate::event::Recorder`] keeps at most: enough to see how an incident began,
/// about 100 KiB.
pub const RECORDS_MAX: usize = 1_024;

/// Calls that a [`crate::window::Count`] looks back at most: 16 KiB, and more than any share of
/// failures needs to be known to within a percent.
pub const COUNT_WINDOW_MAX: u32 = 65_536;

/// Probes that a [`crate::breaker`] sends at most before it decides: a thousand calls into
/// something that may be down are no probe any more.
pub const BREAKER_PROBES_MAX: u32 = 1_000;

/// When to come back to a [`crate::breaker`] whose probes are all out. It decides when they have
/// answered, and nobody knows when that is; one second is the shortest that HTTP's `Retry-After`
/// can say.
pub const BREAKER_COME_BACK: Duration = Duration::from_secs(1);

/// Slices of a [`crate::window::Time`] at most: finer steps than a ten-thousandth of a window
/// change no decision, and a window of three counters takes 320 KiB then.
pub const TIME_WINDOW_SLICES_MAX: u32 = 10_000;

/// The longest a [`crate::latency`] looks back: an hour ago says nothing about how long a call
/// takes now, and a slice's 32-bit counters must not overflow.
pub const LATENCY_WINDOW_MAX: Duration = Duration::from_secs(3_600);

/// Slices of a [`crate::latency`] at most: 210 KiB.
pub const LATENCY_SLICES_MAX: u32 = 60;

/// Heartbeats that a failure detector remembers of one peer at most: a rhythm is known long
/// before, and the sums of their squares stay far within 128 bits.
pub const SAMPLES_MAX: usize = 10_000;

/// Peers that one [`crate::detector::Monitor`] watches at most: with sixty samples each that is
/// about half a gigabyte.
pub const PEERS_MAX: usize = 1_000_000;

/// Heartbeats that one [`crate::detector::Monitor`] remembers of all its peers together at most:
/// a gigabyte.
pub const SAMPLES_ALL_MAX: usize = 250_000_000;

/// The longest window of a [`crate::objective`]: a year. Who promises more, promises history.
pub const OBJECTIVE_WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Extra attempts for each call that a [`crate::budget::Budget`] may allow at most. More than one
/// makes sense in experiments only.
pub const BUDGET_RATIO_MAX: f64 = 10.0;

/// Extra attempts a second that a [`crate::budget::Budget`] may allow beyond its ratio at most.
pub const BUDGET_FLOOR_PER_SECOND_MAX: f64 = 10_000.0;

/// A [`crate::budget::Budget`] looks back this far at least: in less time a ratio of calls means
/// little.
pub const BUDGET_WINDOW_MIN: std::time::Duration = std::time::Duration::from_millis(100);

/// A [`crate::budget::Budget`] looks back this far at most (Finagle's and tower's limit): what was
/// calm a minute ago must not pay for a storm now.
pub const BUDGET_WINDOW_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Attempts of one call at most, the first included: every further one is later than most callers
/// wait, and multiplies the load by more.
pub const ATTEMPTS_MAX: u32 = 10;

/// A pause between two attempts is this long at most, and so is a hedge's fixed delay. Whoever waits
/// longer wants a durable timer.
pub const PAUSE_MAX: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Places of a [`crate::bulkhead`], a [`crate::limit`] or a [`crate::shed::Gate`] at most: three
/// counts of 20 bits share one word. A process that has a million calls open has other troubles.
pub const PLACES_MAX: u32 = 1_000_000;

/// Calls that wait for a place at most: about 10 MiB of them.
pub const WAITERS_MAX: u32 = 65_536;

/// The longest that a call may wait for a place. Nobody who waits for longer is still there.
pub const QUEUE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// The shortest time after which to try again that a refusal for want of a place names: at once
/// would be a spin.
pub const RETRY_AFTER_MIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Threads of a [`crate::bulkhead::Pool`] at most: each has a stack of its own.
pub const POOL_THREADS_MAX: u32 = 1_024;
