//! When, where and for how much a courier works.

use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::geo::{Location, LocationKind};
use crate::limits::{COURIER_CAPACITY_MAX, SHIFT_MAX};
use crate::names::ZoneId;
use crate::order::Problem;

/// What a courier's app sends to start, change, or end a shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftRequest {
    /// Where the courier starts.
    pub location: Location,
    /// The zone to work in; the one that contains `location` when absent.
    #[serde(default)]
    pub zone: Option<ZoneId>,
    /// From when; now when absent.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// Until when orders may be picked up. In the past: the shift is over.
    pub ends_at: Timestamp,
    /// Orders that the courier can hold at once.
    #[serde(default = "one")]
    pub capacity: u32,
    /// Takes every offer at once, without being asked.
    #[serde(default)]
    pub auto_accept: bool,
}

const fn one() -> u32 {
    1
}

impl ShiftRequest {
    /// Checks everything that the types do not.
    ///
    /// # Errors
    /// The first problem, naming the field.
    pub fn check(&self, kind: LocationKind, now: Timestamp) -> Result<(), Problem> {
        crate::order::check_location("location", &self.location, kind)?;
        if !(1..=COURIER_CAPACITY_MAX).contains(&self.capacity) {
            let allowed = format!("must be between 1 and {COURIER_CAPACITY_MAX}");
            return Err(Problem::new("capacity", allowed));
        }
        let starts_at = self.starts_at.unwrap_or(now);
        if self.ends_at > starts_at + SHIFT_MAX {
            return Err(Problem::new("ends_at", "must be within 48 hours of the start"));
        }
        Ok(())
    }
}

/// A shift as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The zone.
    pub zone: ZoneId,
    /// Where the courier starts.
    pub location: Location,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when orders may be picked up.
    pub ends_at: Timestamp,
    /// Orders that the courier can hold at once.
    pub capacity: u32,
    /// Takes every offer at once.
    pub auto_accept: bool,
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Where the courier is; unchanged when absent.
    #[serde(default)]
    pub location: Option<Location>,
}
