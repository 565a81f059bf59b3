//! A process of this program, and the signals that it gets.
//!
//! # What keeps it from being left behind
//! - It is killed when its [`Process`] is dropped, stopped or not.
//! - When the program that started it ends in any way, the kernel kills it: it has asked for that
//!   before anything else ([`play`](super::play)).
//! - Should the program end before it could ask, it sees that its parent is another one, and ends.
//! - It is not stopped before it has asked: a stopped process cannot, and would stay for ever.
//!   [`Process::pause`] waits for its word.
//! - It is in a process group of its own: a Ctrl-C at the terminal is for the one who runs the
//!   experiment, and who then ends it in order.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Failure;
use super::role::{Again, Role};
use super::starter::Starter;

/// How long a process may take to say that it is there, when it is to be stopped, on a machine that
/// has much to do.
const WORD_MAX: Duration = Duration::from_secs(20);

/// A process of this program. Killed when dropped, stopped or not.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The other end of its standard input. A byte comes from it when its life is tied to ours.
    word: Mutex<Option<UnixStream>>,
}

impl Process {
    pub(super) fn start(
        starter: &Starter,
        again: &Again,
        role: &Role,
        log: &Path,
    ) -> Result<Self, Failure> {
        let log = File::options().create(true).append(true).open(log)?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(WORD_MAX))?;
        let mut command = again(&role.to_text(std::process::id())?);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = starter.spawn(command)?;
        Ok(Self { child, word: Mutex::new(Some(ours)) })
    }

    /// Its number at the operating system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Makes it stand still. Blocks for the moment in which a process that has only just been started
    /// ties its life to this one's.
    ///
    /// # Errors
    /// When it is gone, or does not come up.
    pub fn pause(&self) -> Result<(), Failure> {
        let mut word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = word.as_mut() {
            match stream.read(&mut [0]) {
                Ok(1) => *word = None,
                Ok(_) => return Err("the process is gone".into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err("the process does not come up".into());
                }
                Err(error) => return Err(error.into()),
            }
        }
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
