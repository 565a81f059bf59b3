//! The three journals of a replay, in memory or on disk, driven by the simulation.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use steadfast_journal::{Journal, StorageError, Writer, memory, sqlite};
use steadfast_time::sim::Simulation;

/// The order journal and the two ledgers' journals.
pub(super) struct Journals {
    pub(super) orders: Journal,
    pub(super) stock: Journal,
    pub(super) payment: Journal,
    failure: Rc<RefCell<Option<Arc<StorageError>>>>,
}

impl Journals {
    /// Opens them. Whatever waits is committed when nothing else can go on, so that everything
    /// of one simulated moment shares a commit.
    pub(super) fn open(sim: &mut Simulation, data: Option<&Path>) -> Result<Self, StorageError> {
        let clock = sim.clock();
        let mut writers = Vec::new();
        let mut open = |name: &str| -> Result<Journal, StorageError> {
            let (journal, writer) = match data {
                None => Journal::new(memory::Engine::new(), clock.clone()),
                Some(data) => {
                    let options = sqlite::Options::default();
                    let engine = sqlite::Engine::open(&data.join(name), options)?;
                    Journal::new(engine, clock.clone())
                }
            };
            writers.push(writer);
            Ok(journal)
        };
        let (orders, stock, payment) = (open("orders")?, open("stock")?, open("payment")?);
        let failure = Rc::new(RefCell::new(None));
        let failed = Rc::clone(&failure);
        sim.on_idle(move || match commit(&mut writers) {
            Ok(progress) => progress,
            Err(error) => {
                failed.borrow_mut().get_or_insert(error);
                false
            }
        });
        Ok(Self { orders, stock, payment, failure })
    }

    /// The first failure of a storage, if there was one.
    pub(super) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }
}

fn commit(writers: &mut [Writer]) -> Result<bool, Arc<StorageError>> {
    let mut progress = false;
    for writer in writers {
        progress |= writer.run_once()? > 0;
    }
    Ok(progress)
}
