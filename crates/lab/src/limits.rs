//! Every bound of this crate, and why it is where it is.

use std::time::Duration;

/// The longest trial, in true time of its system.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The largest scenario file. The largest built-in one has a few kilobytes.
pub const SCENARIO_BYTES_MAX: u64 = 1 << 20;

/// The most faults of one schedule, random ones included: what a reader can still look at.
pub const FAULTS_MAX: usize = 10_000;

/// The most variants of one scenario.
pub const VARIANTS_MAX: usize = 32;

/// The most clients of one scenario's load.
pub const CLIENTS_MAX: u32 = 10_000;

/// The most operations a second of one scenario's load.
pub const RATE_MAX: f64 = 1_000_000.0;

/// How long a check may search unless told otherwise.
pub const CHECK_TIME: Duration = Duration::from_secs(60);

/// The longest line of a history. Values are small; a longer line is a file of another kind.
pub const LINE_BYTES_MAX: usize = 1 << 20;
