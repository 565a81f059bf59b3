//! What `/metrics` shows.
//!
//! Counters and histograms of the listeners go through the `metrics` facade. What the parts count
//! themselves is read when somebody looks.

use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use steadfast_api::{REQUEST_SECONDS, admin};
use steadfast_dispatch::Assembly;
use steadfast_dispatch::courier::liveness::Liveness;
use steadfast_dispatch::saga::OrderSaga;
use steadfast_journal::Journal;
use steadfast_messaging::{Consumer, Embedded, relay};
use steadfast_resilience::breaker::State;
use steadfast_resilience::policy::Snapshot;

use super::locks;
use super::policies::Watch;
use super::storage::Storage;

/// Upper bounds of latency buckets, in seconds: from a memory hit to the longest deadline.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.35, 0.5, 1.0, 5.0, 30.0];

/// What the fences are for: each of these would have been a lost update.
const STALE: &str = "Writes that a journal's fence refused, of holders who had been replaced.";

/// The process' recorder, installed once.
pub(super) fn recorder() -> Option<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let latency = Matcher::Full(REQUEST_SECONDS.to_owned());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(latency, &SECONDS);
            let builder = builder.and_then(locks::buckets);
            let installed = builder
                .map_err(|error| error.to_string())
                .and_then(|builder| builder.install_recorder().map_err(|e| e.to_string()));
            installed.inspect_err(|error| tracing::warn!(%error, "no metrics of requests")).ok()
        })
        .clone()
}

