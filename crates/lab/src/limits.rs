//! Every bound of this crate, and why it is where it is.

use std::time::Duration;

/// The longest trial, in true time of its system.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The largest scenario file. The largest built-in one has a few kilobytes.
pub const SCENARIO_BYTES_MAX: u64 = 1 << 20;

/// The most faults of one schedule, random ones included: what a reader can still look at.
pub const FAULTS_MAX: usize = 10_000;

/// The most problems of one scenario that are told: what a reader works off in one go.
pub const PROBLEMS_MAX: usize = 100;

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

/// The most points of one curve in a report: more than a screen has columns for it. A longer curve
/// keeps the first, lowest, highest and last point of each piece.
pub const PICTURE_POINTS_MAX: usize = 1_200;

/// The most operations in the picture of a piece of a history: what a reader can still follow.
pub const PIECE_OPERATIONS_MAX: usize = 60;

/// The most rows of a table in a report. Further ones are in its JSON, and the page says so.
pub const PAGE_ROWS_MAX: usize = 400;

/// The longest value in a report's picture or table, in characters; a longer one is cut.
pub const PAGE_VALUE_CHARS_MAX: usize = 160;

/// The largest report that is read for a gallery. One with ten variants has some ten megabytes.
pub const REPORT_BYTES_MAX: u64 = 64 << 20;

/// The most reports of one gallery: a page with more is no overview.
pub const GALLERY_REPORTS_MAX: usize = 2_000;

/// The most brackets and tags within one another of an operation in EDN: twice what JSON's reader allows, as
/// much stack as any thread has.
pub const EDN_DEPTH_MAX: usize = 256;

/// The most reports of a real run's workers that are kept. A day of five busy workers has fewer.
pub const REPORTS_MAX: usize = 4_000_000;

/// The most workers behind one lock: each has a lane of its own in the picture.
pub const LOCK_WORKERS_MAX: u32 = 64;

/// The most calls of one trial through policies: an hour at 1,400 a second, and a history of a
/// gigabyte or so.
pub const CALLS_MAX: f64 = 5_000_000.0;

/// The most dependencies of one API node.
pub const DEPENDENCIES_MAX: usize = 16;

/// The most workers of one dependency.
pub const WORKERS_MAX: u64 = 1_024;

/// The most requests that wait at one dependency.
pub const QUEUE_MAX: u64 = 100_000;

/// The most operations of a history that a command checks unless told otherwise: some two
/// gigabytes of memory, and a file of as many.
pub const HISTORY_OPERATIONS_MAX: u64 = 10_000_000;

/// The most events of one checked history: their places are 32-bit numbers.
pub const CHECK_EVENTS_MAX: u32 = u32::MAX - 2;

/// The most that the searches of one check may remember, as counted: an estimate from above, since
/// what is met a second time is counted again. Hard histories fill any memory; this is what an
/// ordinary machine can spare.
pub const CHECK_BYTES_MAX: usize = 2 << 30;

/// The most that the values and keys of one checked history may take: as much again as its searches.
/// Small values, as those of Jepsen's workloads, stay far below it.
pub const CHECK_VALUE_BYTES_MAX: usize = 2 << 30;

/// The most operations of a piece that is shown. With more it explains nothing to anybody.
pub const CHECK_PIECE_OPERATIONS_MAX: usize = 10_000;

/// The most threads of one check. Keys are checked side by side; more than this many cores are
/// seldom there for a check alone.
pub const CHECK_THREADS_MAX: usize = 8;

/// How long a check may look for a smaller piece of a violation that it has found. Most are small
/// after a few milliseconds.
pub const SHRINK_TIME: Duration = Duration::from_secs(5);

/// The largest body that the HTTP proxy passes on: far more than any request of this project.
pub const PROXY_BODY_BYTES_MAX: usize = 1 << 20;

/// How long the HTTP proxy waits for its server. Longer than any client here; whoever stands still
/// for longer has been given up by everybody.
pub const PROXY_WAIT_MAX: Duration = Duration::from_secs(60);
