//! Making, changing and showing zones.

use std::sync::Arc;

use super::Core;
use super::setting::Setting;
use crate::Error;
use crate::names::ZoneId;
use crate::zone::{self, ZoneRequest, ZoneSettings, ZoneView};

/// The set of records that hold each zone's settings.
pub(crate) const ZONES: &str = "zones";

const SETTINGS: Setting = Setting { category: zone::CATEGORY, kind: "zone_set", space: ZONES };

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
        SETTINGS.put(core, core.clock.now(), id.as_str(), &settings).await?;
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
