//! Whole replays: their quality, that they repeat themselves, and that a kill changes nothing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tempfile::TempDir;

use super::storage::fuse;
use super::*;

/// A recorded day and what `batch` must reach on it: mean click-to-door in minutes.
const BARS: [(&str, f64); 3] = [("day-1", 31.2), ("day-4", 33.5), ("day-7", 31.7)];

/// What `nearest` comes to on the recorded days, here and in the published re-implementation:
/// orders delivered, mean click-to-door.
const NEAREST: [(&str, usize, f64); 3] =
    [("day-1", 488, 44.37), ("day-4", 1_048, 54.17), ("day-7", 2_860, 74.98)];

/// A process that is being started holds the locks of all journals that are open in this one
/// for a moment, until its own program is loaded. So none is started while others work on disk.
static FORKS: RwLock<()> = RwLock::new(());

fn no_forks() -> RwLockReadGuard<'static, ()> {
    FORKS.read().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with a day, and room beside it.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn of(day: &Day) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("day")).unwrap();
        fixtures::write(day, &dir.path().join("day"));
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn args(&self, out: &str, data: Option<&str>) -> Args {
        Args {
            dir: self.path("day"),
            out: self.path(out),
            policy: PolicyName::Batch,
            data: data.map(|data| self.path(data)),
        }
    }

    /// The files of an undisturbed replay in memory.
    fn undisturbed(&self) -> Files {
        files(&self.args("undisturbed", None))
    }
}

/// The files of a replay that must get to its end.
fn files(args: &Args) -> Files {
    run(args, |_| {}).unwrap();
    Files::load(&args.out).unwrap()
}

/// The folder with the recorded days, or a word on what is left out.
fn recorded() -> Option<PathBuf> {
    let data = std::env::var_os("STEADFAST_DATA").map(|data| Path::new(&data).join("mdrp"));
    if data.is_none() {
        println!("left out: STEADFAST_DATA does not name a folder with mdrp/");
    }
    data
}

/// Whether a recorded day is left out, because this build is slow.
fn is_left_out(name: &str) -> bool {
    let left_out = cfg!(debug_assertions) && name != "day-1";
    if left_out {
        println!("left out: {name}; run with --release for all days");
    }
    left_out
}

#[test]
fn batch_keeps_the_bars_on_the_recorded_days() {
    let (Some(data), out) = (recorded(), tempfile::tempdir().unwrap()) else {
        return;
    };
    for (name, bar) in BARS {
        if is_left_out(name) {
            continue;
        }
        let (dir, out) = (data.join(name), out.path().to_owned());
        // Other tests run beside this one, so only this thread counts; in memory it is all.
        let cpu = cpu_time::ThreadTime::now();
        let report = run(&Args { dir, out, policy: PolicyName::Batch, data: None }, |_| {});
        let cpu_s = cpu.elapsed().as_secs_f64();
        let Report { summary, .. } = report.unwrap();
        println!("{name}, {cpu_s:.2} s processor time\n{summary}");
        assert_eq!(summary.delivered, summary.orders, "{name}");
        let mean = summary.click_to_door_min.mean;
        assert!(mean <= bar, "{name}: click-to-door {mean}, the bar is {bar}");
        assert!(cfg!(debug_assertions) || cpu_s <= 10.0, "{name}: {cpu_s} s processor time");
    }
}

#[test]
fn nearest_comes_to_the_published_figures() {
    let (Some(data), out) = (recorded(), tempfile::tempdir().unwrap()) else {
        return;
    };
    for (name, delivered, mean) in NEAREST {
        if is_left_out(name) {
            continue;
        }
        let (dir, out) = (data.join(name), out.path().to_owned());
        let report = run(&Args { dir, out, policy: PolicyName::Nearest, data: None }, |_| {});
        let Summary { delivered: found, click_to_door_min, .. } = report.unwrap().summary;
        assert_eq!(found, delivered, "{name}");
        assert!((click_to_door_min.mean - mean).abs() < 0.005, "{name}: {click_to_door_min:?}");
    }
}

