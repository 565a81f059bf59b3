//! All orders and couriers of the near future, planned together: a rolling search.
//!
//! **Why.** The nearest free courier is the wrong one as soon as couriers are scarce: he may be
//! the only one who can reach the next order, or be off in ten minutes, and the better courier
//! may be busy for two minutes more. What helps, in order of effect on the recorded days: wait
//! with an instruction until it has to be given; count the couriers who will be free soon; carry
//! orders of one merchant together; plan several trips ahead and know what a courier's time and
//! place are worth at the end of them.
//!
//! **How.** Each decision plans from nothing, so it needs no memory:
//!
//! 1. [`instance`]: the orders ready within the look-ahead, the couriers free within the horizon,
//!    and a table of all travel times between them.
//! 2. [`insertion`]: each order, the first ready first, is put where it costs least: a trip
//!    of its own anywhere in a courier's route, or any place of a trip of its merchant.
//! 3. [`search`]: ruin and recreate (Schrimpf et al. 2000; Christiaens and Vanden Berghe 2020):
//!    take out an order that is due soon and some that are near it in place and time, put them
//!    back in another sequence, keep the plan if it is not worse than a threshold that falls to
//!    zero (threshold accepting, Dueck and Scheuer 1990).
//! 4. [`commit`]: of each courier's route only the first trip, and only if the courier may be
//!    instructed and the trip can not wait for the next decision, becomes part of the plan.
//!
//! **What is minimised.** The sum of all drop-off times, plus for each courier a share
//! ([`Options::share_permille`], larger the more orders wait) of the time at which he can be
//! useful again: the end of his route and the mean drive from there to the merchants of the
//! waiting orders, but never more than the end of his shift, for after that his time is worth
//! nothing. Couriers who are about to leave, and those who wait far from where orders are, are
//! thus used first. An order that is in no route costs [`search::UNSERVED`].
//!
//! **Why no matching library.** A minimum-cost matching (Reyes et al. 2018) gives each courier
//! one trip and needs the trips beforehand. Insertion with ruin and recreate decides bundles,
//! sequences and couriers together, several trips ahead; a matching as first solution would
//! only be taken apart again.
//!
//! **Limits.** [`Options`] bounds orders, couriers, trips and rounds. All costs are integers, so
//! no plan depends on how a processor rounds, except for the sines in great-circle distances.

mod commit;
mod insertion;
mod instance;
mod options;
mod route;
mod search;

use super::{Plan, Policy, Snapshot};
use instance::Instance;
pub use options::Options;
use search::Search;

/// The rolling search: insertion, then ruin and recreate, over the orders and couriers of the near
/// future; only what can not wait is instructed.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    options: Options,
}

impl Batch {
    /// A policy with these parameters.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The parameters.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

impl Policy for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn plan(&self, snapshot: &Snapshot) -> Plan {
        let instance = Instance::new(snapshot, &self.options);
        let mut search = Search::new(&instance, &self.options);
        search.run();
        commit::due(snapshot, &instance, search.routes(), self.options.tick_s)
    }
}

#[cfg(test)]
mod tests;
