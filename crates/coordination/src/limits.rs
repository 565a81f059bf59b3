//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest name of a resource, in bytes; the same as the journal's limit for a fence.
pub const RESOURCE_BYTES_MAX: usize = 400;

/// Leases that are out at once. A deployment has some hundreds of zones.
pub const LEASES_MAX: usize = 65_536;

/// Tokens reserved on disk at once. A restart skips at most so many; with one restart a second,
/// 64 bits last for more than fifty million years.
pub const TOKENS_RESERVED: u64 = 10_000;

/// The longest lease. A holder that stops without a word blocks its resource for so long.
pub const LENGTH_MAX: Duration = Duration::from_secs(3_600);

/// Largest file of reserved tokens that is read, in bytes. A good one has less than a hundred.
pub const TOKEN_FILE_BYTES_MAX: u64 = 4_096;
