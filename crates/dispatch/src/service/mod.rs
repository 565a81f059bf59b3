//! The services: what the outside can ask for.

pub(crate) mod admission;
mod commit;
pub(crate) mod couriers;
mod inflight;
mod key;
pub(crate) mod list;
mod numbers;
mod options;
mod orders;
mod setting;
#[cfg(test)]
mod tests;
mod tracking;
pub(crate) mod zones;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast_journal::Journal;
use steadfast_time::{Clock, Ids};
use tokio::sync::Notify;

pub use couriers::Couriers;
pub use key::IdempotencyKey;
pub use list::{Filter, OrderPage, OrderSummary};
pub use numbers::{Numbers, NumbersError};
pub use options::Options;
pub use orders::{AsOf, Orders, PlacedResponse};
pub use tracking::Tracking;
pub use zones::Zones;

use crate::Error;
use crate::board::{Board, Life, Moment, Rules};
use crate::repository::Repository;
use admission::Admission;
use list::OrderList;
use tracking::Trackers;

/// What all services share.
pub(crate) struct Core {
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) options: Options,
    pub(crate) repository: Repository,
    pub(crate) admission: Admission,
    pub(crate) trackers: Trackers,
    pub(crate) list: OrderList,
    /// Wakes the dispatcher.
    pub(crate) wake: Notify,
    board: Mutex<Board>,
}

impl Core {
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.clock.now(), monotonic: self.clock.monotonic() }
    }
}

/// The services over one journal. Clones are the same services.
#[derive(Clone, Debug)]
pub struct Services {
    /// Placing, showing, following and cancelling orders.
    pub orders: Orders,
    /// What couriers do.
    pub couriers: Couriers,
    /// Zones.
    pub zones: Zones,
    pub(crate) core: Handle,
}

/// A [`Core`] that does not print itself.
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<Core>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Core")
    }
}

impl Services {
    /// The services over a journal.
    ///
    /// # Panics
    /// The options make no sense: see [`Options::check`], which whoever takes them from a
    /// configuration asks first.
    #[must_use]
    pub fn new(journal: Journal, clock: Clock, ids: Ids, options: Options) -> Self {
        let rules = Rules {
            policy: options.policy,
            travel: options.travel(),
            service: options.service,
            settle: options.settle,
            stacking: options.stacking,
            default_capacity: options.zone_capacity,
        };
        let life = options.watch().map(|watch| match Life::new(watch, options.events.clone()) {
            Ok(life) => life,
            Err(invalid) => panic!("{invalid}"),
        });
        let core = Arc::new(Core {
            repository: Repository::new(journal.clone()),
            admission: Admission::new(options.preparing_max, &clock),
            trackers: Trackers::default(),
            list: OrderList::new(&journal, &clock),
            wake: Notify::new(),
            board: Mutex::new(Board::new(rules, life)),
            journal,
            clock,
            ids,
            options,
        });
        Self {
            orders: Orders::new(Arc::clone(&core)),
            couriers: Couriers::new(Arc::clone(&core)),
            zones: Zones::new(Arc::clone(&core)),
            core: Handle(core),
        }
    }
}

impl Services {
    /// Keeps the list of orders up to date.
    pub(crate) fn list_projection(
        &self,
    ) -> impl Future<Output = Result<(), crate::TaskError>> + Send + 'static {
        self.core.0.list.run()
    }
}

/// Somebody else always wrote first.
const fn contended() -> Error {
    let retry_after = Duration::from_secs(1);
    let what = Cow::Borrowed("the order is being changed by too many at once");
    Error::Overloaded { what, retry_after }
}
