//! Tokens in memory, with crash semantics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{StoreError, TokenStore};

/// When the simulated machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In the next save, before it is durable.
    BeforeDurable,
    /// In the next save, when it is durable and nobody has been told.
    AfterDurable,
}

#[derive(Debug, Default)]
struct Disk {
    durable: u64,
    fault: Option<Fault>,
}

/// A store for simulations. Clones share one disk, which outlives any process of a simulation.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokens {
    disk: Arc<Mutex<Disk>>,
}

impl MemoryTokens {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the machine in the next save.
    pub fn fail_next(&self, fault: Fault) {
        self.disk().fault = Some(fault);
    }

    /// What is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.disk().durable
    }
}

impl TokenStore for MemoryTokens {
    fn load(&mut self) -> Result<u64, StoreError> {
        Ok(self.disk().durable)
    }

    fn save(&mut self, reserved: u64) -> Result<(), StoreError> {
        let mut disk = self.disk();
        let fault = disk.fault.take();
        if fault != Some(Fault::BeforeDurable) {
            disk.durable = reserved;
        }
        fault.map_or(Ok(()), |_| Err(StoreError::Crashed))
    }
}
