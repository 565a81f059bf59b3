//! How commands are written into a batch, and a state into a snapshot: `postcard`, one command
//! after the other, each after the nanoseconds by which it is later than the batch.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::log::Record;
use crate::engine::machine::{Command, Machine, MachineTime, State};

/// Appends to a vector.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a value. Fails only for types that have no such form, which ours have.
pub(super) fn append(value: &impl Serialize, to: &mut Vec<u8>) {
    let written = postcard::serialize_with_flavor(value, Append(to));
    debug_assert!(written.is_ok(), "a type without a binary form");
}

/// Appends a command that is `later` than its batch, in nanoseconds.
pub(super) fn append_command(later: u64, command: &Command, to: &mut Vec<u8>) {
    append(&(later, command), to);
}

/// A machine that is told again what it was told.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) machine: Machine,
    /// Whether anything was there.
    pub(super) is_old: bool,
}

impl Replay {
    /// Takes the next record.
    pub(super) fn take(&mut self, record: Record<'_>) -> Result<(), String> {
        self.is_old = true;
        match record {
            Record::Snapshot(bytes) => {
                let state: State = postcard::from_bytes(bytes)
                    .map_err(|error| format!("the state cannot be read: {error}"))?;
                self.machine = Machine::restore(state).map_err(|error| error.to_string())?;
            }
            Record::Batch { time, mut payload } => {
                let mut changes = Vec::new();
                while !payload.is_empty() {
                    let ((later, command), rest) =
                        postcard::take_from_bytes::<(u64, Command)>(payload)
                            .map_err(|error| format!("a command cannot be read: {error}"))?;
                    payload = rest;
                    let at = MachineTime(time.saturating_add(later));
                    // Nobody waits for the answer any more.
                    let _ = self.machine.apply(at, command, &mut changes);
                    changes.clear();
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a machine's state.
pub(super) fn state(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&machine.snapshot(), &mut bytes);
    bytes
}
