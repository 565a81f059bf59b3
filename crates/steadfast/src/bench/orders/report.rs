//! The result of a run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use steadfast_journal::Stats;
use steadfast_journal::sqlite::disk::SyncLatency;

use super::follow::Followed;
use super::load::Seen;
use crate::bench::{Micros, Millis, as_f64};

/// Writes that shared a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CommitBatch {
    /// On average, within the window.
    pub mean: f64,
    /// At most, since the start.
    pub max: u64,
}

impl CommitBatch {
    /// Between two readings of the counters.
    pub fn between(before: Stats, after: Stats) -> Self {
        let batches = after.batches.saturating_sub(before.batches);
        let writes = after.writes.saturating_sub(before.writes);
        Self { mean: as_f64(writes) / as_f64(batches.max(1)), max: after.largest_batch }
    }
}

/// The result of `bench orders`. Field names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Orders answered with 201 per second.
    pub placed_per_s: f64,
    /// Orders that became durably assigned per second.
    pub assigned_per_s: f64,
    /// From due to answered, corrected for coordinated omission.
    pub place_ms: Millis,
    /// From sent to answered as it was seen; with a rate the same as `place_ms`.
    pub place_uncorrected_ms: Millis,
    /// From `placed` to `assigned`.
    pub placed_to_assigned_ms: Millis,
    /// Writes that shared a sync.
    pub commit_batch: CommitBatch,
    /// The disk's own sync latency, from right before and right after; the slower of the two.
    pub fdatasync_us: Micros,
    /// The same, right before.
    pub fdatasync_before_us: Micros,
    /// The same, right after.
    pub fdatasync_after_us: Micros,
    /// What was not answered with 201, by code.
    pub errors: BTreeMap<String, u64>,
    /// Orders that ended without a courier.
    pub undone: u64,
    /// Orders on their way to a courier when the window ended.
    pub under_way: u64,
    /// Connections that were kept alive.
    pub connections: usize,
    /// Orders a second that were asked for; absent in closed loop.
    pub rate: Option<f64>,
    /// With a rate: how late orders were sent because all connections were waiting.
    pub late_ms: Option<Millis>,
    /// How long was measured.
    pub duration_s: f64,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// Couriers on shift.
    pub couriers: usize,
    /// Events in the journal before the run.
    pub events_before: u64,
    /// Finished orders that were stored before the run.
    pub preloaded: u64,
    /// From the start of the platform until it took work.
    pub startup_ms: f64,
    /// Resident memory of the process after the run, the generator's included, in 10⁶ bytes.
    pub rss_mb: Option<f64>,
}

/// What is known besides what was seen.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub before: SyncLatency,
    pub after: SyncLatency,
    pub commits: CommitBatch,
    pub length: Duration,
    pub interrupted: bool,
    pub connections: usize,
    pub rate: Option<f64>,
    pub couriers: usize,
    pub events_before: u64,
    pub preloaded: u64,
    pub startup: Duration,
    pub rss_mb: Option<f64>,
}

fn micros(latency: SyncLatency) -> Micros {
    let number = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    Micros { p50: number(latency.p50), p99: number(latency.p99) }
}

