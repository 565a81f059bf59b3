//! A process of this program, and the signals that it gets.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::Failure;
use super::role::{Again, Role};

/// A process of this program. Killed when dropped, stopped or not.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    pub(super) fn start(again: &Again, role: &Role, log: &Path) -> Result<Self, Failure> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = again(&serde_json::to_string(role)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Self { child: command.spawn()? })
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Makes it stand still.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result<(), Failure> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> Result<(), Failure> {
        self.signal(Signal::CONT)
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is gone.
        let _ = self.kill();
    }
}
