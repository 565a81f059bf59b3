//! Making, changing and showing zones.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use steadfast_journal::{Append, Expected, NewEvent, RecordChange, StreamId, Write};

use super::Core;
use crate::Error;
use crate::names::ZoneId;
use crate::order::Problem;
use crate::zone::{self, ZoneRequest, ZoneSettings, ZoneView};

/// The set of records that hold each zone's settings.
pub(crate) const ZONES: &str = "zones";

/// Zones: get, list, put.
#[derive(Clone)]
pub struct Zones {
    core: Arc<Core>,
}

impl Zones {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// A zone.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, id: &ZoneId) -> Result<ZoneView, Error> {
        let not_found = || Error::NotFound { what: "zone", id: id.to_string() };
        self.core.board().view_zone(id).ok_or_else(not_found)
    }

    /// All zones, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ZoneView> {
        let board = self.core.board();
        board.zones().filter_map(|(id, _)| board.view_zone(id)).collect()
    }

    /// Makes or changes a zone. Orders keep the zone in which they were placed.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overloaded`], [`Error::Unavailable`].
    pub async fn put(&self, id: ZoneId, request: ZoneRequest) -> Result<ZoneView, Error> {
        let core = &*self.core;
        request.check(core.options.locations)?;
        let settings =
            ZoneSettings { capacity: request.capacity, area: request.area, policy: request.policy };
        let unwritable = |error: serde_json::Error| Problem::new("body", error.to_string());
        let payload = Bytes::from(serde_json::to_vec(&settings).map_err(unwritable)?);
        let stream = StreamId::new(zone::CATEGORY, id.as_str())
            .map_err(|error| Problem::new("id", error.to_string()))?;
        let mut write = Write::at(core.clock.now());
        let event =
            NewEvent { kind: Cow::Borrowed("zone_set"), schema: 1, payload: payload.clone() };
        write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
        write.records.push(RecordChange {
            space: Cow::Borrowed(ZONES),
            key: id.to_string(),
            value: Some(payload),
        });
        core.journal.commit(write).await?;
        core.board().set_zone(&id, settings);
        core.wake.notify_one();
        self.get(&id)
    }
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zones").finish_non_exhaustive()
    }
}
