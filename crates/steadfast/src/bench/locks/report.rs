//! The result of a run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use steadfast_coordination::port::{Answer, Capabilities};
use steadfast_journal::sqlite::disk::SyncLatency;

use super::Options;
use super::load::Seen;
use crate::bench::{Micros, Millis, as_f64};

/// The result of `bench locks`. Field names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The engine that was measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// Clients that locked and unlocked at once.
    pub clients: usize,
    /// Connections that they shared, each with one session.
    pub connections: usize,
    /// `distinct`: each client has a lock of its own; `same`: all want the same.
    pub names: &'static str,
    /// The length of the sessions.
    pub ttl_s: f64,
    /// The disk's own sync latency, from right before and right after; the slower of the two.
    pub fdatasync_us: Micros,
    /// The same, right before.
    pub fdatasync_before_us: Micros,
    /// The same, right after.
    pub fdatasync_after_us: Micros,
    /// Other engines, measured in turns with it.
    pub compared: Vec<Compared>,
    /// Whether it was ended early.
    pub interrupted: bool,
}

/// What one engine did.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub engine: &'static str,
    /// Locks got and given back per second.
    pub pairs_per_s: f64,
    /// From asking to holding.
    pub acquire_ms: Millis,
    /// From giving back to the server's word that it is.
    pub release_ms: Millis,
    /// Locks got and given back.
    pub pairs: u64,
    /// How long was measured.
    pub duration_s: f64,
    /// What was not answered as it should, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Tokens that were not higher than one before for the same name: none, or it is no lock.
    pub stale_tokens: u64,
    /// Commands that shared a sync on average, the warm-up's included; of a coordinator of our own.
    pub commit_batch_mean: Option<f64>,
    /// Whether what it answers survives a restart, as the engine's capabilities say.
    pub survives_restart: String,
}

/// Another engine, beside the one that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// What it did.
    #[serde(flatten)]
    pub measured: Measured,
    /// How many times as many pairs the measured engine did; absent when this one did none.
    pub pairs_ratio: Option<f64>,
    /// How many times as long the measured engine's p95 of getting a lock is; below one, it is
    /// shorter.
    pub acquire_p95_ratio: Option<f64>,
}

/// What is known besides what was seen.
pub(super) struct Circumstances {
    pub(super) before: SyncLatency,
    pub(super) after: SyncLatency,
    pub(super) interrupted: bool,
}

/// What was seen of one engine.
pub(super) struct Outcome {
    pub(super) capabilities: Capabilities,
    pub(super) seen: Seen,
    pub(super) batch_mean: Option<f64>,
}

fn micros(latency: SyncLatency) -> Micros {
    let number = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    Micros { p50: number(latency.p50), p99: number(latency.p99) }
}

fn words(answer: Answer) -> String {
    match answer {
        Answer::Yes => "yes".to_owned(),
        Answer::If(condition) => format!("if {condition}"),
        Answer::No(instead) => format!("no: {instead}"),
    }
}

impl Measured {
    fn new(outcome: Outcome) -> Self {
        let Outcome { capabilities, seen, batch_mean } = outcome;
        let Capabilities { engine, survives_restart, .. } = capabilities;
        Self {
            engine,
            pairs_per_s: as_f64(seen.pairs) / seen.length.as_secs_f64().max(1e-9),
            acquire_ms: Millis::of(&seen.acquire),
            release_ms: Millis::of(&seen.release),
            pairs: seen.pairs,
            duration_s: seen.length.as_secs_f64(),
            errors: seen.errors,
            stale_tokens: seen.stale,
            commit_batch_mean: batch_mean,
            survives_restart: words(survives_restart),
        }
    }

    /// What keeps its figures from being figures of a lock.
    fn problem(&self) -> Option<String> {
        let Self { engine, stale_tokens, .. } = self;
        match (stale_tokens, self.pairs) {
            (0, 0) => Some(format!("{engine}: no lock was got and given back")),
            (0, _) => None,
            (stale, _) => Some(format!("{engine}: {stale} tokens were not higher than one before")),
        }
    }
}

fn ratio(ours: f64, theirs: f64) -> Option<f64> {
    (theirs > 0.0).then(|| ours / theirs)
}

impl Report {
    /// Puts a result together, of the engine that is measured and those that it is compared with.
    pub(super) fn new(
        options: &Options,
        first: Outcome,
        others: Vec<Outcome>,
        around: &Circumstances,
    ) -> Self {
        let measured = Measured::new(first);
        let compare = |outcome| {
            let other = Measured::new(outcome);
            Compared {
                pairs_ratio: ratio(measured.pairs_per_s, other.pairs_per_s),
                acquire_p95_ratio: ratio(measured.acquire_ms.p95, other.acquire_ms.p95),
                measured: other,
            }
        };
        let compared = others.into_iter().map(compare).collect();
        let (before, after) = (micros(around.before), micros(around.after));
        Self {
            measured,
            clients: options.clients,
            connections: options.connections,
            names: if options.same_name { "same" } else { "distinct" },
            ttl_s: options.ttl.as_secs_f64(),
            fdatasync_us: Micros { p50: before.p50.max(after.p50), p99: before.p99.max(after.p99) },
            fdatasync_before_us: before,
            fdatasync_after_us: after,
            compared,
            interrupted: around.interrupted,
        }
    }

