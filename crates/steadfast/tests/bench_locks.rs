//! `steadfast bench locks` and `steadfast coordinator`, as a user runs them: figures with their
//! conditions, an engine that is killed under load and comes back, and clear words for whatever is
//! in the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use steadfast_time::Clock;
use support::process::{Home, Starting, steadfast};
use support::{millis, pause};

const SOON: Duration = Duration::from_secs(20);

/// A short run; its scratch data go into the home.
fn bench(home: &Home, arguments: &[&str]) -> Command {
    let mut command = steadfast();
    command.current_dir(home.path("")).args(["bench", "locks", "--json", "--clients", "4"]);
    command.args(["--warmup", "100ms"]).args(arguments);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

async fn report(command: Command) -> Value {
    let Output { status, stdout, stderr } = output(command).await;
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    serde_json::from_slice(&stdout).unwrap()
}

/// What was said on stderr by a command that fails, and its code.
async fn failure(command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = output(command).await;
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn coordinator(arguments: &[&str], data: &Path) -> Command {
    let mut command = steadfast();
    command.args(["--json", "coordinator", "--data"]).arg(data).args(arguments);
    command
}

async fn start(home: &Home, data: &Path) -> (Starting, String) {
    let mut starting = home.spawn_apart("coordinator", coordinator(&[], data));
    let document = starting.document().await.unwrap_or_else(|why| panic!("{why}: {}", home.log()));
    let address = document["coordination"].as_str().unwrap().to_owned();
    (starting, address)
}

fn is_measured(report: &Value) {
    assert!(report["pairs_per_s"].as_f64().unwrap() > 1.0, "{report}");
    for name in ["acquire_ms", "release_ms"] {
        let [p50, p95, p99] = ["p50", "p95", "p99"].map(|p| report[name][p].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{report}");
    }
    assert_eq!(report["stale_tokens"], 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_is_measured_in_a_process_of_its_own_and_leaves_nothing() {
    let home = Home::new();
    let before = support::contents(&home.path(""));
    let report = report(bench(&home, &["--duration", "1s", "--connections", "2"])).await;
    is_measured(&report);
    assert_eq!((&report["engine"], &report["names"]), (&"embedded".into(), &"distinct".into()));
    assert_eq!((&report["clients"], &report["connections"]), (&4.into(), &2.into()));
    assert_eq!(
        (&report["errors"], &report["interrupted"]),
        (&Value::Object(Default::default()), &false.into())
    );
    assert!(report["commit_batch_mean"].as_f64().unwrap() >= 1.0, "{report}");
    let [p50, p99] = ["p50", "p99"].map(|p| report["fdatasync_us"][p].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99, "{report}");
    assert_eq!(support::contents(&home.path("")), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_are_compared_in_the_same_run() {
    let home = Home::new();
    // The same engine twice: the ratio says so, about.
    let twice = ["--duration", "1s", "--same-name", "--compare", "embedded"];
    let mut others = vec![("embedded", "embedded".to_owned())];
    for (engine, variable) in [
        ("etcd", "STEADFAST_ETCD"),
        ("zookeeper", "STEADFAST_ZOOKEEPER"),
        ("postgres", "STEADFAST_POSTGRES"),
        ("redis", "STEADFAST_REDIS"),
    ] {
        match std::env::var(variable) {
            Ok(url) => others.push((engine, format!("{engine}={url}"))),
            Err(_) => eprintln!("left out: {variable} is not set"),
        }
    }
    let mut command = bench(&home, &twice);
    for (_, other) in &others[1..] {
        command.args(["--compare", other]);
    }
    let report = report(command).await;
    is_measured(&report);
    assert_eq!(report["names"], "same");
    for (place, (engine, _)) in others.iter().enumerate() {
        let compared = &report["compared"][place];
        is_measured(compared);
        assert_eq!(compared["engine"], *engine);
        let [ours, theirs] = [&report, compared].map(|r| r["pairs_per_s"].as_f64().unwrap());
        let ratio = compared["pairs_ratio"].as_f64().unwrap();
        assert!((ratio - ours / theirs).abs() < 1e-9, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_outlive_a_coordinator_that_is_killed_and_no_token_comes_twice() {
    let home = Home::new();
    let data = home.path("engine");
    let (first, address) = start(&home, &data).await;
    let run = bench(&home, &["--engine", "embedded", "--url", &address, "--duration", "4s"]);
    let run = tokio::spawn(output(run));
    // The disk is measured first; then locks come and go.
    let clock = Clock::system();
    let started = clock.monotonic();
    loop {
        let mut list = steadfast();
        list.args(["leases", "list", "--json", "--prefix", "bench/", "--url", &address]);
        let list = output(list).await;
        let page: Value = serde_json::from_slice(&list.stdout).unwrap();
        if page["leases"].as_array().is_some_and(|leases| !leases.is_empty()) {
            break;
        }
        assert!(clock.monotonic() - started < SOON, "{page}");
    }
    first.child.signal("KILL");
    drop(first);
    let (second, again) = start(&home, &data).await;
    assert_eq!(again, address);
    let Output { status, stdout, stderr } = run.await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    is_measured(&report);
    assert_eq!(report["commit_batch_mean"], Value::Null, "it is not ours");
    let mut child = second.child;
    child.signal("TERM");
    assert_eq!(child.ended_within(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    assert!(home.log().contains("everything that was answered is in"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bench_that_is_killed_takes_its_coordinator_with_it() {
    let home = Home::new();
    let mut command = bench(&home, &["--duration", "60s", "--data", "kept"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let data = home.path("kept/coordinator-0");
    let clock = Clock::system();
    let started = clock.monotonic();
    // Its folder is locked by whoever serves it.
    let mut said = String::new();
    while !said.contains("in use by another server") {
        assert!(clock.monotonic() - started < SOON, "{said}");
        pause(millis(20)).await;
        if data.join("coordination/FORMAT").exists() {
            (_, said) = failure(coordinator(&[], &data)).await;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut next, _) = loop {
        let mut starting = home.spawn_apart("coordinator", coordinator(&[], &data));
        if let Ok(document) = starting.document().await {
            break (starting.child, document);
        }
        assert!(clock.monotonic() - started < SOON, "{}", home.log());
        pause(millis(20)).await;
    };
    next.signal("INT");
    assert_eq!(next.ended_within(SOON).await.unwrap().code(), Some(0), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_in_a_coordinators_way_is_named() {
    let home = Home::new();
    let data = home.path("engine");
    let (first, _) = start(&home, &data).await;
    let elsewhere = home.path("elsewhere");
    let (code, said) = failure(coordinator(&[], &data)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("engine/coordination is in use by another server"), "{said}");
    let socket = home.path("engine/coordination.sock");
    let (code, said) =
        failure(coordinator(&["--socket", socket.to_str().unwrap()], &elsewhere)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another server listens at"), "{said}");
    let file = home.path("steadfast.toml");
    let (code, said) =
        failure(coordinator(&["--socket", file.to_str().unwrap()], &elsewhere)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not a socket"), "{said}");
    let long = home.path(&"s".repeat(120));
    let (code, said) =
        failure(coordinator(&["--socket", long.to_str().unwrap()], &elsewhere)).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("a socket's path may have"), "{said}");
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_use_is_said_before_anything_is_started() {
    let home = Home::new();
    let before = support::contents(&home.path(""));
    for (arguments, words) in [
        (&["--engine", "consul"][..], "consul"),
        (&["--engine", "etcd"], "say where etcd is"),
        (&["--engine", "etcd", "--url", "redis://:secret@a:1"], "looks like etcd://"),
        (&["--compare", "redis=http://:secret@a:1"], "looks like redis://"),
        (&["--compare", "zookeeper"], "say where zookeeper is"),
        (&["--clients", "0"], "from 1 to 10000"),
        (&["--connections", "9"], "4 clients cannot use 9"),
        (&["--duration", "0s"], "longer than nothing"),
        (&["--duration", "6"], "not a length of time"),
    ] {
        let mut command = bench(&home, &[]);
        // A flag that is given twice is an error of its own.
        if arguments[0] == "--clients" {
            command = steadfast();
            command.args(["bench", "locks"]);
        }
        command.args(arguments);
        let (code, said) = failure(command).await;
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // Somebody else is there, or nobody, or sessions are not that short.
    let absent = ["--engine", "redis", "--url", "127.0.0.1:1"];
    for arguments in [&absent[..], &["--ttl", "1ms"]] {
        let (code, said) = failure(bench(&home, arguments)).await;
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
    }
    assert_eq!(support::contents(&home.path("")), before);
}
