//! One page of a list.

use steadfast_time::Monotonic;

use super::cursor::Cursor;
use super::projection::{Row, row_key};
use super::scan::Scan;
use super::{Filter, OrderPage};
use crate::Error;
use crate::limits::PAGE_ORDERS_MAX;
use crate::order::Problem;
use crate::service::Core;

/// The orders behind the cursor, newest first.
///
/// # Errors
/// [`Error::Invalid`] for the limit, or a cursor of another list; [`Error::DeadlineExceeded`];
/// [`Error::Unavailable`] when the list is not kept here.
pub(in crate::service) async fn page(
    core: &Core,
    filter: &Filter,
    cursor: Option<&str>,
    limit: usize,
    deadline: Monotonic,
) -> Result<OrderPage, Error> {
    if !(1..=PAGE_ORDERS_MAX).contains(&limit) {
        let rule = format!("must be between 1 and {PAGE_ORDERS_MAX}");
        return Err(Problem::new("limit", rule).into());
    }
    let behind = cursor.map(|text| Cursor::read(text, filter)).transpose()?;
    catch_up(core, deadline).await?;

    let list = &core.list;
    // One more than is shown tells whether there is another page.
    let wanted = limit + 1;
    let mut scan = Scan::new(list, filter, behind, wanted)?;
    let mut orders = Vec::with_capacity(wanted);
    while orders.len() < wanted {
        if core.clock.monotonic() >= deadline {
            return Err(Error::late());
        }
        let found = scan.take(wanted - orders.len())?;
        if found.is_empty() {
            break;
        }
        let keys: Vec<String> = found.iter().copied().map(row_key).collect();
        let rows = list.read(|view| view.get_many(&keys))?;
        for (id, row) in found.into_iter().zip(rows) {
            let missing = || Error::Unreadable(format!("order {id} is in the index alone"));
            let row: Row = serde_json::from_slice(&row.ok_or_else(missing)?)
                .map_err(|error| Error::Unreadable(format!("order {id} in the list: {error}")))?;
            // It may have moved on since the index was read.
            if filter.status.is_none_or(|status| status == row.status()) {
                orders.push(row.summary(id));
            }
        }
    }
    let more = orders.len() > limit;
    orders.truncate(limit);
    let last = orders.last().filter(|_| more);
    let next_cursor = last.map(|order| Cursor::behind(order.id, filter).to_string());
    Ok(OrderPage { orders, next_cursor })
}

/// Waits until the view contains everything that has been answered so far.
async fn catch_up(core: &Core, deadline: Monotonic) -> Result<(), Error> {
    if core.list.is_idle() {
        let reason = "the list of orders is not kept by this process".to_owned();
        return Err(Error::Unavailable { reason });
    }
    let head = core.journal.store().head()?.position;
    let left = deadline - core.clock.monotonic();
    if left.is_zero() {
        return Err(Error::late());
    }
    let list = &core.list;
    list.view.catch_up_to(head, left).await.map_err(|error| list.failed(error))
}
