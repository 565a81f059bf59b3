//! The three journals of a replay, in memory or on disk, driven by the simulation.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use steadfast_coordination::engine::memory::Memory;
use steadfast_dispatch::names::ZoneId;
use steadfast_journal::{Journal, StorageError, Writer, memory, sqlite};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

/// The folder of the order journal within a data directory. It is opened first, so its lock
/// guards the whole directory.
const ORDERS: &str = "orders";
const STOCK: &str = "stock";
const PAYMENT: &str = "payment";

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
        if let Some(data) = data {
            refuse_strangers(data)?;
        }
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
        let (orders, stock, payment) = (open(ORDERS)?, open(STOCK)?, open(PAYMENT)?);
        let failure = Rc::new(RefCell::new(None));
        let failed = Rc::clone(&failure);
        sim.on_idle(move || match commit(&mut writers) {
            Ok(progress) => progress,
            Err(error) => {
                // One journal that stands still would leave the others waiting for it.
                writers.clear();
                failed.borrow_mut().get_or_insert(error);
                true
            }
        });
        Ok(Self { orders, stock, payment, failure })
    }

    /// The first failure of a storage, if there was one.
    pub(super) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }
}

/// The coordinator. It lives as long as the replay, and its tokens go on above the highest that the
/// journal has seen.
pub(super) fn coordinator(orders: &Journal, clock: Clock) -> Result<Memory, Arc<StorageError>> {
    let zone = ZoneId::default_zone().resource();
    let seen = |resource| orders.store().fence(resource).map_err(Arc::new);
    Ok(match seen(&zone)?.max(seen(steadfast_dispatch::relay::RESOURCE)?) {
        None => Memory::new(clock),
        Some(seen) => Memory::starting_after(seen, clock),
    })
}

/// A directory without an order journal must be empty: it is somebody else's otherwise.
fn refuse_strangers(data: &Path) -> Result<(), StorageError> {
    if data.join(ORDERS).exists() || !data.exists() {
        return Ok(());
    }
    let failed = |source| StorageError::Other {
        context: "looking into the data directory",
        source: Box::new(source),
    };
    match std::fs::read_dir(data).map_err(failed)?.next() {
        None => Ok(()),
        Some(entry) => {
            let name = entry.map_err(failed)?.file_name();
            let path = data.to_owned();
            let what = format!("it holds {name:?} and no replay; name an empty directory");
            Err(StorageError::Foreign { path, what })
        }
    }
}

fn commit(writers: &mut [Writer]) -> Result<bool, Arc<StorageError>> {
    let mut progress = false;
    for writer in writers {
        let committed = writer.run_once()? > 0;
        progress |= committed;
        #[cfg(test)]
        if committed {
            fuse::burn().map_err(Arc::new)?;
        }
    }
    Ok(progress)
}

/// Stops a replay after any number of commits, as a kill does.
#[cfg(test)]
pub(super) mod fuse {
    use std::cell::Cell;

    use super::StorageError;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// After so many commits of replays on this thread, the next one is the last.
    pub(crate) fn set(commits: Option<u32>) {
        LEFT.set(commits);
    }

    pub(super) fn burn() -> Result<(), StorageError> {
        let left = LEFT.get();
        LEFT.set(left.map(|left| left.saturating_sub(1)));
        match left {
            Some(0) => {
                Err(StorageError::Other { context: "the fuse of a test", source: "killed".into() })
            }
            _ => Ok(()),
        }
    }
}
