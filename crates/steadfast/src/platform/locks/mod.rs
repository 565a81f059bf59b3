//! What the coordination client reports, as metrics and as the sources' indicators.
//!
//! The client tells of each thing that happens ([`Event`]); this counts it, with handles that are
//! fetched once, for it is called within the client's own operations.
//!
//! | metric | what |
//! |---|---|
//! | [`ACQUIRE`] | from asking to holding; the indicator `lock.acquire_time_ms` |
//! | [`ACQUISITIONS`] | by whether others were ahead; the share is `lock.contention_rate` |
//! | [`QUEUE_DEPTH`] | how many were ahead of those that had to wait |
//! | [`HOLD`] | how long something was held, by how that ended |
//! | [`MARGIN`] | what was left of a session when its renewal was answered |
//! | [`SESSIONS_LOST`] | by cause |
//! | [`ELECTION`] | how long there was no leader; `consensus.leader_election_ms` |
//!
//! # Limits
//! A hold is counted when it ends: whoever has had a lease for a week is not in the histogram yet.

mod recent;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use serde_json::{Value, json};
use steadfast_coordination::event::{Event, Listener, LossCause};
use steadfast_coordination::{Client, Name};
use steadfast_dispatch::relay::RESOURCE;
use steadfast_time::Clock;

use recent::Recent;

use crate::bench::as_f64;

/// Seconds from asking to holding.
pub(super) const ACQUIRE: &str = "steadfast_lock_acquire_seconds";
/// Locks, permits and leaderships that were got, by `contended`.
pub(super) const ACQUISITIONS: &str = "steadfast_lock_acquisitions_total";
/// Attempts that ended without a turn.
pub(super) const ABANDONED: &str = "steadfast_lock_abandoned_total";
/// Entries ahead of one that has to wait.
pub(super) const QUEUE_DEPTH: &str = "steadfast_lock_queue_depth";
/// Seconds from holding to the end of it, by `end`.
pub(super) const HOLD: &str = "steadfast_lock_hold_seconds";
/// Seconds that were left of a session when its renewal was answered.
pub(super) const MARGIN: &str = "steadfast_session_margin_seconds";
/// Sessions that were opened.
pub(super) const SESSIONS_OPENED: &str = "steadfast_sessions_opened_total";
/// Sessions that were lost, by `cause`.
pub(super) const SESSIONS_LOST: &str = "steadfast_sessions_lost_total";
/// Seconds without a leader, from the first sight without the old one to that of the new one.
pub(super) const ELECTION: &str = "steadfast_leader_election_seconds";
/// 1 while this node may hold nothing.
pub(super) const QUARANTINED: &str = "steadfast_quarantined";

/// Upper bounds, in seconds: from an `fsync` of a good disk to a lost lease.
const WAITS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0,
];
/// Upper bounds, in seconds: from a write to a day.
const HOLDS: [f64; 9] = [0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0];
/// Upper bounds, in entries.
const DEPTHS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

/// Why sessions are lost.
const CAUSES: [LossCause; 5] = [
    LossCause::Deadline,
    LossCause::Server,
    LossCause::Stall,
    LossCause::Quarantine,
    LossCause::Releases,
];

/// What the sources allow: p95 of getting a lock, and the longest election, in milliseconds.
const ACQUIRE_P95_MS_MAX: f64 = 100.0;
const ELECTION_MS_MAX: f64 = 5_000.0;

/// Counts what the client reports.
pub(super) struct Locks {
    clock: Clock,
    acquire: Histogram,
    free: Counter,
    contended: Counter,
    abandoned: Counter,
    depth: Histogram,
    released: Histogram,
    lost: Histogram,
    margin: Histogram,
    opened: Counter,
    election: Histogram,
    quarantined: Gauge,
    lately: Mutex<Lately>,
}

/// What the indicators are made of.
struct Lately {
    /// Marked where others were ahead.
    acquire: Recent,
    election: Recent,
}

/// The buckets of the histograms here.
pub(super) fn buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    builder
        .set_buckets_for_metric(full(ACQUIRE), &WAITS)?
        .set_buckets_for_metric(full(MARGIN), &WAITS)?
        .set_buckets_for_metric(full(ELECTION), &WAITS)?
        .set_buckets_for_metric(full(HOLD), &HOLDS)?
        .set_buckets_for_metric(full(QUEUE_DEPTH), &DEPTHS)
}

