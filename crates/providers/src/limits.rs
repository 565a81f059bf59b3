//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest idempotency key of a call, in bytes (as in the journal).
pub const KEY_BYTES_MAX: usize = 255;

/// Longest key of a restocking, in bytes: it names a stream of the journal.
pub const RESTOCK_KEY_BYTES_MAX: usize = 200;

/// Most pieces in one restocking.
pub const RESTOCK_PIECES_MAX: u32 = 1_000_000_000;

/// Most pieces that an article may be assumed to start with. With restockings of
/// [`RESTOCK_PIECES_MAX`] there is room for billions of them before a counter could overflow.
pub const DEFAULT_STOCK_MAX: u32 = 1_000_000_000;

/// Most rules by which the sandbox declines payments.
pub const DECLINE_RULES_MAX: usize = 16;

/// A call waits no longer than this, whatever its deadline says.
pub const CALL_LENGTH_MAX: Duration = Duration::from_secs(3_600);

/// How often an operation looks again after somebody else wrote first. A stream has at most two
/// steps, so the third look always finds the end; the rest is a margin.
pub const CONFLICT_ROUNDS_MAX: usize = 4;

/// Events that one page of an audit looks at.
pub const AUDIT_PAGE_MAX: usize = 1_000;

/// Articles that the totals of an audit can tell apart.
pub const AUDIT_ARTICLES_MAX: usize = 100_000;

/// Longest injected delay.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// Largest answer that is read from a service, in bytes. Ours have about 100.
pub const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// Largest request that the served sandbox reads, in bytes: 100 lines of 120-byte names fit.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Most connections to one service.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Connections to one service unless told otherwise. At 10 ms per call they carry 6,400 calls a
/// second.
pub const CONNECTIONS_DEFAULT: usize = 64;

/// Calls of one service that wait for their turn. The policy in front lets far fewer come; this is
/// for whoever uses the engine without one.
pub const CALLS_WAITING_MAX: u32 = 4_096;

/// How long one of them waits at most, whatever its deadline says.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a call whose turn has come waits for a connection that is being closed to be gone.
pub const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long an unused connection is kept. Shorter than the idle timeouts that servers and load
/// balancers commonly have (60 s and more), so that it is we who close it.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(30);

/// How much of the wording that a service gave is kept.
pub const REASON_CHARS_MAX: usize = 200;

/// Longest refusal code that is accepted from a service, in bytes.
pub const CODE_BYTES_MAX: usize = 64;

/// What the served sandbox allows a call that names no deadline.
pub const SERVED_CALL_DEFAULT: Duration = Duration::from_secs(10);
