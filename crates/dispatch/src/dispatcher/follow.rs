//! Keeping the board true: what is there at the start, and every event after it.

use bytes::Bytes;
use steadfast_journal::{Event, Position, Store};

use crate::Error;
use crate::board::Moment;
use crate::courier;
use crate::draft::{COURIER_PLACES, CourierPlace, OPEN_ORDERS};
use crate::names::{OrderId, ZoneId};
use crate::order;
use crate::service::Core;
use crate::service::admission;
use crate::service::couriers::COURIERS;
use crate::service::zones::ZONES;
use crate::zone::{self, ZoneSettings};

/// Records read at a time while the board is built.
const PAGE: usize = 1_000;

/// Builds the board from the journal; returns the position after which the feed goes on.
pub(super) fn load(core: &Core) -> Result<Position, Error> {
    let store = core.journal.store();
    // Read first: whatever is committed while the records are read comes again in the feed,
    // and the board knows by its version what it has seen.
    let position = store.head()?.position;
    let now = core.moment();
    each_record(store, ZONES, |key, value| {
        let settings: ZoneSettings = parse(value)?;
        core.board().set_zone(&name::<ZoneId>(key)?, settings);
        Ok(())
    })?;
    each_record(store, COURIERS, |key, value| {
        core.board().set_shift(&name(key)?, parse(value)?, now);
        Ok(())
    })?;
    each_record(store, COURIER_PLACES, |key, value| {
        let CourierPlace { location, at } = parse(value)?;
        core.board().delivered_at(&name(key)?, location, at);
        Ok(())
    })?;
    each_record(store, OPEN_ORDERS, |key, _| {
        let id: OrderId = name(key.rsplit_once('/').map_or(key, |(_, order)| order))?;
        let order = core.repository.reload(id)?;
        core.board().open(order);
        Ok(())
    })?;
    Ok(position)
}

fn each_record(
    store: &dyn Store,
    space: &str,
    mut visit: impl FnMut(&str, &Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after: Option<String> = None;
    loop {
        let page = store.records(space, "", after.as_deref(), PAGE)?;
        for (key, value) in &page {
            visit(key, value)?;
        }
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

/// Applies what has been committed.
pub(super) fn apply(core: &Core, events: &[Event]) -> Result<(), Error> {
    let nobody_follows = core.trackers.is_empty();
    let now = core.clock.monotonic();
    for event in events {
        match event.stream.category() {
            order::CATEGORY => {
                let id: OrderId = name(event.stream.key())?;
                if !nobody_follows {
                    core.trackers.announce(id, event);
                }
                if admission::leaves(&event.kind) {
                    core.admission.leave(id);
                }
                match &*event.kind {
                    // On the way to the board: followed, so that nothing is read back when an
                    // order gets there.
                    "stock_reserved" | "payment_authorized" => {
                        core.repository.observe(id, event)?;
                    }
                    "awaiting_courier" => {
                        let order = core.repository.observe(id, event)?;
                        core.board().open(order);
                    }
                    _ => core.board().apply(id, event, now)?,
                }
            }
            courier::CATEGORY => {
                let (id, shift) = (name(event.stream.key())?, parse(&event.payload)?);
                core.board().set_shift(&id, shift, Moment { at: event.at, monotonic: now });
            }
            zone::CATEGORY => {
                let settings = parse(&event.payload)?;
                core.board().set_zone(&name(event.stream.key())?, settings);
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| Error::Unreadable(error.to_string()))
}

fn name<T: std::str::FromStr<Err = crate::names::NameError>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: crate::names::NameError| Error::Unreadable(error.to_string()))
}