#[test]
fn a_replay_repeats_itself_in_memory_and_on_disk() {
    let _quiet = no_forks();
    for seed in 0..3 {
        let scene = Scene::of(&fixtures::morning(seed));
        let first = scene.undisturbed();
        assert!(first.assignments.lines().count() > 30, "{}", first.assignments);
        assert_eq!(files(&scene.args("again", None)), first, "seed {seed}, in memory");
        assert_eq!(files(&scene.args("disk", Some("data"))), first, "seed {seed}, on disk");
        // What is finished stays as it is.
        assert_eq!(files(&scene.args("after", Some("data"))), first, "seed {seed}, once more");
    }
}

/// Replays on disk, killed again and again after less than `burst` commits; says how often.
fn run_killed(args: &Args, rng: &mut fastrand::Rng, burst: u32) -> u32 {
    for kills in 0.. {
        fuse::set(Some(rng.u32(0..burst)));
        let outcome = run(args, |_| {});
        fuse::set(None);
        match outcome {
            Ok(_) => return kills,
            Err(Error::Storage(error)) => assert!(error.to_string().contains("fuse")),
            Err(error) => panic!("after {kills} kills: {error}"),
        }
    }
    unreachable!("a replay that never ends")
}

#[test]
fn a_replay_that_is_killed_after_any_commit_comes_to_the_same_result() {
    let _quiet = no_forks();
    for seed in 0..4 {
        let scene = Scene::of(&fixtures::morning(seed));
        let args = scene.args("out", Some("data"));
        let kills = run_killed(&args, &mut fastrand::Rng::with_seed(seed), 60);
        println!("seed {seed}: {kills} kills");
        assert!(kills > 10, "it was not killed often enough: {kills}");
        let continued = Files::load(&args.out).unwrap();
        assert!(continued == scene.undisturbed(), "seed {seed}, after {kills} kills");
    }
}

#[test]
fn a_recorded_day_that_is_killed_comes_to_the_same_result() {
    let _quiet = no_forks();
    let Some(data) = recorded() else { return };
    for (name, _) in BARS {
        if is_left_out(name) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let undisturbed = Args {
            dir: data.join(name),
            out: dir.path().join("undisturbed"),
            policy: PolicyName::Batch,
            data: None,
        };
        let out = dir.path().join("out");
        let on_disk = Some(dir.path().join("data"));
        let killed = Args { out, data: on_disk, ..undisturbed.clone() };
        let kills = run_killed(&killed, &mut fastrand::Rng::with_seed(1), 1_000);
        println!("{name}: {kills} kills");
        assert!(kills > 3, "{name}: it was not killed often enough: {kills}");
        let continued = Files::load(&killed.out).unwrap();
        assert!(continued == files(&undisturbed), "{name}, after {kills} kills");
    }
}

/// Run by the next test in a process of its own.
#[test]
#[ignore = "a part of another test"]
fn a_child_that_is_killed() {
    let scene = PathBuf::from(std::env::var_os("REPLAY_SCENE").unwrap());
    let args = Args {
        dir: scene.join("day"),
        out: scene.join("out"),
        policy: PolicyName::Batch,
        data: Some(scene.join("data")),
    };
    run(&args, |progress| println!("minute {}", progress.minute)).unwrap();
}

