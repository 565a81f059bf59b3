//! Processes that outlive this one, and are still recognised by the next.
//!
//! A process number alone says little: the system gives it to somebody else after its owner has
//! ended. So a process is known by its number *and* by when it was started, and is only ever
//! signalled after both were compared.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::wait;

/// How long a process has to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a killed process may take to be gone: what it had open is written out meanwhile.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// A process that was started here, now or by an earlier run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the system's own measure; compared, and nothing else.
    pub started: String,
}

impl Process {
    /// Starts a program that goes on when this one ends: with no terminal to read from, and in a
    /// process group of its own, so that an interrupt at the terminal does not reach it.
    ///
    /// # Errors
    /// The program did not start.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).process_group(0).spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{program} does not start: {error}"))
        })?;
        let pid = child.id();
        // It is there even if it has ended by now: nobody has asked for how it ended.
        let (started, _) = look_up(pid)
            .ok_or_else(|| io::Error::other(format!("{program}: process {pid} is not there")))?;
        Ok(Self { pid, started })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        look_up(self.pid).is_some_and(|(started, runs)| runs && started == self.started)
    }

    /// Sends a signal, if the process is still the one that was started.
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // It may have ended just now; whether it has is asked afterwards.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Stops processes, all at once: asks each by its signal, waits, and kills those that remain.
///
/// # Errors
/// One is there even after it was killed.
pub fn stop(processes: &[(Process, Signal)]) -> io::Result<()> {
    let all_gone = || processes.iter().all(|(process, _)| !process.is_alive()).then_some(());
    for (process, signal) in processes {
        process.signal(*signal);
        // One that was frozen hears nothing else.
        process.signal(Signal::CONT);
    }
    if wait::until(PATIENCE, all_gone).is_some() {
        return Ok(());
    }
    for (process, _) in processes {
        process.signal(Signal::KILL);
    }
    wait::until(AFTER_KILL, all_gone).ok_or_else(|| {
        let left = processes.iter().filter(|(process, _)| process.is_alive());
        let left: Vec<String> = left.map(|(process, _)| process.pid.to_string()).collect();
        io::Error::other(format!("killed, but still there: process {}", left.join(", ")))
    })
}

/// When the process of that number was started, and whether it still runs: one that has ended
/// keeps its number until its parent has noticed.
fn look_up(pid: u32) -> Option<(String, bool)> {
    if !fs::exists("/proc/self/stat").unwrap_or(false) {
        return look_up_by_ps(pid);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (ticks, runs) = start_ticks(&stat)?;
    // Ticks are counted from the start of the system, which has an identity of its own.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some((format!("{} {ticks}", boot.trim()), runs))
}

/// The start time in `/proc/PID/stat` (field 22), and whether the state (field 3) is one of a
/// process that still runs.
fn start_ticks(stat: &str) -> Option<(&str, bool)> {
    // The name, in parentheses, may hold blanks and parentheses itself.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let runs = !matches!(fields.next()?, "Z" | "X");
    // Field 3 was the state; 18 more, and then it comes.
    Some((fields.nth(18)?, runs))
}

/// The same where there is no `/proc`.
fn look_up_by_ps(pid: u32) -> Option<(String, bool)> {
    let mut ps = Command::new("ps");
    ps.args(["-p", &pid.to_string(), "-o", "stat=,lstart="]);
    let output = wait::output(&mut ps, Duration::from_secs(5)).ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (state, started) = line.split_once(' ')?;
    Some((started.trim().to_owned(), !state.starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_whatever_the_name_is() {
        let fields = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 5000 1";
        let stat = |name: &str, state: &str| format!("42 ({name}) {state} {fields}");
        assert_eq!(start_ticks(&stat("etcd", "S")), Some(("987654", true)));
        assert_eq!(start_ticks(&stat("a) S (b", "T")), Some(("987654", true)), "frozen is alive");
        assert_eq!(start_ticks(&stat("etcd", "Z")), Some(("987654", false)));
        assert_eq!(start_ticks("42 (etcd"), None);
    }

    #[test]
    fn a_process_is_stopped_once_and_another_of_its_number_never() {
        let process = Process::start(Command::new("sleep").arg("60")).unwrap();
        let stranger = Process { started: "earlier".to_owned(), ..process.clone() };
        assert!(process.is_alive());
        assert!(!stranger.is_alive());
        stop(&[(stranger, Signal::KILL)]).unwrap();
        assert!(process.is_alive(), "the number alone is not enough");
        stop(&[(process.clone(), Signal::TERM)]).unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_frozen_process_is_stopped_too() {
        let process = Process::start(Command::new("sleep").arg("60")).unwrap();
        process.signal(Signal::STOP);
        stop(&[(process.clone(), Signal::TERM)]).unwrap();
        assert!(!process.is_alive());
    }
}
