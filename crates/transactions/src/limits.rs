//! All limits of this crate, in one place.

use std::time::Duration;

/// Most steps in one saga. A longer chain of calls is better cut into two sagas.
pub const STEPS_MAX: usize = 32;

/// Longest name of a definition or a step, in bytes. With the saga's identifier and `/undo` the
/// idempotency key stays well below the 255 bytes that providers accept.
pub const NAME_BYTES_MAX: usize = 64;

/// Largest JSON value that a saga keeps (its data, or one step's output), in bytes. It is meant
/// for identifiers and amounts; whatever is larger belongs into the domain's own streams.
pub const JSON_BYTES_MAX: usize = 16 << 10;

/// Longest code, reason or operator's name that is kept, in bytes; the rest is cut off. A
/// provider's error page must not end up in every saga.
pub const TEXT_BYTES_MAX: usize = 500;

/// Longest timeout of a call. A call that takes longer is a request and a wait for its answer.
pub const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// Longest timeout of a wait.
pub const WAIT_TIMEOUT_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Longest pause between two attempts.
pub const RETRY_CAP_MAX: Duration = Duration::from_secs(3_600);

/// How often one input is decided again because somebody else wrote first. Each round needs a
/// rival that made progress, so this is reached only under a storm of writes to one stream.
pub const CONFLICTS_MAX: u32 = 16;

/// How often the outcome of a call that has been made is offered to a journal whose queue is
/// full, and the first pause between two offers (it doubles): 0.3 s in all.
pub const OVERLOADS_MAX: u32 = 6;

/// See [`OVERLOADS_MAX`].
pub const OVERLOAD_PAUSE: Duration = Duration::from_millis(10);

/// Sagas whose state is kept in memory, at about 1 KiB each. One that is not kept is read back
/// from its stream.
pub const CACHED_SAGAS_MAX: usize = 32_768;

/// Events read at a time when a saga is rebuilt from its stream.
pub const STREAM_PAGE: usize = 1_000;

/// Most entries of a history that [`crate::Orchestrator::show`] returns, the newest ones.
pub const HISTORY_ENTRIES_MAX: usize = 1_000;

/// Most sagas on one page of a list.
pub const LIST_PAGE_MAX: usize = 500;

/// An attempt that has been held up on our side so often in a row is given up, where giving up is
/// possible. With the default pauses that is six minutes where a budget is spent, and a quarter of an
/// hour where a circuit is open: whoever ordered something to eat has given up by then.
pub const HELD_MAX: u32 = 15;

/// Timers that are delivered at the same time.
pub const TIMERS_CONCURRENT: usize = 64;

/// Due timers that are read at a time.
pub const TIMERS_PAGE: usize = 256;

/// Timers that are remembered as resting after a failed delivery. When that many fail, something
/// common to all is broken, and deliveries pause altogether.
pub const TIMERS_RESTING_MAX: usize = 1_024;

/// The timers are looked at no more often than this while writes keep coming in: what a timer
/// may be late under load.
pub const TIMERS_PAUSE: Duration = Duration::from_millis(10);

/// The timers are looked at no less often than this, since the wall clock may jump and other
/// processes set timers too.
pub const TIMERS_RESCAN: Duration = Duration::from_secs(1);

/// First and longest rest of a timer whose delivery failed; the rest doubles each time.
pub const TIMER_REST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