    /// Why the figures cannot be relied on, if they cannot.
    pub fn problem(&self) -> Option<String> {
        let others = self.compared.iter().map(|compared| &compared.measured);
        [&self.measured].into_iter().chain(others).find_map(Measured::problem)
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let locks = if self.names == "same" { "one lock for all" } else { "a lock each" };
        let cut = if self.interrupted { ", interrupted" } else { "" };
        let Self { clients, connections, ttl_s, .. } = self;
        let load = format!(
            "{clients} clients, {locks}; connections: {connections}, sessions of {ttl_s:.1} s{cut}"
        );
        row(&mut text, "load", &load);
        self.measured.render(&mut text);
        for Compared { measured, pairs_ratio, acquire_p95_ratio } in &self.compared {
            measured.render(&mut text);
            if let (Some(pairs), Some(p95)) = (pairs_ratio, acquire_p95_ratio) {
                let (ours, theirs) = (self.measured.engine, measured.engine);
                let ratio = format!("{ours}: {pairs:.2} × {theirs}'s pairs, {p95:.3} × its p95");
                row(&mut text, "  compared", &ratio);
            }
        }
        let Micros { p50, p99 } = self.fdatasync_us;
        row(&mut text, "fdatasync", &format!("p50 {p50}   p99 {p99} µs, the disk alone"));
        text
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<19}  {value}");
}

impl Measured {
    fn render(&self, text: &mut String) {
        let millis =
            |m: Millis| format!("p50 {:.2}   p95 {:.2}   p99 {:.2} ms", m.p50, m.p95, m.p99);
        let Self { engine, pairs_per_s, duration_s, .. } = self;
        row(text, engine, &format!("{pairs_per_s:.0} pairs/s, {duration_s:.1} s measured"));
        row(text, "  acquire", &millis(self.acquire_ms));
        row(text, "  release", &millis(self.release_ms));
        if let Some(mean) = self.commit_batch_mean {
            row(text, "  commands per sync", &format!("mean {mean:.1}"));
        }
        row(text, "  survives restart", &self.survives_restart);
        for (kind, count) in &self.errors {
            row(text, "  error", &format!("{kind}: {count}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use steadfast_coordination::port::Notification;

    use super::*;
    use crate::bench::locks::{Engine, Target};

    fn outcome(engine: &'static str, pairs: u64, acquire_us: u64, stale: u64) -> Outcome {
        let mut seen = Seen { pairs, stale, length: Duration::from_secs(2), ..Seen::default() };
        seen.acquire.record_n(acquire_us, pairs).unwrap();
        seen.errors.insert("timeout", 3);
        let capabilities = Capabilities {
            engine,
            linearizable: Answer::Yes,
            fair: Answer::Yes,
            fenced: Answer::Yes,
            survives_restart: Answer::If("it syncs"),
            survives_leader_loss: Answer::Yes,
            notification: Notification::Pushed,
            session_min: Duration::ZERO,
            session_max: Duration::MAX,
            note: "",
        };
        Outcome { capabilities, seen, batch_mean: Some(12.5) }
    }

    fn report(stale: u64, others: u64) -> Report {
        let sync = |p50| SyncLatency { p50: Duration::from_micros(p50), ..SyncLatency::default() };
        let options = Options {
            target: Target::new(Engine::Embedded, None).unwrap(),
            compare: Vec::new(),
            clients: 64,
            connections: 1,
            duration: Duration::from_secs(2),
            warmup: Duration::ZERO,
            ttl: Duration::from_secs(10),
            same_name: false,
            data: None,
        };
        let around = Circumstances { before: sync(100), after: sync(300), interrupted: false };
        let others = vec![outcome("etcd", others, 10_000, 0)];
        Report::new(&options, outcome("embedded", 1_000, 1_000, stale), others, &around)
    }

    #[test]
    fn rates_are_per_second_and_ratios_are_of_the_measured_one_to_the_other() {
        let report = report(0, 100);
        assert_eq!((report.measured.pairs_per_s, report.fdatasync_us.p50), (500.0, 300));
        let compared = &report.compared[0];
        assert_eq!(compared.pairs_ratio, Some(10.0));
        assert!((compared.acquire_p95_ratio.unwrap() - 0.1).abs() < 0.01, "{compared:?}");
        assert_eq!(report.problem(), None);
        let text = report.render();
        assert!(text.contains("embedded: 10.00 × etcd's pairs"), "{text}");
    }

    #[test]
    fn what_is_no_lock_is_no_result() {
        assert!(report(1, 100).problem().unwrap().contains("1 tokens were not higher"));
        let idle = report(0, 0);
        assert!(idle.problem().unwrap().starts_with("etcd: no lock"));
        assert_eq!(idle.compared[0].pairs_ratio, None);
    }

    #[test]
    fn the_names_that_others_read_are_there() {
        let json = serde_json::to_value(report(0, 100)).unwrap();
        assert_eq!(json["engine"], "embedded");
        assert_eq!(json["clients"], 64);
        assert!(json["pairs_per_s"].is_number() && json["commit_batch_mean"].is_number());
        for name in ["acquire_ms", "release_ms"] {
            for percentile in ["p50", "p95", "p99"] {
                assert!(json[name][percentile].is_number(), "{name}.{percentile}");
                assert!(json["compared"][0][name][percentile].is_number(), "{name}.{percentile}");
            }
        }
        assert!(json["fdatasync_us"]["p50"].is_u64() && json["fdatasync_us"]["p99"].is_u64());
        assert_eq!(json["compared"][0]["engine"], "etcd");
        assert_eq!(json["errors"]["timeout"], 3);
        assert_eq!(json["survives_restart"], "if it syncs");
    }
}
