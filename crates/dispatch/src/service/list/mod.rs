//! Lists of orders, newest first, a page at a time.
//!
//! A list over a million orders can neither be folded from their streams nor be held in memory.
//! So a [projection](projection::Listed) keeps a small record of each order and an index, and a
//! page is a few short reads of them, whatever the number of orders.
//!
//! - [`OrderList`] owns the projection: its runner, and the view that readers look at.
//! - [`page`](page()) waits until the view contains everything that was answered before the
//!   call, and then reads. While nobody asks, events are applied late and many at a time; the
//!   first reader who waits makes the runner hurry.
//! - [`Cursor`](cursor::Cursor) says where the next page begins.
//!
//! # What a page promises
//! An order keeps its place (its id) and its zone for life. So while orders come and change,
//! going from page to page shows each order at most once, newest first, and never passes over
//! one that fits the filter all the while. Orders placed after the first page belong in front
//! of it and are not in the ones that follow.
//!
//! # Limits
//! A page by status alone looks into each zone that ever had an order: its cost grows with the
//! number of zones, not of orders. The list is kept by whoever runs
//! [`OrderList::run`]; services that do not run it refuse to list.

mod cursor;
mod page;
mod projection;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use steadfast_journal::Journal;
use steadfast_journal::projection::{self as journal, Condition, Options, Progress, Runner, View};
use steadfast_time::{Clock, Timestamp};

pub(super) use page::page;

use self::projection::Listed;
use crate::limits::{LIST_BATCH_DELAY, LIST_BATCH_EVENTS};
use crate::names::{OrderId, ZoneId};
use crate::order::Status;
use crate::{Error, TaskError};

/// Which orders to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that stand here.
    pub status: Option<Status>,
    /// Only those of this zone.
    pub zone: Option<ZoneId>,
}

/// An order in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderSummary {
    /// Its name.
    pub id: OrderId,
    /// What people call it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Where it stands.
    pub status: Status,
    /// How many events it has had.
    pub version: u64,
    /// The zone that it is dispatched in.
    pub zone: ZoneId,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderPage {
    /// The orders, newest first.
    pub orders: Vec<OrderSummary>,
    /// Where the next page begins, if there is more.
    pub next_cursor: Option<String>,
}

/// The projection of one set of services.
pub(crate) struct OrderList {
    view: View,
    /// Until somebody takes it to run it.
    runner: Mutex<Option<Runner<Listed>>>,
}

impl OrderList {
    /// # Panics
    /// When [`projection::NAME`] is no name for a projection: a slip of the programmer.
    pub(crate) fn new(journal: &Journal, clock: &Clock) -> Self {
        let options = Options { batch_events: LIST_BATCH_EVENTS, batch_delay: LIST_BATCH_DELAY };
        let (runner, view) = Runner::new(journal.clone(), clock.clone(), Listed, options)
            .unwrap_or_else(|error| panic!("{error}"));
        Self { view, runner: Mutex::new(Some(runner)) }
    }

    /// Keeps the list up to date until the journal is closed. From this call on, not only from
    /// the first poll, readers count on it.
    pub(crate) fn run(&self) -> impl Future<Output = Result<(), TaskError>> + Send + 'static {
        let runner = self.take();
        async move {
            let Some(runner) = runner else {
                return Err("the list of orders is run already by the same services".into());
            };
            Ok(runner.run().await?)
        }
    }

    fn take(&self) -> Option<Runner<Listed>> {
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        runner.take()
    }

    /// Whether nobody has ever begun to keep this list.
    fn is_idle(&self) -> bool {
        let runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        runner.is_some()
    }

    /// Looks at the records.
    fn read<T>(&self, look: impl FnOnce(&View) -> Result<T, journal::Error>) -> Result<T, Error> {
        look(&self.view).map_err(|error| self.failed(error))
    }

    /// What the caller is told when the view cannot be read.
    fn failed(&self, error: journal::Error) -> Error {
        match (error, self.view.progress()) {
            // Not a matter of a moment, and whoever runs it should know.
            (
                journal::Error::Behind { wanted, .. },
                Progress { live: None, building: Some(at), .. },
            ) => Error::Unavailable {
                reason: format!("the list of orders is being built: at event {at} of {wanted}"),
            },
            (journal::Error::Behind { .. }, _) => Error::late(),
            (
                journal::Error::Stopped { .. },
                Progress { condition: Condition::Failed(why), .. },
            ) => Error::Unavailable { reason: why.to_string() },
            (error @ (journal::Error::Control { .. } | journal::Error::Shape { .. }), _) => {
                Error::Unreadable(error.to_string())
            }
            (error, _) => Error::Unavailable { reason: error.to_string() },
        }
    }
}