impl Locks {
    /// Counts from now on. The recorder must be installed before.
    pub(super) fn new(clock: Clock) -> Self {
        describe();
        let now = clock.monotonic();
        let lately = Lately { acquire: Recent::new(now), election: Recent::new(now) };
        // Those that never happen are shown as well.
        for cause in CAUSES {
            counter!(SESSIONS_LOST, "cause" => word(cause)).increment(0);
        }
        let quarantined = gauge!(QUARANTINED);
        quarantined.set(0.0);
        Self {
            clock,
            acquire: histogram!(ACQUIRE),
            free: counter!(ACQUISITIONS, "contended" => "false"),
            contended: counter!(ACQUISITIONS, "contended" => "true"),
            abandoned: counter!(ABANDONED),
            depth: histogram!(QUEUE_DEPTH),
            released: histogram!(HOLD, "end" => "released"),
            lost: histogram!(HOLD, "end" => "lost"),
            margin: histogram!(MARGIN),
            opened: counter!(SESSIONS_OPENED),
            election: histogram!(ELECTION),
            quarantined,
            lately: Mutex::new(lately),
        }
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquired(&self, waited: Duration, contended: bool) {
        self.acquire.record(waited);
        if contended { &self.contended } else { &self.free }.increment(1);
        let now = self.clock.monotonic();
        self.lately().acquire.record(now, waited, contended);
    }

    fn quarantine(&self, on: bool) {
        self.quarantined.set(f64::from(u8::from(on)));
    }

    /// Somebody leads again, after so long without.
    fn elected(&self, vacancy: Duration) {
        self.election.record(vacancy);
        let now = self.clock.monotonic();
        self.lately().election.record(now, vacancy, false);
    }

    /// Watches how long the election of a relay takes, each time there is one, for as long as it
    /// is polled.
    pub(super) async fn watch(&self, client: &Client) {
        let Ok(name) = Name::new(RESOURCE) else { return };
        let mut observer = client.election(&name).observe();
        loop {
            match observer.next().await {
                Ok(view) => view.vacancy.into_iter().for_each(|vacancy| self.elected(vacancy)),
                // It stays so, and an election that nobody watches is an election all the same.
                Err(error) => {
                    return tracing::warn!(election = %name, %error, "elections are not timed");
                }
            }
        }
    }

    /// The sources' indicators; `stale` is what the journals' fences have refused.
    pub(super) fn indicators(&self, stale: u64) -> Vec<Value> {
        let now = self.clock.monotonic();
        let mut lately = self.lately();
        let acquired = lately.acquire.within(now);
        let elections = lately.election.within(now);
        drop(lately);
        let rate = as_f64(acquired.marked) / as_f64(acquired.count.max(1));
        vec![
            json!({
                "indicator": "lock.acquire_time_ms.p95",
                "of": "leases",
                "bound": ACQUIRE_P95_MS_MAX,
                "last_5m": acquired.p95_ms,
                "acquired_5m": acquired.count,
                "met": acquired.p95_ms < ACQUIRE_P95_MS_MAX,
            }),
            json!({
                "indicator": "lock.contention_rate",
                "of": "leases",
                "last_5m": rate,
                "acquired_5m": acquired.count,
            }),
            json!({
                "indicator": "consensus.leader_election_ms",
                "of": "leases",
                "bound": ELECTION_MS_MAX,
                "last_5m": elections.max_ms,
                "elections_5m": elections.count,
                "met": elections.max_ms < ELECTION_MS_MAX,
            }),
            json!({
                "indicator": "stale_leader_write.count",
                "of": "journals",
                "since_start": stale,
            }),
        ]
    }
}

impl Listener for Locks {
    fn on(&self, event: &Event) {
        match event {
            Event::SessionOpened { .. } => self.opened.increment(1),
            Event::SessionRenewed { margin, .. } => self.margin.record(*margin),
            Event::SessionLost { cause, .. } => {
                counter!(SESSIONS_LOST, "cause" => word(*cause)).increment(1);
            }
            Event::Contended { depth, .. } => self.depth.record(*depth),
            Event::Acquired { waited, contended, .. } => self.acquired(*waited, *contended),
            Event::Abandoned { .. } => self.abandoned.increment(1),
            Event::Released { held, .. } => self.released.record(*held),
            Event::Lost { held, .. } => self.lost.record(*held),
            Event::Quarantined { .. } => self.quarantine(true),
            Event::Readmitted => self.quarantine(false),
            // What is new there is counted once it has a meaning here.
            _ => {}
        }
    }
}

const fn word(cause: LossCause) -> &'static str {
    match cause {
        LossCause::Deadline => "deadline",
        LossCause::Server => "server",
        LossCause::Stall => "stall",
        LossCause::Quarantine => "quarantine",
        LossCause::Releases => "releases",
        _ => "other",
    }
}

