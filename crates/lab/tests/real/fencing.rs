//! The experiment of the sources, for real: a late write comes in without a fence, and not with one.

use std::time::Duration;

use steadfast_lab::real::Stage;
use steadfast_lab::{Error, Scenario, Verdict, run};

use super::again::stage;

/// Shorter than the built-in one, with more pauses and a kill of each kind.
const SHORT: &str = r#"
name = "short-fencing"
title = "A late write, with and without a token"
claim = "A lease alone loses updates"
system = "lock"
duration = "15s"

[load]
clients = 4

[settings]
lease = "1s"
work = ["200ms", "400ms"]

[[faults]]
kind = "pause"
node = "worker-*"
every = ["300ms", "600ms"]
for = ["2s", "3s"]

[[fault]]
kind = "kill"
node = "worker-2"
at = "6s"
for = "500ms"

[[invariant]]
model = "cas-register"

[[bound]]
indicator = "stale_leader_write.count"
at_most = 0

[[bound]]
indicator = "lost.count"
at_most = 0

[[variant]]
name = "unfenced"
protected = false
settings = { fence = "none" }

[[variant]]
name = "fenced"
protected = true
settings = { fence = "full" }
"#;

async fn perform(text: &str, stage: &Stage) -> Result<run::Report, Error> {
    let scenario = Scenario::parse(text, None)?;
    run::perform(&scenario, &run::Options::seeded(1), stage, &run::Silent).await
}

