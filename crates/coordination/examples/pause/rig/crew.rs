//! The worker processes, and what can be done to them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use steadfast_time::Clock;

use super::role::{Again, Role};
use super::{Outcome, clock};

/// A process of this program. Killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts this program again; what it has to complain of goes to a file.
    pub fn start(again: &Again, role: &Role, log: &Path) -> Outcome<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = again(&serde_json::to_string(role)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Self { child: command.spawn()? })
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Makes it stand still.
    pub fn stop(&self) -> Outcome<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Outcome<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// All workers of a run, by their numbers.
pub struct Crew {
    clock: Clock,
    workers: Mutex<Vec<Process>>,
}

impl Crew {
    pub fn new(workers: Vec<Process>) -> Self {
        Self { clock: clock::machine(), workers: Mutex::new(workers) }
    }

    pub fn len(&self) -> usize {
        self.with(|workers| workers.len())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Process>) -> T) -> T {
        look(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn one<T>(&self, number: u32, look: impl FnOnce(&mut Process) -> Outcome<T>) -> Outcome<T> {
        self.with(|workers| {
            let worker = usize::try_from(number).ok().and_then(|at| workers.get_mut(at));
            look(worker.ok_or("there is no such worker")?)
        })
    }

    pub fn stop(&self, number: u32) -> Outcome<()> {
        self.one(number, |worker| worker.stop())
    }

    pub fn go_on(&self, number: u32) -> Outcome<()> {
        self.one(number, |worker| worker.go_on())
    }

    /// Waits for all to end by themselves; how many did not.
    pub async fn ended(&self, limit: Duration) -> usize {
        let deadline = self.clock.monotonic() + limit;
        loop {
            let running = self.with(|workers| {
                workers.iter_mut().filter_map(|it| it.is_running().then_some(())).count()
            });
            if running == 0 || self.clock.monotonic() >= deadline {
                return running;
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
    }
}
