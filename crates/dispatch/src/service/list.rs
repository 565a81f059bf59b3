//! Lists of orders: a projection, and its pages.

use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::names::{OrderId, ZoneId};
use crate::order::Status;

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

pub(crate) struct OrderList;
impl OrderList { pub(crate) fn new(_: &steadfast_journal::Journal, _: &steadfast_time::Clock) -> Self { Self } pub(crate) async fn run(&self) -> Result<(), crate::TaskError> { futures::future::pending().await } }
pub(super) async fn page(_: &super::Core, _: &Filter, _: Option<&str>, _: usize, _: steadfast_time::Monotonic) -> Result<OrderPage, crate::Error> { Err(crate::Error::DeadlineExceeded) }
