//! Going through the index, newest order first.

use std::collections::{BinaryHeap, VecDeque};
use std::str::FromStr;

use super::projection::{ROWS, ZONES, in_zone, in_zone_and_status};
use super::{Filter, OrderList};
use crate::Error;
use crate::limits::{LIST_SCAN_LEAST, LIST_ZONES_READ};
use crate::names::{OrderId, ZoneId};

/// The orders under one prefix, read a few at a time.
struct Source {
    prefix: String,
    ahead: VecDeque<OrderId>,
    /// Whether there may be more than what has been read.
    more: bool,
}

/// The orders that a filter lets through, behind a place. Where they are under several prefixes
/// (a status, in each zone), they are merged; an order is under one of them at most.
pub(super) struct Scan<'a> {
    list: &'a OrderList,
    sources: Vec<Source>,
    /// The newest order of each source that has one, and the source's index.
    next: BinaryHeap<(OrderId, usize)>,
    /// How many are read from a source at a time.
    chunk: usize,
}

impl<'a> Scan<'a> {
    /// A scan by somebody who wants about `wanted` orders.
    pub(super) fn new(
        list: &'a OrderList,
        filter: &Filter,
        behind: Option<OrderId>,
        wanted: usize,
    ) -> Result<Self, Error> {
        let prefixes = match (&filter.zone, filter.status) {
            (None, None) => vec![ROWS.to_owned()],
            (Some(zone), None) => vec![in_zone(zone)],
            (Some(zone), Some(status)) => vec![in_zone_and_status(zone, status)],
            (None, Some(status)) => {
                let zones = zones(list)?.into_iter();
                zones.map(|zone| in_zone_and_status(&zone, status)).collect()
            }
        };
        // Of many sources each gives a few.
        let chunk = match prefixes.len() {
            0 | 1 => wanted,
            count => (2 * wanted / count).max(LIST_SCAN_LEAST),
        };
        let mut scan = Self {
            list,
            sources: Vec::with_capacity(prefixes.len()),
            next: BinaryHeap::with_capacity(prefixes.len()),
            chunk,
        };
        for prefix in prefixes {
            let (ahead, more) = (VecDeque::new(), true);
            scan.sources.push(Source { prefix, ahead, more });
            scan.advance(scan.sources.len() - 1, behind)?;
        }
        Ok(scan)
    }

    /// The next orders, at most so many; none at the end.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<OrderId>, Error> {
        let mut orders = Vec::with_capacity(count);
        while orders.len() < count
            && let Some((order, source)) = self.next.pop()
        {
            orders.push(order);
            self.advance(source, Some(order))?;
        }
        Ok(orders)
    }

    /// Makes the next order of a source, which comes behind this one, known.
    fn advance(&mut self, index: usize, behind: Option<OrderId>) -> Result<(), Error> {
        let Some(source) = self.sources.get_mut(index) else {
            return Ok(());
        };
        if source.ahead.is_empty() && source.more {
            let before = behind.map(|order| format!("{}{order}", source.prefix));
            let (prefix, chunk) = (&source.prefix, self.chunk);
            let found =
                self.list.read(|view| view.list_reverse(prefix, before.as_deref(), chunk))?;
            source.more = found.len() == chunk;
            for (key, _) in found {
                source.ahead.push_back(parse(&key, prefix)?);
            }
        }
        if let Some(order) = source.ahead.pop_front() {
            self.next.push((order, index));
        }
        Ok(())
    }
}

/// All zones that ever had an order.
fn zones(list: &OrderList) -> Result<Vec<ZoneId>, Error> {
    let mut zones = Vec::new();
    let mut last: Option<String> = None;
    loop {
        let found = list.read(|view| view.list(ZONES, last.as_deref(), LIST_ZONES_READ))?;
        let is_last = found.len() < LIST_ZONES_READ;
        for (key, _) in &found {
            zones.push(parse(key, ZONES)?);
        }
        last = found.into_iter().next_back().map(|(key, _)| key);
        if is_last {
            return Ok(zones);
        }
    }
}

/// The name behind a prefix.
fn parse<T: FromStr>(key: &str, prefix: &str) -> Result<T, Error> {
    let name = key.strip_prefix(prefix).and_then(|name| name.parse().ok());
    name.ok_or_else(|| Error::Unreadable(format!("the list of orders has a record {key:?}")))
}