fn value(report: &run::Report, variant: usize, indicator: &str) -> f64 {
    let variant = &report.variants[variant];
    let found = variant.indicators.get(indicator);
    found.unwrap_or_else(|| panic!("{} has no {indicator}", variant.name)).value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_write_comes_in_without_a_fence_and_not_with_one() {
    let text = SHORT.replace("[[invariant]]", "[[fault]]\nkind = \"kill\"\nnode = \"coordinator\"\nat = \"9s\"\nfor = \"300ms\"\n\n[[invariant]]");
    let report = perform(&text, &stage()).await.unwrap();
    assert_eq!(report.verdict, Verdict::Holds, "{}: {:#?}", report.because, report.variants);
    assert_eq!(report.engine.as_deref(), Some("embedded"));
    assert!(report.command.ends_with("--seed 1 --real --engine embedded"), "{}", report.command);
    assert!(value(&report, 0, "stale_leader_write.count") > 0.0);
    assert_eq!(value(&report, 1, "stale_leader_write.count"), 0.0);
    assert!(value(&report, 1, "refused.count") > 0.0);
    for variant in &report.variants {
        // Each fault left its trace, and both measurements are there.
        let spans = &variant.observed.spans;
        for label in ["kill worker-2", "kill coordinator", "pause worker-"] {
            assert!(spans.iter().any(|span| span.label.starts_with(label)), "{label}: {spans:?}");
        }
        assert!(variant.indicators["acknowledged"].value > 5.0);
        assert!(variant.indicators["lock.acquire_time_ms.p95"].value > 0.0);
        assert!(variant.indicators["consensus.leader_election_ms"].value > 0.3, "{variant:?}");
        assert!(variant.observed.history.windows(2).all(|pair| pair[0].time <= pair[1].time));
    }
}

/// Nobody is stopped here: who is cut off from the coordinator loses the lock, and writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_cut_off_writes_late_too() {
    let pause = "kind = \"pause\"\nnode = \"worker-*\"";
    let cut = "kind = \"partition\"\nfrom = \"worker-*\"\nto = \"coordinator\"";
    let late = "[[fault]]\nkind = \"link\"\nfrom = \"coordinator\"\nto = \"worker-*\"\n\
                delay = \"5ms\"\nbandwidth = \"1000000/s\"\n\n[[invariant]]";
    // Work goes on while the cut lasts, and longer than the lease.
    let work = ("[\"200ms\", \"400ms\"]", "[\"500ms\", \"2s\"]");
    let text = SHORT.replace(pause, cut).replace("[[invariant]]", late).replace(work.0, work.1);
    let report = perform(&text, &stage()).await.unwrap();
    assert_eq!(report.verdict, Verdict::Holds, "{}: {:#?}", report.because, report.variants);
    for variant in &report.variants {
        let spans = &variant.observed.spans;
        for label in ["partition worker-", "link coordinator"] {
            assert!(spans.iter().any(|span| span.label.starts_with(label)), "{label}: {spans:?}");
        }
    }
    let lossy = text.replace("delay = \"5ms\"", "loss = \"5%\"");
    let error = perform(&lossy, &stage()).await.unwrap_err().to_string();
    assert!(error.contains("simulated only"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_had_for_real_is_refused_before_anything_starts() {
    let clock = "[[fault]]\nkind = \"clock\"\nnode = \"worker-1\"\njump = \"+1s\"\n\n[[invariant]]";
    let with = |engine: Option<&str>, text: String| {
        let stage = match engine {
            Some(engine) => stage().with_engine(engine),
            None => stage(),
        };
        async move {
            let error = perform(&text, &stage).await.unwrap_err();
            // No log: nothing was started.
            assert_eq!(std::fs::read_dir(stage.scratch()).unwrap().count(), 0);
            error.to_string()
        }
    };
    let error = with(None, SHORT.replace("[[invariant]]", clock)).await;
    assert!(error.contains("lock has no real mode") && error.contains("\"clock\""), "{error}");
    let storage = SHORT.replace("node = \"worker-2\"", "node = \"storage\"");
    let error = with(None, storage).await;
    assert!(error.contains("storage"), "{error}");
    let coordinator = SHORT.replace("node = \"worker-2\"", "node = \"coordinator\"");
    let error = with(Some("unix:///nowhere/socket"), coordinator).await;
    assert!(error.contains("--engine embedded"), "{error}");
    let error = with(Some("mysql://me:secret@host"), SHORT.to_owned()).await;
    assert!(error.contains("no coordination engine") && !error.contains("secret"), "{error}");
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_lock_without_tokens_has_no_fenced_variant() {
    let Ok(urls) = std::env::var("STEADFAST_REDLOCK") else {
        eprintln!("left out: STEADFAST_REDLOCK is not set");
        return;
    };
    let engine = format!("redlock://{}", urls.replace("redis://", ""));
    let report = perform(SHORT, &stage().with_engine(engine)).await.unwrap();
    let [unfenced, fenced] = &report.variants[..] else { panic!("two variants") };
    assert_eq!((unfenced.verdict, &unfenced.left_out), (Verdict::Violated, &None));
    assert!(fenced.left_out.as_ref().unwrap().contains("no token"), "{fenced:?}");
    assert_eq!(report.verdict, Verdict::Unknown);
    assert!(report.because.starts_with("left out: fenced (redlock"), "{}", report.because);
}

/// A server that is not there is said to be so, soon, and nothing is left.
#[tokio::test]
async fn an_engine_that_is_not_there_is_an_error() {
    let stage = stage().with_engine("unix:///nowhere/socket");
    let performing = perform(SHORT, &stage);
    let clock = steadfast_lab::real::clock::machine();
    let error = clock.timeout(Duration::from_secs(60), performing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::System { .. }), "{error}");
}

/// The built-in experiment on every engine that there is a server of, as it is run by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes"]
async fn the_built_in_experiment_holds_on_each_engine() {
    let engine = |variable: &str, scheme: &str| {
        let address = std::env::var(variable).ok()?;
        let bare = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
        Some(format!("{scheme}://{bare}"))
    };
    let engines = [
        Some("embedded".to_owned()),
        engine("STEADFAST_ETCD", "etcd"),
        engine("STEADFAST_REDIS", "redis"),
        engine("STEADFAST_POSTGRES", "postgres"),
        engine("STEADFAST_ZOOKEEPER", "zookeeper"),
    ];
    let running = engines.into_iter().flatten().map(|engine| async move {
        let stage = stage().with_engine(&engine);
        let scenario = steadfast_lab::experiment::find("fencing").unwrap();
        let options = run::Options::seeded(1);
        let report = run::perform(&scenario, &options, &stage, &run::Silent).await.unwrap();
        for variant in &report.variants {
            let figures: Vec<_> =
                variant.indicators.iter().map(|(name, value)| format!("{name} {value}")).collect();
            eprintln!("{engine}, {}: {}: {}", variant.name, variant.verdict, figures.join(", "));
        }
        (engine, report)
    });
    for (engine, report) in futures::future::join_all(running).await {
        assert_eq!(report.verdict, Verdict::Holds, "{engine}: {}", report.because);
    }
}
