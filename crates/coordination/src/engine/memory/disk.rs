//! The simulated machine's disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::machine::{Change, Command, Machine, MachineTime, State};

/// Commands that are kept as such before they are folded into the snapshot, so that the log of a
/// long simulation does not grow without end.
const LOG_MAX: usize = 4_096;

/// When the simulated machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In the next command, before it is durable: it never happened.
    BeforeDurable,
    /// In the next command, when it is durable and nobody has been told: it has happened.
    AfterDurable,
}

/// A disk for simulations: a snapshot and the commands since. Clones are the same disk, which
/// outlives every server that used it.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    stored: Arc<Mutex<Stored>>,
}

#[derive(Debug, Default)]
struct Stored {
    snapshot: State,
    log: Vec<(MachineTime, Command)>,
    fault: Option<Fault>,
    /// How often it was opened: only the latest to open it may write.
    opened: u64,
}

/// Why a command is not known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the simulated machine has stopped")]
    Stopped,
    #[error("another server has opened the disk since")]
    Superseded,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the machine in the next command that is logged. Questions are not logged, unless a
    /// session has to end first.
    pub fn fail_next(&self, fault: Fault) {
        self.stored().fault = Some(fault);
    }

    /// How many commands were logged since the last snapshot.
    #[must_use]
    pub fn log_len(&self) -> usize {
        self.stored().log.len()
    }

    /// Reads what is durable, and shuts out every server that opened it before. Answers the number
    /// of the opening.
    pub(super) fn open(&self) -> (Machine, u64) {
        let mut stored = self.stored();
        stored.opened += 1;
        stored.fault = None;
        (stored.replay(), stored.opened)
    }

    /// Makes a command durable.
    pub(super) fn write(
        &self,
        opened: u64,
        at: MachineTime,
        command: &Command,
    ) -> Result<(), WriteError> {
        let mut stored = self.stored();
        if stored.opened != opened {
            return Err(WriteError::Superseded);
        }
        let fault = stored.fault.take();
        if fault != Some(Fault::BeforeDurable) {
            stored.log.push((at, command.clone()));
            if stored.log.len() >= LOG_MAX {
                stored.snapshot = stored.replay().snapshot();
                stored.log.clear();
            }
        }
        fault.map_or(Ok(()), |_| Err(WriteError::Stopped))
    }
}

impl Stored {
    fn replay(&self) -> Machine {
        // The snapshot is one that a machine gave, so it is one.
        let restored = Machine::restore(self.snapshot.clone());
        debug_assert!(restored.is_ok(), "{restored:?}");
        let mut machine = restored.unwrap_or_default();
        let mut changes: Vec<Change> = Vec::new();
        for (at, command) in &self.log {
            // A refusal was one the first time, too.
            let _ = machine.apply(*at, command.clone(), &mut changes);
            changes.clear();
        }
        machine
    }
}
