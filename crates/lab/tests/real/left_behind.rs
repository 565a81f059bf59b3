//! A run that is killed, interrupted, or given up in the middle of a pause leaves no process, stopped
//! or not, and where it can, no file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use steadfast_lab::real::{Stage, clock};
use steadfast_lab::{Error, Scenario, run};

use super::again::{again, stage};

/// Where a run in a process of its own keeps its scratch folder.
const RUN: &str = "STEADFAST_LAB_RUN";

/// How long things may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// All workers stand still from the first second on, the coordinator a second later; for ever.
const STILL: &str = r#"
name = "still"
title = "Everybody stands still"
claim = "Nobody writes"
system = "lock"
duration = "10m"

[load]
clients = 3

[settings]
lease = "2s"

[[fault]]
kind = "pause"
node = "worker-*"
at = "1s"

[[fault]]
kind = "pause"
node = "coordinator"
at = "2s"

[[bound]]
indicator = "lost.count"
at_most = 0

[[variant]]
name = "fenced"
protected = true
settings = { fence = "full" }
"#;

fn scenario() -> Scenario {
    Scenario::parse(STILL, None).unwrap()
}

/// A run to its end or, after a SIGINT, to its interruption.
pub fn play() {
    let Some(folder) = std::env::var_os(RUN) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        // So that the tests find its scratch folder.
        let stage = Stage::within(&PathBuf::from(folder), again()).unwrap();
        let (scenario, options) = (scenario(), run::Options::seeded(1));
        let watch = Interrupted::default();
        let interrupted = Arc::clone(&watch.0);
        let mut ints = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        let waiting = tokio::spawn(async move {
            ints.as_mut().unwrap().recv().await;
            interrupted.store(true, Ordering::SeqCst);
        });
        let report = run::perform(&scenario, &options, &stage, &watch).await;
        waiting.abort();
        report
    });
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
}

#[derive(Default)]
struct Interrupted(Arc<AtomicBool>);

impl run::Watch for Interrupted {
    fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// State and parent of a process, as the kernel has them; none when it is gone.
fn stat(id: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in parentheses, and may have spaces and parentheses of its own.
    let mut rest = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// All children of a process.
fn children(parent: i32) -> BTreeSet<i32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

/// Of these, the ones that are still there; a zombie is not.
fn alive(ids: &BTreeSet<i32>) -> BTreeSet<i32> {
    ids.iter().copied().filter(|id| stat(*id).is_some_and(|(state, _)| state != 'Z')).collect()
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = clock::machine();
    let waiting = async {
        while !is_so() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("not so in time: {what}"));
}

/// A run in a process of its own.
struct Run {
    child: Child,
    id: i32,
}

impl Run {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_whole_run", "--nocapture"]).env(RUN, folder);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        Self { child, id }
    }

    /// Waits until its three workers and the coordinator stand still; gives them.
    async fn stands_still(&mut self) -> BTreeSet<i32> {
        let mut all = BTreeSet::new();
        until("four processes stand still", || {
            assert!(self.child.try_wait().unwrap().is_none(), "the run has ended");
            all = children(self.id);
            let stopped = |id: &&i32| stat(**id).is_some_and(|(state, _)| state == 'T');
            all.iter().filter(stopped).count() == 4
        })
        .await;
        assert_eq!(all.len(), 4);
        all
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id).unwrap(), signal).unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_leaves_no_process_though_all_stand_still() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::start(folder.path());
    let all = run.stands_still().await;
    run.signal(Signal::KILL);
    run.child.wait().unwrap();
    until("they are gone", || alive(&all).is_empty()).await;
    // What a killed process cannot do is tidy up.
    assert_eq!(entries(folder.path()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_interrupted_leaves_no_process_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::start(folder.path());
    let all = run.stands_still().await;
    run.signal(Signal::INT);
    assert!(run.child.wait().unwrap().success(), "it did not end as interrupted");
    // Each was waited for before the run ended.
    assert_eq!(alive(&all), BTreeSet::new());
    assert_eq!(entries(folder.path()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_given_up_or_panics_leaves_no_process_and_no_file() {
    for panics in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let (sender, started) = tokio::sync::oneshot::channel();
        let run = tokio::spawn(async move {
            let stage = Stage::within(&root, again()).unwrap();
            let (scenario, options) = (scenario(), run::Options::seeded(1));
            let working = run::perform(&scenario, &options, &stage, &run::Silent);
            let watching = async {
                let mut all = BTreeSet::new();
                until("four processes stand still", || {
                    all = sockets_owners(stage.scratch());
                    let stopped = |id: &&i32| stat(**id).is_some_and(|(state, _)| state == 'T');
                    all.iter().filter(stopped).count() == 4
                })
                .await;
                sender.send(all).unwrap();
                assert!(!panics, "as it is to");
            };
            tokio::select! {
                _ = working => unreachable!("it takes ten minutes"),
                () = watching => {}
            }
        });
        let all = started.await.unwrap();
        assert_eq!(run.await.is_err(), panics);
        assert_eq!(alive(&all), BTreeSet::new());
        assert_eq!(entries(folder.path()), 0);
    }
}

/// The children of this process whose role names a folder: those of one of several runs.
fn sockets_owners(scratch: &Path) -> BTreeSet<i32> {
    let named = |id: &i32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(scratch.to_str().unwrap())
    };
    children(i32::try_from(std::process::id()).unwrap()).into_iter().filter(named).collect()
}

/// The kernel counts a process as orphaned when the thread ends that started it, not the program.
#[test]
fn a_process_outlives_the_thread_that_asked_for_it() {
    let stage = stage();
    let folder = stage.folder().unwrap();
    let mut process = std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let role = steadfast_lab::real::engine::Served::role(folder.path()).unwrap();
            let process = stage.start("coordinator", &role).unwrap();
            // It has said that its life is tied to ours.
            process.pause().unwrap();
            process.resume().unwrap();
            process
        });
        starting.join().unwrap()
    });
    let socket = folder.path().join("socket");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(until("it serves", || socket.exists()));
    assert!(process.is_running());
    // And it does not outlive the stage.
    drop(stage);
    runtime.block_on(until("it is gone", || !process.is_running()));
}
