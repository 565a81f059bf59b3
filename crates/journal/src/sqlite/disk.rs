//! How fast the disk makes something durable.
//!
//! Every figure about a journal is meaningless without this one: a commit takes at least as long
//! as the disk takes to acknowledge a sync, and that ranges from 20 µs to 20 ms.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use steadfast_time::Clock;

/// Bytes that are appended before each sync: a page.
const APPEND_BYTES: usize = 4_096;

/// Most samples that one probe takes.
pub const SAMPLES_MAX: usize = 10_000;

/// Latencies of `fdatasync` after an append of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncLatency {
    /// How often it was measured.
    pub samples: usize,
    /// The fastest.
    pub min: Duration,
    /// Half of them were at most this long.
    pub p50: Duration,
    /// 99 of 100 were at most this long.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

/// Measures the disk that holds `directory`, with a file that is removed afterwards.
///
/// `samples` is capped at [`SAMPLES_MAX`] and is at least one.
///
/// # Errors
/// The file could not be made, written, synced, or removed.
pub fn fdatasync_latency(
    directory: &Path,
    samples: usize,
    clock: &Clock,
) -> io::Result<SyncLatency> {
    let mut scratch = Scratch::create(directory)?;
    let page = [0x5A; APPEND_BYTES];
    let mut latencies = Vec::new();
    for _ in 0..samples.clamp(1, SAMPLES_MAX) {
        scratch.file.write_all(&page)?;
        let start = clock.monotonic();
        scratch.file.sync_data()?;
        latencies.push(clock.monotonic() - start);
    }
    scratch.remove()?;
    latencies.sort_unstable();
    // The nearest-rank percentile.
    let at = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies.get(rank - 1).copied().unwrap_or_default()
    };
    Ok(SyncLatency {
        samples: latencies.len(),
        min: latencies.first().copied().unwrap_or_default(),
        p50: at(50),
        p99: at(99),
        max: at(100),
    })
}

/// A file that does not outlive its use.
struct Scratch {
    file: File,
    path: PathBuf,
    removed: bool,
}

impl Scratch {
    fn create(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!(".fdatasync-probe-{}", std::process::id()));
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        Ok(Self { file, path, removed: false })
    }

    fn remove(&mut self) -> io::Result<()> {
        self.removed = true;
        std::fs::remove_file(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.removed {
            let _ = self.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_order_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let latency = fdatasync_latency(directory.path(), 20, &Clock::system()).unwrap();
        assert_eq!(latency.samples, 20);
        assert!(latency.min <= latency.p50);
        assert!(latency.p50 <= latency.p99);
        assert!(latency.p99 <= latency.max);
        assert!(latency.max > Duration::ZERO);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
