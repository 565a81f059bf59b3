//! Who uses the servers, and who takes them down.
//!
//! A test run holds a shared lock on a file for as long as it lasts, and starts a *guard*: a
//! process that reads from a pipe whose other end only the test run has. However the run ends (by
//! itself, by an interrupt, killed), the system closes the pipe and gives the lock back; then the
//! guard takes down what was started for tests, unless another run uses it.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::wait;

/// How long another run may take to start or to stop the servers.
const BUSY_LIMIT: Duration = Duration::from_secs(900);

/// How long taking down may take at the end of a test run.
const DOWN_LIMIT: Duration = Duration::from_secs(120);

/// A lock on one of the files beside the servers' folder; ends with its owner.
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Alone: for starting and stopping.
    ///
    /// # Errors
    /// Another run holds it for too long.
    pub fn exclusive(file: &Path) -> io::Result<Self> {
        Self::take(file, File::try_lock)
    }

    /// With others: for using.
    ///
    /// # Errors
    /// Another run stops the servers, and does not come to an end.
    pub fn shared(file: &Path) -> io::Result<Self> {
        Self::take(file, File::try_lock_shared)
    }

    /// Alone, or not at all.
    ///
    /// # Errors
    /// The file cannot be locked at all.
    pub fn try_exclusive(file: &Path) -> io::Result<Option<Self>> {
        let open = open(file)?;
        match open.try_lock() {
            Ok(()) => Ok(Some(Self(open))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn take(
        file: &Path,
        attempt: impl Fn(&File) -> Result<(), fs::TryLockError>,
    ) -> io::Result<Self> {
        let open = open(file)?;
        let mut said = false;
        let result = wait::until(BUSY_LIMIT, || match attempt(&open) {
            Ok(()) => Some(Ok(())),
            Err(fs::TryLockError::Error(error)) => Some(Err(error)),
            Err(fs::TryLockError::WouldBlock) => {
                if !said {
                    eprintln!("waiting for another run to be done with the servers");
                    said = true;
                }
                None
            }
        });
        let busy = || io::Error::other(format!("{} is in use by another run", file.display()));
        result.ok_or_else(busy)?.map(|()| Self(open))
    }
}

fn open(file: &Path) -> io::Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    File::options().create(true).truncate(false).write(true).open(file)
}

/// The guard of a test run, as the run sees it.
pub struct Guard {
    child: Child,
    /// Open for as long as the servers are wanted.
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts a guard: this program again, as `services guard`, where an interrupt at the
    /// terminal does not reach it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start() -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["services", "guard"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Says that the servers are not wanted any more, and waits until the guard is done.
    ///
    /// # Errors
    /// It takes too long, or did not succeed.
    pub fn finish(mut self) -> io::Result<()> {
        drop(self.pipe.take());
        let status = wait::until(DOWN_LIMIT, || self.child.try_wait().transpose()).transpose()?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(io::Error::other("the servers could not be taken down")),
            None => {
                Err(io::Error::other(format!("still taking servers down after {DOWN_LIMIT:?}")))
            }
        }
    }
}

/// What the guard does first: waits until its test run has ended.
///
/// # Errors
/// It was not started by one.
pub fn wait_for_end() -> io::Result<()> {
    io::stdin().lock().read_to_end(&mut Vec::new()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_share_and_who_stops_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("services.use");
        let one = Lock::shared(&file).unwrap();
        let other = Lock::shared(&file).unwrap();
        assert!(Lock::try_exclusive(&file).unwrap().is_none());
        drop(one);
        assert!(Lock::try_exclusive(&file).unwrap().is_none(), "the other still uses them");
        drop(other);
        let alone = Lock::try_exclusive(&file).unwrap();
        assert!(alone.is_some());
        assert!(Lock::try_exclusive(&file).unwrap().is_none());
    }
}
