//! What an operator decides about a zone.

use serde::{Deserialize, Serialize};

use crate::geo::{Location, LocationKind};
use crate::limits::ZONE_CAPACITY_MAX;
use crate::names::ZoneId;
use crate::order::Problem;

/// How orders are matched with couriers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyName {
    /// The nearest courier, at once.
    #[default]
    Nearest,
    /// All orders and couriers planned together, with bundles.
    Batch,
}

/// A rectangle on the map, both corners included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// The corner with the smaller coordinates.
    pub min: Location,
    /// The corner with the larger coordinates.
    pub max: Location,
}

impl Area {
    /// Whether a place lies within.
    #[must_use]
    pub fn contains(&self, place: &Location) -> bool {
        let ((a, b), (a_min, b_min), (a_max, b_max)) =
            (place.pair(), self.min.pair(), self.max.pair());
        place.kind() == self.min.kind()
            && (a_min..=a_max).contains(&a)
            && (b_min..=b_max).contains(&b)
    }
}

/// What an operator sends to make or change a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneRequest {
    /// Most orders offered, assigned or on their way at once.
    pub capacity: u32,
    /// Orders picked up within belong to the zone; without an area none do by themselves.
    #[serde(default)]
    pub area: Option<Area>,
    /// How orders are matched with couriers; the deployment's default when absent.
    #[serde(default)]
    pub policy: Option<PolicyName>,
}

impl ZoneRequest {
    /// Checks everything that the types do not.
    ///
    /// # Errors
    /// The first problem, naming the field.
    pub fn check(&self, kind: LocationKind) -> Result<(), Problem> {
        if !(1..=ZONE_CAPACITY_MAX).contains(&self.capacity) {
            let allowed = format!("must be between 1 and {ZONE_CAPACITY_MAX}");
            return Err(Problem::new("capacity", allowed));
        }
        if let Some(Area { min, max }) = &self.area {
            crate::order::check_location("area.min", min, kind)?;
            crate::order::check_location("area.max", max, kind)?;
            let ((a, b), (a_max, b_max)) = (min.pair(), max.pair());
            if a > a_max || b > b_max {
                return Err(Problem::new("area.max", "must not be below area.min"));
            }
        }
        Ok(())
    }
}

/// A zone as it is known: the one event of its stream carries this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneSettings {
    /// Most orders in dispatch at once.
    pub capacity: u32,
    /// Orders picked up within belong to the zone.
    pub area: Option<Area>,
    /// How orders are matched with couriers.
    pub policy: Option<PolicyName>,
}

/// A zone as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneView {
    /// Its name.
    pub id: ZoneId,
    /// Most orders in dispatch at once.
    pub capacity: u32,
    /// Orders picked up within belong to the zone.
    pub area: Option<Area>,
    /// How orders are matched with couriers.
    pub policy: PolicyName,
    /// Orders offered, assigned or on their way now.
    pub in_dispatch: u32,
    /// Orders that wait for a courier.
    pub waiting: u32,
    /// Couriers on shift.
    pub couriers: u32,
    /// The token of the dispatcher that holds the zone, if one does.
    pub token: Option<u64>,
}