fn describe() {
    use metrics::{Unit::Seconds, describe_counter, describe_gauge, describe_histogram};

    describe_histogram!(ACQUIRE, Seconds, "From asking for a lock to holding it.");
    describe_counter!(ACQUISITIONS, "Locks, permits and leaderships that were got.");
    describe_counter!(ABANDONED, "Attempts that ended without a turn.");
    describe_histogram!(QUEUE_DEPTH, "Entries ahead of one that has to wait.");
    describe_histogram!(HOLD, Seconds, "How long something was held.");
    describe_histogram!(MARGIN, Seconds, "What was left of a session when it was renewed.");
    describe_counter!(SESSIONS_OPENED, "Sessions that were opened.");
    describe_counter!(SESSIONS_LOST, "Sessions that were lost.");
    describe_histogram!(ELECTION, Seconds, "How long there was no leader.");
    describe_gauge!(QUARANTINED, "1 while this node may hold nothing.");
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use steadfast_coordination::port::SessionId;

    use super::*;

    /// What a listener has counted, as it is shown, after these events.
    fn shown(events: impl FnOnce(&Locks)) -> (Locks, String) {
        let recorder = buckets(PrometheusBuilder::new()).unwrap().build_recorder();
        let locks = metrics::with_local_recorder(&recorder, || {
            let locks = Locks::new(Clock::system());
            events(&locks);
            locks
        });
        (locks, recorder.handle().render())
    }

    fn acquired(ms: u64, contended: bool) -> Event {
        let (name, token) = ("zone/a".parse().unwrap(), serde_json::from_str("7").unwrap());
        Event::Acquired { name, token, waited: Duration::from_millis(ms), contended }
    }

    #[test]
    fn each_event_is_counted_once_and_where_it_belongs() {
        let (session, held) = (SessionId(1), Duration::from_secs(5));
        let (name, token) = (|| "zone/a".parse().unwrap(), serde_json::from_str("7").unwrap());
        let (locks, text) = shown(|locks| {
            for event in [
                Event::SessionOpened { session },
                Event::SessionRenewed { session, margin: Duration::from_secs(3) },
                Event::SessionLost { session, cause: LossCause::Stall },
                Event::Contended { name: name(), depth: 3 },
                acquired(2, false),
                acquired(2, false),
                acquired(2, false),
                acquired(700, true),
                Event::Abandoned { name: name(), waited: held },
                Event::Released { name: name(), token, held },
                Event::Lost { name: name(), token, held },
                Event::Quarantined { reason: "clock".into() },
            ] {
                locks.on(&event);
            }
        });
        for line in [
            "steadfast_lock_acquire_seconds_bucket{le=\"0.0025\"} 3",
            "steadfast_lock_acquire_seconds_count 4",
            "steadfast_lock_acquisitions_total{contended=\"false\"} 3",
            "steadfast_lock_acquisitions_total{contended=\"true\"} 1",
            "steadfast_lock_abandoned_total 1",
            "steadfast_lock_queue_depth_bucket{le=\"4\"} 1",
            "steadfast_lock_queue_depth_bucket{le=\"2\"} 0",
            "steadfast_lock_hold_seconds_bucket{end=\"released\",le=\"10\"} 1",
            "steadfast_lock_hold_seconds_bucket{end=\"lost\",le=\"1\"} 0",
            "steadfast_session_margin_seconds_sum 3",
            "steadfast_sessions_opened_total 1",
            "steadfast_sessions_lost_total{cause=\"stall\"} 1",
            "steadfast_sessions_lost_total{cause=\"deadline\"} 0",
            "steadfast_quarantined 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        let rows = locks.indicators(2);
        let value = |name: &str| {
            let row = rows.iter().find(|row| row["indicator"] == name);
            row.unwrap_or_else(|| panic!("no {name} in {rows:?}")).clone()
        };
        assert!(value("lock.acquire_time_ms.p95")["last_5m"].as_f64().unwrap() >= 700.0);
        assert_eq!(value("lock.acquire_time_ms.p95")["met"], false);
        assert_eq!(value("lock.contention_rate")["last_5m"], 0.25);
        assert_eq!(value("consensus.leader_election_ms")["met"], true);
        assert_eq!(value("stale_leader_write.count")["since_start"], 2);
    }

    #[test]
    fn a_node_that_is_readmitted_is_not_quarantined() {
        let (_, text) = shown(|locks| {
            locks.on(&Event::Quarantined { reason: "clock".into() });
            locks.on(&Event::Readmitted);
            locks.elected(Duration::from_millis(30));
        });
        assert!(text.contains("\nsteadfast_quarantined 0"), "{text}");
        assert!(text.contains("steadfast_leader_election_seconds_count 1"), "{text}");
    }
}
