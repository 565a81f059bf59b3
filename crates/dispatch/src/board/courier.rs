//! A courier on the board.

use std::time::Duration;

use steadfast_time::Timestamp;

use crate::courier::{CourierView, Shift};
use crate::geo::Location;
use crate::names::{CourierId, OfferId};

pub(crate) struct Courier {
    pub(crate) shift: Shift,
    /// Where the courier was last known to be.
    pub(crate) location: Location,
    pub(crate) seen_at: Timestamp,
    /// Whether there has been a sign of life lately; see [`super::life`].
    pub(super) is_there: bool,
    /// Where and when the courier became free last, or began.
    pub(super) base: Location,
    pub(super) base_at: Timestamp,
    /// Orders offered or held.
    pub(crate) orders: u32,
    /// Orders that are about to be offered, in a write under way.
    pub(crate) reserved: u32,
    /// Trips offered or under way, oldest first.
    pub(crate) trips: Vec<OfferId>,
    /// Where and when the last trip is expected to end.
    pub(super) free_location: Location,
    pub(super) free_at: Timestamp,
}

impl Courier {
    pub(super) fn new(shift: Shift, now: Timestamp) -> Self {
        let (location, starts_at) = (shift.location, shift.starts_at);
        Self {
            shift,
            location,
            seen_at: now,
            is_there: true,
            base: location,
            base_at: starts_at,
            orders: 0,
            reserved: 0,
            trips: Vec::new(),
            free_location: location,
            free_at: starts_at,
        }
    }

    pub(super) fn set_shift(&mut self, shift: Shift) {
        // A new place to start from counts; the same shift sent again does not undo what the
        // courier has done since.
        if shift.location != self.shift.location || shift.starts_at > self.shift.ends_at {
            self.location = shift.location;
            if self.trips.is_empty() {
                (self.base, self.base_at) = (shift.location, shift.starts_at);
            }
        }
        self.shift = shift;
    }

    pub(super) fn moved(&mut self, location: Location) {
        self.location = location;
        if self.trips.is_empty() {
            self.base = location;
        }
    }

    /// An order was handed over there and then.
    pub(super) fn delivered(&mut self, place: Location, at: Timestamp, settle: Duration) {
        self.location = place;
        self.seen_at = self.seen_at.max(at);
        (self.base, self.base_at) = (place, at + settle);
    }

    /// Whether the courier works now.
    pub(super) fn is_on_shift(&self, now: Timestamp) -> bool {
        self.shift.starts_at <= now && now <= self.shift.ends_at
    }

    /// Orders that the courier could still take.
    pub(super) fn spare(&self) -> u32 {
        self.shift.capacity.saturating_sub(self.orders + self.reserved)
    }

    pub(crate) fn view(&self, id: &CourierId) -> CourierView {
        CourierView {
            id: id.clone(),
            zone: self.shift.zone.clone(),
            location: self.location,
            starts_at: self.shift.starts_at,
            ends_at: self.shift.ends_at,
            capacity: self.shift.capacity,
            auto_accept: self.shift.auto_accept,
            orders: self.orders,
            seen_at: self.seen_at,
        }
    }
}