#[test]
fn a_process_that_is_killed_comes_to_the_same_result() {
    let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    let scene = Scene::of(&fixtures::morning(7));
    let undisturbed = scene.undisturbed();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replay::tests::a_child_that_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env("REPLAY_SCENE", scene.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in the minute after so many.
        let minutes = rng.usize(1..30);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = lines.map_while(Result::ok).filter(|line| line.contains("minute"));
        let killed = seen.take(minutes).count() == minutes;
        if killed {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        if !killed {
            assert!(status.success());
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 5, "it was not killed often enough: {kills}");
    assert_eq!(Files::load(&scene.path("out")).unwrap(), undisturbed);
}

#[test]
fn a_data_directory_belongs_to_one_replay() {
    let _quiet = no_forks();
    let scene = Scene::of(&fixtures::morning(1));
    let args = scene.args("out", Some("data"));
    let files = files(&args);
    let other_policy = Args { policy: PolicyName::Nearest, ..args.clone() };
    let error = run(&other_policy, |_| {}).unwrap_err();
    assert!(matches!(error, Error::OtherReplay { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("policy batch") && text.contains("policy nearest"), "{text}");

    let other = Scene::of(&fixtures::morning(2));
    let other_day = Args { dir: other.path("day"), ..args.clone() };
    let error = run(&other_day, |_| {}).unwrap_err();
    assert!(matches!(error, Error::OtherReplay { .. }), "{error}");
    assert_eq!(Files::load(&args.out).unwrap(), files, "nothing is overwritten");
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let _quiet = no_forks();
    let scene = Scene::of(&fixtures::morning(1));
    std::fs::create_dir(scene.path("data")).unwrap();
    std::fs::write(scene.path("data/letter.txt"), "dear aunt").unwrap();
    let error = run(&scene.args("out", Some("data")), |_| {}).unwrap_err();
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(std::fs::read_dir(scene.path("data")).unwrap().count(), 1);
    assert!(!scene.path("out").exists());
}

#[test]
fn a_journal_that_is_no_replay_is_refused() {
    let _quiet = no_forks();
    let scene = Scene::of(&fixtures::morning(1));
    let args = scene.args("out", Some("data"));
    run(&args, |_| {}).unwrap();
    // The ledger's journal has events, and no word of a replay.
    std::fs::remove_dir_all(scene.path("data/orders")).unwrap();
    std::fs::rename(scene.path("data/stock"), scene.path("data/orders")).unwrap();
    let error = run(&args, |_| {}).unwrap_err().to_string();
    assert!(error.contains("something that is not a replay"), "{error}");
}

#[test]
fn orders_that_nobody_can_deliver_are_reported() {
    let mut day = fixtures::morning(3);
    let last = day.couriers.iter().map(|courier| courier.off_min).max().unwrap();
    day.orders[0].placement_min = last + 60;
    day.orders[0].ready_min = last + 90;
    let scene = Scene::of(&day);
    let mut minutes = Vec::new();
    let report = run(&scene.args("out", None), |progress| minutes.push(progress)).unwrap();
    assert_eq!(report.summary.delivered + 1, report.summary.orders);
    let end = minutes.last().unwrap();
    assert_eq!((end.minute, end.delivered), (end.of, report.summary.delivered));
    assert!(minutes.is_sorted_by_key(|progress| (progress.minute, progress.delivered)));
}

#[test]
fn a_day_of_which_nothing_is_left_to_do_ends() {
    let mut day = fixtures::morning(3);
    day.orders.clear();
    let scene = Scene::of(&day);
    let report = run(&scene.args("out", None), |_| {}).unwrap();
    assert_eq!((report.summary.orders, report.summary.delivered), (0, 0));
    day.orders = fixtures::morning(3).orders;
    day.couriers.clear();
    let scene = Scene::of(&day);
    assert_eq!(run(&scene.args("out", None), |_| {}).unwrap().summary.delivered, 0);
}

#[test]
fn the_report_keeps_the_names_of_the_machine_readable_form() {
    let scene = Scene::of(&fixtures::day());
    let report = run(&scene.args("out", None), |_| {}).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for name in ["policy", "orders", "delivered", "click_to_door_min", "wall_s", "cpu_s"] {
        assert!(json.get(name).is_some(), "{name}");
    }
    let text = report.to_string();
    assert!(text.contains("orders delivered") && text.contains("processor time"), "{text}");
}
