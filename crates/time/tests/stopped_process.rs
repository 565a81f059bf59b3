//! A real process that is stopped and continued sees how long it was out.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use steadfast_time::stall::{Detector, Options};
use steadfast_time::{Clock, Monotonic};

const CHILD: &str = "STEADFAST_STALL_CHILD";

/// Ends the child also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child: answers each line with the longest stall since the line before, seen by a thread
/// that waits for nothing but its input.
fn child() {
    let clock = Clock::system();
    let detector = Detector::start(clock.clone(), Options::default()).unwrap();
    let stalls = detector.stalls();
    let mut since = Monotonic::default();
    for line in std::io::stdin().lines() {
        line.unwrap();
        let now = clock.monotonic();
        let longest = stalls.longest_since(since, now);
        since = now;
        println!("stall {} {}", longest.as_micros(), stalls.max().as_micros());
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_stopped_process_sees_how_long_it_was_out() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let test = "a_stopped_process_sees_how_long_it_was_out";
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--quiet"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    let process = Killed(process);
    let mut ask = || -> Duration {
        writeln!(input, "now").unwrap();
        // The test harness of the child writes lines of its own.
        let answer =
            output.by_ref().map(Result::unwrap).find(|line| line.contains("stall ")).unwrap();
        let numbers = answer.split_once("stall ").unwrap().1.to_owned();
        Duration::from_micros(numbers.split(' ').next().unwrap().parse().unwrap())
    };
    ask();
    let clock = Clock::system();
    let pid = Pid::from_child(&process.0);
    for length in [Duration::from_millis(300), Duration::from_millis(1_000)] {
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = clock.monotonic();
        std::thread::park_timeout(length);
        while clock.monotonic() - stopped < length {
            std::thread::yield_now();
        }
        kill_process(pid, Signal::CONT).unwrap();
        let seen = ask();
        // One period may hide before the stop, and the signal needs a moment.
        let slack = Duration::from_millis(30);
        assert!(seen + slack >= length, "stopped for {length:?}, saw {seen:?}");
    }
    drop(input);
}