impl Report {
    /// Puts a result together.
    pub fn new(seen: Seen, followed: &Followed, around: Circumstances) -> Self {
        let seconds = around.length.as_secs_f64().max(1e-9);
        let (before, after) = (micros(around.before), micros(around.after));
        let slower = Micros { p50: before.p50.max(after.p50), p99: before.p99.max(after.p99) };
        let uncorrected = Millis::of(&seen.latency);
        let open = around.rate.is_some();
        Self {
            placed_per_s: as_f64(seen.placed) / seconds,
            assigned_per_s: as_f64(followed.assigned) / seconds,
            place_ms: if open { uncorrected } else { Millis::of(&seen.corrected()) },
            place_uncorrected_ms: uncorrected,
            placed_to_assigned_ms: Millis::of(&followed.latency),
            commit_batch: around.commits,
            fdatasync_us: slower,
            fdatasync_before_us: before,
            fdatasync_after_us: after,
            late_ms: open.then(|| Millis::of(&seen.late)),
            errors: seen.errors,
            undone: followed.undone,
            under_way: followed.under_way,
            connections: around.connections,
            rate: around.rate,
            duration_s: around.length.as_secs_f64(),
            interrupted: around.interrupted,
            couriers: around.couriers,
            events_before: around.events_before,
            preloaded: around.preloaded,
            startup_ms: around.startup.as_secs_f64() * 1e3,
            rss_mb: around.rss_mb,
        }
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let millis =
            |m: Millis| format!("p50 {:.2}   p95 {:.2}   p99 {:.2} ms", m.p50, m.p95, m.p99);
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<19}  {value}");
        };
        let how =
            self.rate.map_or("as many as come back".to_owned(), |rate| format!("{rate:.0}/s due"));
        let cut = if self.interrupted { ", interrupted" } else { "" };
        row(
            "load",
            format!(
                "{} connections, {how}, {:.1} s{cut}, {} couriers",
                self.connections, self.duration_s, self.couriers,
            ),
        );
        if self.preloaded > 0 || self.events_before > 0 {
            let stored = format!("{} orders added, {} events", self.preloaded, self.events_before);
            row("stored before", stored);
        }
        row("placed", format!("{:.0}/s", self.placed_per_s));
        row("assigned", format!("{:.0}/s", self.assigned_per_s));
        row("POST /orders", millis(self.place_ms));
        if self.rate.is_none() {
            row("  uncorrected", millis(self.place_uncorrected_ms));
        }
        if let Some(late) = self.late_ms {
            row("  sent late by", millis(late));
        }
        row("placed to assigned", millis(self.placed_to_assigned_ms));
        if self.under_way > 0 {
            row("  still under way", self.under_way.to_string());
        }
        if self.undone > 0 {
            row("  undone", self.undone.to_string());
        }
        let CommitBatch { mean, max } = self.commit_batch;
        row("writes per sync", format!("mean {mean:.1}   max {max}"));
        let Micros { p50, p99 } = self.fdatasync_us;
        row("fdatasync", format!("p50 {p50}   p99 {p99} µs, the disk alone"));
        row("start-up", format!("{:.0} ms", self.startup_ms));
        if let Some(megabytes) = self.rss_mb {
            row("resident memory", format!("{megabytes:.0} MB, generator included"));
        }
        for (code, count) in &self.errors {
            row("error", format!("{code}: {count}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::histogram;

    fn report() -> Report {
        let mut seen = Seen {
            placed: 50,
            latency: histogram(),
            late: histogram(),
            errors: BTreeMap::from([("overloaded".to_owned(), 3)]),
        };
        seen.latency.record_n(1_000, 99).unwrap();
        seen.latency.record(50_000).unwrap();
        let followed =
            Followed { assigned: 40, latency: histogram(), undone: 1, under_way: 9, untimed: 0 };
        let sync = |p50| SyncLatency { p50: Duration::from_micros(p50), ..SyncLatency::default() };
        Report::new(
            seen,
            &followed,
            Circumstances {
                before: sync(100),
                after: sync(300),
                commits: CommitBatch { mean: 20.0, max: 64 },
                length: Duration::from_secs(10),
                interrupted: false,
                connections: 64,
                rate: None,
                couriers: 400,
                events_before: 0,
                preloaded: 0,
                startup: Duration::from_millis(12),
                rss_mb: Some(80.0),
            },
        )
    }

    #[test]
    fn rates_are_per_second_and_the_slower_disk_counts() {
        let report = report();
        assert_eq!((report.placed_per_s, report.assigned_per_s), (5.0, 4.0));
        assert_eq!(report.fdatasync_us.p50, 300);
        // One answer of 50 times the usual hides 49 orders; a third of the corrected ones waited.
        assert!(report.place_ms.p95 > 40.0 && report.place_uncorrected_ms.p95 < 2.0);
    }

    #[test]
    fn the_names_that_others_read_are_there() {
        let json = serde_json::to_value(report()).unwrap();
        for name in ["placed_per_s", "assigned_per_s", "startup_ms", "rss_mb"] {
            assert!(json[name].is_number(), "{name}");
        }
        for name in ["place_ms", "placed_to_assigned_ms"] {
            for percentile in ["p50", "p95", "p99"] {
                assert!(json[name][percentile].is_number(), "{name}.{percentile}");
            }
        }
        assert!(json["commit_batch"]["mean"].is_number() && json["commit_batch"]["max"].is_u64());
        assert!(json["fdatasync_us"]["p50"].is_u64() && json["fdatasync_us"]["p99"].is_u64());
        assert_eq!(json["errors"]["overloaded"], 3);
        assert!(report().render().contains("assigned             4/s"));
    }
}
