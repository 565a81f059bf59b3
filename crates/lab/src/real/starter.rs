//! The one thread that starts processes.
//!
//! The kernel's parent death signal is sent when the *thread* ends that forked, not the process
//! (`PR_SET_PDEATHSIG(2const)`). A process that was started by a thread of a pool would be killed
//! when the pool shrinks, in the middle of a run. So all processes of a stage are started by one
//! thread that lives as long as the stage does, and the signal means what it should: the stage is
//! gone, or the whole program is.

use std::io;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

struct Start {
    command: Command,
    started: Sender<io::Result<Child>>,
}

/// Starts processes. When it is dropped, those that still run are killed by the kernel.
#[derive(Debug)]
pub(super) struct Starter {
    requests: Mutex<Option<Sender<Start>>>,
    thread: Option<JoinHandle<()>>,
}

impl Starter {
    pub(super) fn new() -> io::Result<Self> {
        let (requests, commands) = channel();
        let thread = std::thread::Builder::new().name("starter".to_owned());
        let thread = thread.spawn(move || serve(&commands))?;
        Ok(Self { requests: Mutex::new(Some(requests)), thread: Some(thread) })
    }

    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts processes has ended");
        let (started, answer) = channel();
        {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let requests = requests.as_ref().ok_or_else(gone)?;
            requests.send(Start { command, started }).map_err(|_| gone())?;
        }
        answer.recv().map_err(|_| gone())?
    }
}

fn serve(commands: &Receiver<Start>) {
    while let Ok(Start { mut command, started }) = commands.recv() {
        if let Err(unwanted) = started.send(command.spawn())
            && let Ok(mut child) = unwanted.0
        {
            // Nobody waits for it any more.
            let _ = (child.kill(), child.wait());
        }
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        drop(self.requests.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            // It has nothing left to do; its end is what the kernel waits for.
            let _ = thread.join();
        }
    }
}