/// Where the parts' own counters are read.
pub(super) struct Gauges {
    journals: [(&'static str, Journal); 3],
    relay: relay::Handle,
    consumer: Consumer<OrderSaga>,
    bus: Embedded,
    policies: Arc<Watch>,
}

impl Gauges {
    pub(super) fn new(
        storage: &Storage,
        assembly: &Assembly,
        bus: &Embedded,
        policies: &Arc<Watch>,
    ) -> Self {
        Self {
            journals: [
                ("orders", storage.orders().clone()),
                ("stock", storage.stock().clone()),
                ("payment", storage.payment().clone()),
            ],
            relay: assembly.relay.clone(),
            consumer: assembly.consumer.clone(),
            bus: bus.clone(),
            policies: Arc::clone(policies),
        }
    }

    /// The function that the admin listener calls.
    pub(super) fn render(self, recorder: Option<PrometheusHandle>) -> admin::Render {
        Arc::new(move || {
            let mut text = recorder.as_ref().map(PrometheusHandle::render).unwrap_or_default();
            self.append(&mut text);
            text
        })
    }

    fn append(&self, text: &mut String) {
        let stats = self.journals.each_ref().map(|(name, journal)| (*name, journal.stats()));
        let mut journal = |name, help, kind, value: fn(&steadfast_journal::Stats) -> u64| {
            let rows = stats
                .iter()
                .map(|(journal, stats)| (format!("{{journal=\"{journal}\"}}"), value(stats)));
            family(text, name, help, kind, rows);
        };
        journal("steadfast_journal_writes_total", "Writes answered.", "counter", |s| s.writes);
        journal("steadfast_journal_commits_total", "Group commits.", "counter", |s| s.batches);
        journal("steadfast_journal_largest_commit", "Most writes in one commit.", "gauge", |s| {
            s.largest_batch
        });
        journal("steadfast_journal_queued", "Writes that wait now.", "gauge", |s| s.queued as u64);
        journal("steadfast_stale_leader_writes_total", STALE, "counter", |s| s.stale);
        let relay = self.relay.stats();
        let saga = self.consumer.stats();
        let bus = self.bus.stats();
        let single = [
            ("steadfast_relay_published_total", "Messages handed to the bus.", relay.published),
            ("steadfast_relay_refused_total", "Refusals of the bus.", relay.refused),
            ("steadfast_relay_polls_total", "Reads of the outbox.", relay.polls),
            ("steadfast_bus_unrouted_total", "Messages that nobody wants.", bus.unrouted),
        ];
        for (name, help, value) in single {
            family(text, name, help, "counter", [(String::new(), value)]);
        }
        let gauges = [
            ("steadfast_relay_in_flight", "Messages under way.", relay.in_flight),
            ("steadfast_parked_keys", "Keys with dead letters.", saga.parked_keys),
        ];
        for (name, help, value) in gauges {
            family(text, name, help, "gauge", [(String::new(), value)]);
        }
        policies(text, &self.policies.snapshots());
        let (in_use, waiting, limit) = self.policies.gateway().figures();
        let gate = [
            ("steadfast_gateway_in_use", "Requests at work.", u64::from(in_use)),
            ("steadfast_gateway_waiting", "Requests that wait to be let in.", waiting.into()),
            ("steadfast_gateway_limit", "Requests that may be at work.", limit.into()),
        ];
        for (name, help, value) in gate {
            family(text, name, help, "gauge", [(String::new(), value)]);
        }
        if let Some(liveness) = self.policies.liveness() {
            detector(text, &liveness);
        }
    }
}

/// What the watch over the couriers has come to.
fn detector(text: &mut String, liveness: &Liveness) {
    let Liveness { counts, .. } = liveness;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let rows = [
        ("watched", "Couriers that are watched.", "gauge", number(counts.watched)),
        ("suspected", "Those that are suspected.", "gauge", number(counts.suspected)),
        ("suspicions_total", "Suspicions.", "counter", counts.suspicions),
        ("false_suspicions_total", "Those that were false.", "counter", counts.false_suspicions),
        ("own_stalls_total", "Stalls of this process.", "counter", counts.stalls),
    ];
    for (name, help, kind, value) in rows {
        let name = format!("steadfast_courier_detector_{name}");
        family(text, &name, help, kind, [(String::new(), value)]);
    }
}

/// What the policies have counted, by the name of what they guard.
fn policies(text: &mut String, snapshots: &[Snapshot]) {
    type Get = fn(&Snapshot) -> Option<u64>;
    let counters: [(&str, &str, Get); 8] = [
        ("calls", "Calls made.", |s| Some(s.counters.calls)),
        ("attempts", "Attempts that were sent.", |s| Some(s.counters.attempts)),
        ("failures", "Attempts that failed.", |s| Some(s.counters.failures)),
        ("timeouts", "Attempts without an answer in time.", |s| Some(s.counters.timeouts)),
        ("refusals", "Attempts that were not let through.", |s| Some(s.counters.refusals)),
        ("retries", "Retries issued.", |s| Some(s.counters.retries)),
        ("hedges", "Hedges issued.", |s| Some(s.counters.hedges)),
        ("hedges_won", "Hedges that answered first.", |s| Some(s.counters.hedges_won)),
    ];
    let gauges: [(&str, &str, Get); 5] = [
        ("circuit_open", "1 while the circuit lets nothing through.", |s| {
            s.breaker.map(|b| u64::from(matches!(b.state, State::Open | State::ForcedOpen)))
        }),
        ("in_use", "Places taken in the bulkhead.", |s| s.bulkhead.map(|(used, _)| used.into())),
        ("waiting", "Calls that wait for one.", |s| s.bulkhead.map(|(_, waits)| waits.into())),
        ("budget_extra", "Retries and hedges in the budget's window.", |s| {
            s.budget.map(|budget| budget.extra)
        }),
        ("budget_allowed", "How many the calls in it allow.", |s| {
            s.budget.map(|budget| budget.allowed)
        }),
    ];
    let rows = |get: Get| {
        let row =
            move |s: &Snapshot| get(s).map(|value| (format!("{{name=\"{}\"}}", s.name), value));
        snapshots.iter().filter_map(row).collect::<Vec<_>>()
    };
    for (name, help, get) in counters {
        family(text, &format!("steadfast_policy_{name}_total"), help, "counter", rows(get));
    }
    for (name, help, get) in gauges {
        family(text, &format!("steadfast_policy_{name}"), help, "gauge", rows(get));
    }
}

/// One metric in Prometheus' text format.
fn family(
    text: &mut String,
    name: &str,
    help: &str,
    kind: &str,
    rows: impl IntoIterator<Item = (String, u64)>,
) {
    use std::fmt::Write as _;

    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in rows {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
