//! What can be put under test.
//!
//! A [`System`] is real code with a load that uses it and eyes that watch it: breakers and budgets
//! in front of a failing dependency, workers behind a lease lock, replicas of a register, a whole
//! platform of three nodes. Each says what a scenario may ask of it, so that a scenario is refused
//! before it runs rather than misunderstood.
//!
//! # A new system
//! A folder here, a type that implements [`System`], and a line in [`ALL`]. It reads its settings in
//! [`System::prepare`], runs one trial in [`System::simulate`] on a [`Stage`](crate::sim::Stage), and
//! leaves a history, figures and curves in an [`Observed`]. It judges nothing: what must hold is
//! the scenario's business.

pub mod calls;
pub mod detector;
pub mod lock;
pub mod orders;
pub mod outbox;
pub mod platform;
pub mod register;
pub mod replicas;
pub mod ring;
mod trial;

use std::fmt::Debug;

#[cfg(feature = "real")]
use futures::future::BoxFuture;
use serde::Serialize;

pub use trial::Trial;

use crate::check::Model;
use crate::fault;
use crate::quantity::Unit;
use crate::scenario::{Load, Reader};
use crate::{Error, Observed};

/// A figure that a system measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// Its name, as the sources have it where they name one: `dep.retry_rate`.
    pub name: &'static str,
    /// Of what it is a number.
    pub unit: Unit,
    /// What it means, and how it is counted.
    pub about: &'static str,
}

/// How a system can be run besides being simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Real {
    /// Not at all.
    Never,
    /// As processes.
    Processes,
    /// As processes with a coordination engine between them.
    Coordinated,
}

/// Something that can be put under test.
pub trait System: Debug + Sync {
    /// A scenario's word for it.
    fn name(&self) -> &'static str;

    /// What it is, in a sentence.
    fn about(&self) -> &'static str;

    /// The faults that it can be given.
    fn faults(&self) -> &'static [fault::Kind];

    /// What it measures.
    fn indicators(&self) -> &'static [Indicator];

    /// The models that its histories can be checked against.
    fn models(&self) -> &'static [Model];

    /// How it can be run besides being simulated.
    fn real(&self) -> Real {
        Real::Never
    }

    /// Reads a variant's settings, noting on the reader what is wrong with them, and names the
    /// nodes that faults can hit. Called before anything runs.
    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String>;

    /// Runs a trial on simulated hosts, in one thread. The same trial gives the same result, byte
    /// for byte.
    ///
    /// # Errors
    /// When it cannot be set up, or is interrupted. A violation is no error.
    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error>;

    /// Runs a trial for real: processes, sockets, signals. Leaves nothing running, whatever happens.
    ///
    /// # Errors
    /// As [`System::simulate`]; [`Error::Mode`] when there is nothing real about this system.
    #[cfg(feature = "real")]
    fn perform<'a>(
        &'a self,
        trial: &'a Trial<'a>,
        stage: &'a crate::real::Stage,
    ) -> BoxFuture<'a, Result<Observed, Error>> {
        let _ = (trial, stage);
        let reason = "it is simulated only; run it without --real".to_owned();
        let error = Error::Mode { system: self.name(), mode: "real", reason };
        Box::pin(async move { Err(error) })
    }
}

/// Every system there is.
pub const ALL: &[&dyn System] = &[
    &lock::Lock,
    &ring::Placement,
    &register::Register,
    &detector::Detector,
    &replicas::Replicas,
    &platform::Platform,
    &outbox::DualWrite,
    &orders::Idempotency,
    &calls::Calls,
];

/// The one with that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn System> {
    ALL.iter().copied().find(|system| system.name() == name)
}

/// The seeds under which each system's experiments are tested. An optimised build has the time for
/// ten; `steadfast lab run all --seeds 10` is the same.
#[cfg(test)]
pub(crate) const SEEDS: std::ops::RangeInclusive<u64> =
    if cfg!(debug_assertions) { 1..=2 } else { 1..=10 };
