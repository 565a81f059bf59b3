//! One variant of a scenario, under one seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::Error;
use crate::fault::{self, Planned};
use crate::run::Watch;
use crate::scenario::{Load, Scenario, Section, Variant};

/// What a system is to run.
pub struct Trial<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Which variant of it.
    pub variant: &'a Variant,
    /// Everything random comes from it.
    pub seed: u64,
    /// How long it takes, in the system's time.
    pub duration: Duration,
    /// How the system is used.
    pub load: Load,
    /// The variant's settings over the scenario's.
    pub settings: Section,
    /// The nodes that faults can hit.
    pub nodes: Vec<String>,
    /// What goes wrong, in order of time.
    pub schedule: Vec<Planned>,
    watch: &'a dyn Watch,
}

impl<'a> Trial<'a> {
    /// A variant under a seed.
    #[must_use]
    pub fn new(
        scenario: &'a Scenario,
        variant: &'a Variant,
        seed: u64,
        duration: Duration,
        watch: &'a dyn Watch,
    ) -> Self {
        let settings = scenario.settings_of(variant);
        let nodes = scenario.system.prepare(scenario.load, &settings.reader());
        let planned = planned(scenario, duration);
        let schedule = fault::schedule(&planned, &scenario.drawn, &nodes, duration, seed);
        let load = scenario.load;
        Self { scenario, variant, seed, duration, load, settings, nodes, schedule, watch }
    }

    /// Randomness for one purpose. Another purpose draws from another sequence, so that adding a
    /// draw to one leaves the others as they are.
    #[must_use]
    pub fn rng(&self, purpose: &str) -> Rng {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in purpose.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Rng::with_seed(self.seed ^ hash)
    }

    /// Says how much of the trial is done.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when it must not go on.
    pub fn progress(&self, done: Duration) -> Result<(), Error> {
        let share = done.as_secs_f64() / self.duration.as_secs_f64().max(f64::MIN_POSITIVE);
        self.watch.progress(share.clamp(0.0, 1.0));
        if self.watch.is_interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Whether it must not go on.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.watch.is_interrupted()
    }
}

/// The faults that are written out, at their place in a trial of this length.
fn planned(scenario: &Scenario, duration: Duration) -> Vec<Planned> {
    let share = duration.as_secs_f64() / scenario.duration.as_secs_f64().max(f64::MIN_POSITIVE);
    let planned = scenario.faults.iter().cloned();
    if !scenario.scale_faults || duration == scenario.duration {
        return planned.collect();
    }
    let scaled = |fault: Planned| {
        // The end, not the length: what ends when another begins must do so here, too.
        let at = fault.at.mul_f64(share);
        let length = fault.length.map(|length| (fault.at + length).mul_f64(share) - at);
        Planned { at, length, ..fault }
    };
    planned.map(scaled).collect()
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("scenario", &self.scenario.name)
            .field("variant", &self.variant.name)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
