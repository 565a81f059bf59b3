//! A coordinator of our own: this program again, as a process of its own.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use crate::bench::{Scratch, as_f64};
use crate::cli::Failure;

/// Serves until it is dropped. Should this process be killed, it ends as well: its stdin does.
pub(super) struct Server {
    child: Child,
    address: String,
    stats: PathBuf,
    /// Where the socket is: its path must be short, and the data's may be long.
    _socket: TempDir,
}

/// What the coordinator writes when it ends.
#[derive(Deserialize)]
struct Stats {
    commands: u64,
    batches: u64,
}

fn failed(error: &io::Error) -> Failure {
    Failure::failed(format!("cannot start a coordinator: {error}"))
}

impl Server {
    /// Starts one, with its data in a folder of its own.
    ///
    /// # Errors
    /// It did not start; it has said why on stderr.
    pub(super) fn start(scratch: &Scratch, number: usize) -> Result<Self, Failure> {
        let short = tempfile::Builder::new().prefix("steadfast-").tempdir();
        let short = short.map_err(|error| failed(&error))?;
        let (socket, stats) = (short.path().join("c.sock"), short.path().join("stats"));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(["coordinator", "--until-stdin-ends", "--data"]);
        command.arg(scratch.path().join(format!("coordinator-{number}")));
        command.arg("--socket").arg(&socket).arg("--stats").arg(&stats);
        // What the user has configured is about the user's own.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STEADFAST_") {
                command.env_remove(name);
            }
        }
        // Ctrl-C is for us: the figures come first.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let mut line = String::new();
        let read = match child.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line),
            None => Ok(0),
        };
        let address = line.split_once("unix://").map(|(_, path)| format!("unix://{}", path.trim()));
        match (read, address) {
            (Ok(_), Some(address)) => Ok(Self { child, address, stats, _socket: short }),
            (read, _) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(&read.err().unwrap_or_else(|| io::Error::other("it ended"))))
            }
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it. Returns how many commands shared a sync on average, since it was started.
    ///
    /// # Errors
    /// It did not end as it should.
    pub(super) fn stop(mut self) -> Result<f64, Failure> {
        drop(self.child.stdin.take());
        let status = self.child.wait().map_err(Failure::failed)?;
        let stats = std::fs::read(&self.stats).ok();
        let stats = stats.and_then(|json| serde_json::from_slice(&json).ok());
        match stats {
            Some(Stats { commands, batches }) if status.success() => {
                Ok(as_f64(commands) / as_f64(batches.max(1)))
            }
            _ => Err(Failure::failed(format!("the coordinator ended with {status}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Stopped before, it is gone.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
