//! What is stored about a projection itself.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{Guard, Position, RecordChange, Store};

/// The space of the control records.
const SPACE: &str = "projection";

/// One generation of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) number: u64,
    /// The projection's version that builds it.
    pub(super) version: u32,
}

impl Generation {
    /// The space of its records.
    pub(super) fn space(self, name: &str) -> String {
        format!("view/{name}/{}", self.number)
    }
}

/// Which generations there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    /// How often this has changed.
    pub(super) revision: i64,
    /// The number of the newest generation.
    pub(super) newest: u64,
    /// What readers see.
    pub(super) live: Option<Generation>,
    /// What is being built.
    pub(super) building: Option<Generation>,
    /// What is to be cleared away.
    pub(super) retired: Vec<Generation>,
}

impl Control {
    pub(super) fn load(store: &dyn Store, name: &str) -> Result<Self, Error> {
        let record = store
            .record(SPACE, name)
            .map_err(|source| Error::Storage { projection: name.to_owned(), source })?;
        record.map_or_else(
            || Ok(Self::default()),
            |bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|source| Error::Control { projection: name.to_owned(), source })
            },
        )
    }

    /// The generation that readers of a version may see.
    pub(super) fn readable(&self, version: u32) -> Option<Generation> {
        self.live.filter(|live| live.version == version)
    }

    /// Begins a generation from the first event, giving up the one that was being built.
    pub(super) fn begin(&mut self, version: u32) {
        self.newest += 1;
        self.retired.extend(self.building.take());
        self.building = Some(Generation { number: self.newest, version });
    }

    /// Makes what has been built live.
    pub(super) fn switch(&mut self) {
        if let Some(built) = self.building.take() {
            self.retired.extend(self.live.replace(built));
        }
    }

    /// The record that stores this as the next revision, and the guard that nobody else has
    /// stored one meanwhile.
    pub(super) fn store(&mut self, name: &str) -> Result<(RecordChange, Guard), Error> {
        self.revision += 1;
        let value = serde_json::to_vec(self)
            .map_err(|source| Error::Control { projection: name.to_owned(), source })?;
        let record =
            RecordChange { space: SPACE.into(), key: name.to_owned(), value: Some(value.into()) };
        let bounds = self.revision..=self.revision;
        Ok((record, Guard { counter: revision_counter(name), delta: 1, bounds }))
    }

    /// The guard that this is still the revision that is stored.
    pub(super) fn unchanged(&self, name: &str) -> Guard {
        let bounds = self.revision..=self.revision;
        Guard { counter: revision_counter(name), delta: 0, bounds }
    }
}

fn revision_counter(name: &str) -> String {
    format!("projection/{name}")
}

/// The counter that holds a generation's checkpoint.
fn checkpoint_counter(name: &str, generation: Generation) -> String {
    format!("projection/{name}/{}", generation.number)
}

/// The last event that is in a generation.
pub(super) fn checkpoint(
    store: &dyn Store,
    name: &str,
    generation: Generation,
) -> Result<Position, Error> {
    let counter = checkpoint_counter(name, generation);
    let value = store
        .counter(&counter)
        .map_err(|source| Error::Storage { projection: name.to_owned(), source })?;
    Ok(Position(value.max(0).unsigned_abs()))
}

/// Moves a checkpoint, provided that it still stands where it is thought to.
pub(super) fn move_checkpoint(
    name: &str,
    generation: Generation,
    from: Position,
    to: Position,
) -> Guard {
    // Positions are counted one by one; they do not come near 2⁶³.
    let [from, to] = [from, to].map(|position| i64::try_from(position.0).unwrap_or(i64::MAX));
    Guard { counter: checkpoint_counter(name, generation), delta: to - from, bounds: to..=to }
}
