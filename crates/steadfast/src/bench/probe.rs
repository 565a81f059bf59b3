//! The machine under the measurement: its disk and this process's memory.

use std::io;
use std::path::Path;
use std::time::Duration;

use steadfast_journal::sqlite::disk::{SyncLatency, fdatasync_latency};
use steadfast_time::Clock;

/// Samples that tell how many more are affordable.
const FIRST_SAMPLES: usize = 10;

/// How long a probe of the disk may take.
const PROBE_TIME: Duration = Duration::from_millis(500);

/// Most samples of one probe.
const SAMPLES_MAX: usize = 500;

/// Measures `fdatasync` on the disk that holds `directory`, for about half a second.
///
/// # Errors
/// The directory cannot be written.
pub fn disk(directory: &Path, clock: &Clock) -> io::Result<SyncLatency> {
    let first = fdatasync_latency(directory, FIRST_SAMPLES, clock)?;
    let each = first.p50.max(Duration::from_micros(1));
    let affordable = PROBE_TIME.as_micros() / each.as_micros();
    let samples =
        usize::try_from(affordable).unwrap_or(SAMPLES_MAX).clamp(FIRST_SAMPLES, SAMPLES_MAX);
    fdatasync_latency(directory, samples, clock)
}

/// The resident memory of this process in MB (10⁶ bytes), where the system tells.
pub fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory() {
        let megabytes = resident_mb().unwrap();
        assert!((1.0..100_000.0).contains(&megabytes), "{megabytes}");
    }
}
