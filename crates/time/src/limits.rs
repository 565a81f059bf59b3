//! Every bound of this crate, with its reason.

/// Readings that a window of clock skews keeps. At one a second, a little over eight minutes; its
/// p99 then stands on the ten largest.
pub const SKEWS_MAX: usize = 1_024;

/// Peers that one reading of the health machine looks at. A cluster asks a few of its members, not
/// all of them.
pub const PEERS_MAX: usize = 64;

/// NTP servers that one client asks. The intersection gains nothing beyond a handful; RFC 5905
/// keeps ten survivors at most (NMAX is 50).
pub const NTP_SERVERS_MAX: usize = 16;

/// Nodes in one vector clock. Each costs its name in every message; a system with more writers
/// wants another clock.
pub const VECTOR_NODES_MAX: usize = 256;

/// Stalls that the detector remembers one by one; older ones are remembered as one, the longest.
pub const STALLS_MAX: usize = 256;

/// Heartbeats whose lateness makes up the detector's p99: 41 s of a 10 ms heartbeat.
pub const BEATS_MAX: usize = 4_096;

/// Bytes of a high-mark file that are read. A whole one has 67 at most.
pub const MARK_FILE_BYTES_MAX: u64 = 128;
