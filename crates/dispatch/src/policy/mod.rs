//! Who carries which order: the assignment policies.
//!
//! **Why a policy is a pure function.** A dispatcher that is restarted, that loses its lease, or
//! whose write is refused must be able to decide again and must be able to say afterwards why it
//! decided so. A policy therefore sees one [`Snapshot`] and answers with one [`Plan`]: no clock,
//! no I/O, no memory between calls, no randomness but that of a fixed seed. The same snapshot
//! gives the same plan, byte for byte; ties are broken by the order of the snapshot's vectors,
//! never by hash order or by generated identifiers.
//!
//! **What a policy decides.** The problem is the *meal delivery routing problem* of Reyes, Erera,
//! Savelsbergh, Sahasrabudhe and O'Neil (2018): orders appear over time, each with a merchant and
//! a time at which it is ready; a courier carries orders of one merchant together, waits where
//! the last one was delivered, and is never redirected. A plan holds only the trips that must be
//! started *now*; whatever can wait is left to the next tick, which knows more.
//!
//! | policy | decides | use |
//! |---|---|---|
//! | [`Nearest`] | each order at once, the nearest free courier | a base line, and a fallback |
//! | [`Batch`] | all known orders and couriers of the near future together | the default |
//!
//! **How to call one.** Build a snapshot, call [`Policy::plan`], run [`Plan::check`] against the
//! same snapshot, and commit. The check shares no code with the policies except [`trip_times`],
//! so that a mistake in a search is a typed error at the door and not a courier sent twice.
//!
//! **Limits.** All times are whole seconds on an origin of the caller's choice, all positions of
//! one snapshot are of one kind (planar metres or degrees, see [`Metric`]).

mod batch;
mod nearest;
mod plan;
mod snapshot;
mod travel;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod properties;

pub use batch::{Batch, Options};
pub use nearest::Nearest;
pub use plan::{Error, Plan, Trip, TripTimes, trip_times};
pub use snapshot::{CandidateCourier, ServiceTimes, Snapshot, WaitingOrder};
pub use travel::{Metric, Point, Rounding, Travel};

/// Decides which couriers start which trips.
///
/// Implementations are deterministic: equal snapshots give equal plans. They never fail; a
/// snapshot that allows nothing gives an empty plan.
pub trait Policy: Send + Sync {
    /// The name used in configuration, metrics and reports.
    fn name(&self) -> &'static str;

    /// The trips to start at `snapshot.now_s`. A plan of the policies in this module always
    /// passes [`Plan::check`] against the same snapshot.
    fn plan(&self, snapshot: &Snapshot) -> Plan;
}
