//! All limits of this crate, in one place.

use std::time::Duration;

/// Largest body of a request to place an order. The largest order that the domain accepts (100
/// lines, a full note) takes about 30 KiB.
pub const ORDER_BODY_BYTES_MAX: usize = 64 * 1024;

/// Largest body of every other request.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// How much of a body that is too large is read and thrown away before it is refused, so that a
/// client that sends first and listens later hears why. Past this the connection is cut.
pub const BODY_DISCARD_BYTES_MAX: usize = 16 << 20;

/// How long a request may take when it does not say: the gateway's hop budget of 100 ms, and the
/// order service's of 350 ms.
pub const DEADLINE_DEFAULT: Duration = Duration::from_millis(450);

/// Longest deadline that a request can ask for; more is cut down to this.
pub const DEADLINE_MAX: Duration = Duration::from_secs(30);

/// Orders in a page of a list when the request does not say.
pub const PAGE_ORDERS_DEFAULT: usize = 50;

/// Events in a page of a history when the request does not say.
pub const PAGE_EVENTS_DEFAULT: usize = 100;

/// Longest `detail` of a problem, in characters. It may quote the request.
pub const DETAIL_CHARS_MAX: usize = 300;

/// Longest cursor or identifier in a query or a path that is looked at, in bytes.
pub const PARAMETER_BYTES_MAX: usize = 1_024;

/// How often a tracking stream says that it is alive. Proxies cut idle streams after 30 to 60 s.
pub const TRACK_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a client of a tracking stream is told to wait before it comes back.
pub const TRACK_RETRY: Duration = Duration::from_secs(2);

/// Entries in a page of an administrator's list.
pub const PAGE_ADMIN_MAX: usize = 500;

/// The same when the request does not say.
pub const PAGE_ADMIN_DEFAULT: usize = 100;

/// Most dead letters replayed in a second.
pub const REPLAY_PER_SECOND_MAX: u32 = 10_000;

/// Connections of a listener when its options do not say. Each open one costs a file descriptor
/// and, once it has sent something, about 10 KiB.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Refused connections that are being told so at once. Past this they are closed in silence.
pub const REFUSALS_MAX: usize = 128;

/// How long a refused connection may take to hear that it is refused.
pub const REFUSAL_TIME: Duration = Duration::from_millis(500);

/// How long accepting pauses when the system is out of file descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Largest head of a request, in bytes; also the size that a connection's buffer may reach.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// How long the head of a request may take. It also ends a connection that is kept alive for
/// nothing.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the body of a request may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave the server unable to send before the connection is cut.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests that are at work may take to end while a listener drains.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Shortest bearer token, in bytes: 16 random characters cannot be guessed over a network.
pub const TOKEN_BYTES_MIN: usize = 16;
