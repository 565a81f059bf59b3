//! `steadfast lab`, as a user runs it: experiments with a verdict, files with mistakes, the same seed
//! twice, an interruption that leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::process::steadfast;
use support::{contents, millis, pause};

const SOON: Duration = Duration::from_secs(60);

fn lab(arguments: &[&str]) -> Output {
    steadfast().arg("lab").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn document(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = steadfast().args(["--json", "lab"]).args(arguments).output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    (output.status.code(), document.unwrap_or_else(|error| panic!("{error}: {}", said(&output))))
}

#[test]
fn every_experiment_of_the_sources_is_listed_and_can_be_printed() {
    let (code, list) = document(&["list"]);
    assert_eq!(code, Some(0));
    let names: Vec<&str> = list["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    for name in [
        "retry-storm",
        "fencing",
        "lww-skew",
        "redlock-clock-jump",
        "quorum",
        "dual-write",
        "failure-detector",
        "hash-ring",
        "bulkhead",
        "idempotency",
        "platform",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
        let text = String::from_utf8(lab(&["show", name]).stdout).unwrap();
        assert!(text.starts_with(&format!("name = \"{name}\"")), "{text}");
    }
    let systems = document(&["list", "--systems"]).1;
    assert!(systems["systems"].as_array().unwrap().len() > 5);
}

#[test]
fn a_run_has_a_verdict_with_the_fields_that_are_promised() {
    let (code, report) = document(&["run", "hash-ring", "--seed", "4"]);
    assert_eq!(code, Some(0), "{}", report["because"]);
    assert_eq!(report["experiment"], "hash-ring");
    assert_eq!(report["mode"], "simulated");
    assert_eq!(report["seed"], 4);
    assert_eq!(report["verdict"], "holds");
    let variants = report["variants"].as_array().unwrap();
    for variant in variants {
        let expected = if variant["protected"] == true { "holds" } else { "violated" };
        assert_eq!(variant["verdict"], expected);
        assert!(variant["indicators"]["max_load"]["value"].as_f64().unwrap() >= 1.0);
    }
}

#[test]
fn what_is_violated_and_what_is_left_open_have_their_own_exit_codes() {
    let text = String::from_utf8(lab(&["show", "hash-ring"]).stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    // The remainder is said to be safe: it is not.
    let variant = "name = \"modulo\"\nprotected = false";
    fs::write(&file, text.replace(variant, "name = \"modulo\"\nprotected = true")).unwrap();
    let output = lab(&["run", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "", "a verdict is a result");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("violated") && told.contains("modulo"), "{told}");
    let only = lab(&["run", "hash-ring", "--variant", "ring"]);
    assert_eq!(only.status.code(), Some(3), "{}", said(&only));
}

#[test]
fn wrong_use_is_told_apart_from_failure() {
    let refused = |arguments: &[&str], expected: &[&str]| {
        let output = lab(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(output.stdout.is_empty());
        for words in expected {
            assert!(said(&output).contains(words), "{words:?} is not in {:?}", said(&output));
        }
    };
    refused(&["run", "hash-rung"], &["no experiment \"hash-rung\"", "did you mean \"hash-ring\"?"]);
    refused(&["show", "fencng"], &["did you mean \"fencing\"?"]);
    refused(&["run", "hash-ring", "--variant", "rung"], &["modulo, one-point, ring, bounded"]);
    refused(&["run", "hash-ring", "--duration", "0s"], &["--duration"]);
    refused(&["run", "hash-ring", "--seeds", "0"], &["--seeds"]);
    refused(&["run", "hash-ring", "--engine", "etcd://a:1"], &["--real"]);
    let storm = ["run", "retry-storm", "--real", "--engine", "etcd://a:1"];
    refused(&storm, &["--engine: nothing is coordinated in retry-storm"]);
    refused(&["run", "hash-ring", "--real"], &["simulated only"]);
    refused(&["run"], &["NAME|FILE"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let text = String::from_utf8(lab(&["show", "hash-ring"]).stdout).unwrap();
    fs::write(&file, text.replace("kind = \"kill\"", "kind = \"kil\"")).unwrap();
    let name = file.to_str().unwrap();
    refused(
        &["run", name],
        &[&format!("{name}:"), "unknown fault \"kil\"", "did you mean \"kill\"?"],
    );
    refused(&["run", folder.path().to_str().unwrap()], &["directory"]);
    fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    refused(&["run", name], &[name, "UTF-8"]);
}

/// The histories that a run has kept, by name.
fn histories(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = contents(folder).into_iter();
    let histories = files.filter(|(path, _)| path.extension().is_some_and(|it| it == "jsonl"));
    let named = histories
        .map(|(path, bytes)| (path.file_name().unwrap().to_string_lossy().into_owned(), bytes));
    named.collect()
}

#[test]
fn the_same_seed_is_the_same_history_in_another_process() {
    let run = |seed: &str| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        let arguments = ["run", "fencing", "--duration", "20s", "--seed", seed, "--report", out];
        let (_, report) = document(&arguments);
        let mut observed = report["variants"].clone();
        for variant in observed.as_array_mut().unwrap() {
            // How long a check took is no part of the run.
            variant.as_object_mut().unwrap().remove("checks");
        }
        (histories(folder.path()), observed)
    };
    let (first, second, other) = (run("5"), run("5"), run("6"));
    assert!(first.0.len() >= 2 && first.0.values().all(|history| !history.is_empty()));
    assert_eq!(first, second);
    assert_ne!(first.0, other.0);
}

#[test]
fn a_report_is_pages_figures_and_histories_that_can_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let run = lab(&["run", "fencing", "--duration", "20s", "--report", out]);
    assert!(run.status.code().is_some(), "{}", said(&run));
    let pages: Vec<_> = contents(folder.path()).into_iter().map(|(path, _)| path).collect();
    let page = |name: &str| pages.iter().any(|path| path.ends_with(name));
    assert!(page("index.html") && page("fencing-simulated-seed1.html"), "{pages:?}");
    let again = lab(&["report", out]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    let history = folder.path().join("fencing-simulated-seed1-unfenced.jsonl");
    let check = |model: &str| {
        let mut command = steadfast();
        command.arg("check").arg(&history).args(["--model", model]);
        command.output().unwrap().status.code()
    };
    assert_eq!(check("cas-register"), Some(1), "the twin's history shows what went wrong");
}

#[test]
fn a_report_that_cannot_be_written_is_noticed_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for out in [file.clone(), file.join("below"), "/proc/nowhere".into()] {
        let output = lab(&["run", "hash-ring", "--report", out.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(output.stdout.is_empty(), "it was run first");
        assert!(said(&output).contains(out.to_str().unwrap()), "{}", said(&output));
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let out = folder.path().join("out");
    let twice = ["run", "hash-ring", "hash-ring", "--report", out.to_str().unwrap()];
    let output = lab(&twice);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("one would replace the other"), "{}", said(&output));
}

#[test]
fn a_run_says_how_it_is_repeated() {
    let arguments = ["run", "hash-ring", "--duration", "390s", "--variant", "ring", "--seed", "9"];
    let (code, report) = document(&arguments);
    assert_eq!(code, Some(3));
    let command = report["command"].as_str().unwrap();
    assert_eq!(command, "steadfast lab run hash-ring --seed 9 --duration 390s --variant ring");
    let words: Vec<&str> = command.split(' ').skip(2).collect();
    let again = document(&words).1;
    assert_eq!(again["variants"], report["variants"]);
}

#[test]
fn faults_keep_their_share_of_a_shorter_trial() {
    let (_, report) = document(&["run", "retry-storm", "--duration", "1m"]);
    for variant in report["variants"].as_array().unwrap() {
        let schedule = variant["schedule"].as_array().unwrap();
        assert!(!schedule.is_empty(), "the storm is left out of {}", variant["name"]);
    }
}

#[test]
fn several_runs_are_one_document_and_the_worst_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let text = String::from_utf8(lab(&["show", "hash-ring"]).stdout).unwrap();
    let variant = "name = \"modulo\"\nprotected = false";
    fs::write(&file, text.replace(variant, "name = \"modulo\"\nprotected = true")).unwrap();
    let file = file.to_str().unwrap();
    let (code, several) = document(&["run", file, "hash-ring"]);
    assert_eq!(code, Some(1));
    assert_eq!(several["runs"].as_array().unwrap().len(), 2);
    // A variant alone leaves it open whether the others hold; what is violated is violated.
    let seeds = ["run", file, "--variant", "modulo", "--seeds", "3"];
    let (code, campaign) = document(&seeds);
    assert_eq!((code, &campaign["verdict"]), (Some(1), &Value::from("violated")));
    assert_eq!(campaign["campaign"]["failed"].as_array().unwrap().len(), 3);
    let only = ["run", "hash-ring", "--variant", "ring", "--seeds", "3"];
    let (code, campaign) = document(&only);
    assert_eq!(code, Some(3));
    assert_eq!(campaign["campaign"]["failed"], Value::Array(Vec::new()), "it held each time");
}

#[test]
fn a_reader_that_leaves_does_not_turn_what_was_not_run_into_a_success() {
    let mut command = steadfast();
    command.args(["lab", "run", "hash-ring", "hash-ring"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(said(&output), "");
}

#[tokio::test]
async fn an_interrupted_simulation_says_so() {
    let mut command = steadfast();
    command.args(["lab", "run", "fencing", "--duration", "24h"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    pause(millis(1_500)).await;
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = tokio::time::timeout(SOON, waited).await.unwrap().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    assert!(output.stdout.is_empty());
}

/// Processes that were started by another one, and those that they have started.
fn descendants(parent: u32) -> Vec<u32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold anything; what follows it does not.
        let Some((_, after)) = stat.rsplit_once(')') else { continue };
        let Some(parent) = after.split_whitespace().nth(1) else { continue };
        parents.insert(process, parent.parse::<u32>().unwrap());
    }
    let mut found = vec![parent];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, it)| **it == parent).map(|(process, _)| *process));
        next += 1;
    }
    found.split_off(1)
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..SOON.as_millis() / 20 {
        if condition() {
            return;
        }
        pause(millis(20)).await;
    }
    panic!("not within {SOON:?}: {what}");
}

#[tokio::test]
async fn an_interrupted_run_leaves_nothing_running() {
    for signal in ["INT", "KILL"] {
        let mut command = steadfast();
        command.args(["lab", "run", "fencing", "--real", "--duration", "60s"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let parent = child.id();
        until("its processes are there", || descendants(parent).len() >= 3).await;
        let started = descendants(parent);
        // Somebody may stand still at this moment; let it be so.
        pause(millis(1_500)).await;
        let kill = Command::new("kill").args([&format!("-{signal}"), &parent.to_string()]).status();
        assert!(kill.unwrap().success());
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        assert!(!status.success());
        let is_there = |process: &u32| {
            let command = fs::read_to_string(format!("/proc/{process}/cmdline"));
            command.is_ok_and(|command| command.contains("steadfast"))
        };
        until("all of them are gone", || !started.iter().any(is_there)).await;
    }
}
