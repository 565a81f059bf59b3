//! All of it in the right order, from one set of options.
//!
//! Each part of this crate can be used alone; what is easily got wrong is their order. A retry
//! outside the breaker hammers an open circuit, a bulkhead outside the retry is held through
//! every pause, a timeout outside the retry leaves nothing for the second attempt. [`Policy`]
//! puts them together once:
//!
//! ```text
//! call ─► deadline ─► retry, paid from the budget ─► hedge, paid from the same
//!                        each attempt: ─► bulkhead ─► limit ─► breaker ─► timeout ─► the call
//! ```
//!
//! - **The deadline first**: what cannot be done in time is not begun, and each attempt sees what
//!   is left of it in its [`Context`](crate::deadline::Context).
//! - **The budget before the pause**: a retry is counted when it is decided on, so that a thousand
//!   callers who wait in their backoff are not a surprise. When it is spent the breaker is told.
//! - **The bulkhead for each attempt**, not held through pauses; **the breaker after it**, so that
//!   a probe does not queue; **the timeout innermost**, so that waiting for a place is not taken
//!   for slowness of the other side.
//!
//! [`Policy::call`] makes a call with it; `Layer` (feature `tower`) puts it around a service.
//!
//! **When to use it:** for each dependency one policy, kept as long as the process lives and
//! cloned to whoever calls. **When not:** for work that must be done in the end whatever happens;
//! that wants a durable record and a timer, and at most asks this policy for each attempt (see
//! [`Request::attempt`]). **What it costs:** see the benchmark `policy`; nothing is allocated for
//! a call that is answered at once.
//!
//! ```
//! use steadfast_resilience::{Class, Classified, policy::Policy};
//! use steadfast_time::sim::Simulation;
//!
//! #[derive(Debug, PartialEq)]
//! struct Away;
//! impl Classified for Away {
//!     fn class(&self) -> Class {
//!         Class::TRANSIENT
//!     }
//! }
//!
//! let mut sim = Simulation::new(1);
//! let stock = Policy::builder("stock").repeatable().build(sim.clock()).unwrap();
//! let reserved = sim.block_on(async move {
//!     stock
//!         .call(async |attempt| if attempt.number < 3 { Err(Away) } else { Ok("r-17") })
//!         .await
//! });
//! assert_eq!(reserved, Ok("r-17"));
//! ```

mod attempt;
mod builder;
mod counters;
mod hedged;
#[cfg(feature = "tower")]
mod layer;
mod options;
mod request;
mod run;
mod snapshot;

use std::fmt;
use std::sync::Arc;

use steadfast_time::Clock;

pub use attempt::Attempt;
pub use builder::Builder;
pub use counters::{Counters, Indicators, Rolling};
#[cfg(feature = "tower")]
pub use layer::{Calling, Layer, Service};
pub use options::Options;
pub use request::Request;
pub use snapshot::Snapshot;

use crate::breaker::{self, Breaker};
use crate::budget::Budget;
use crate::bulkhead::Bulkhead;
use crate::event::{Decision, Events};
use crate::hedge::Hedger;
use crate::limit::Limit;
use crate::retry::{Repeatable, Retry};
use crate::timeout::Timeout;
use crate::{ByError, Classified, Error, objective};

/// Everything that stands between a caller and one dependency. Clones are the same policy.
#[derive(Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    /// Whether calls may be repeated that say nothing about it.
    repeatable: bool,
    events: Events,
    clock: Clock,
    timeout: Option<Timeout>,
    retry: Option<Retry>,
    budget: Option<Arc<Budget>>,
    breaker: Option<Breaker>,
    bulkhead: Option<Bulkhead>,
    limit: Option<Limit>,
    hedger: Option<Hedger>,
    objective: Option<objective::Shared>,
    counters: counters::Shared,
}

impl Policy {
    /// A policy for the dependency of this name, with the default options until told otherwise.
    pub fn builder(name: impl Into<Arc<str>>) -> Builder {
        Builder::new(name.into())
    }

    /// Makes a call: `call` is called once for each attempt.
    ///
    /// Whether it may be repeated is what [`Builder::repeatable`] says; see [`Policy::request`] for
    /// calls that differ.
    ///
    /// # Errors
    /// The call's own error, after whatever retries were due; or a policy's: see [`Error`].
    pub fn call<T, E, F, Fut>(&self, call: F) -> impl Future<Output = Result<T, Error<E>>>
    where
        E: Classified,
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.request().call(call)
    }

    /// A call about which there is more to say.
    pub fn request(&self) -> Request<'_, ByError> {
        let marked = if self.inner.repeatable { Repeatable::Marked } else { Repeatable::No };
        Request::new(self, marked)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.inner.events.name()
    }

    /// What it is made of.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.counters.read()
    }

    /// How it stands now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.inner)
    }

    /// Whether a call that may be repeated can ever be.
    #[cfg(feature = "tower")]
    fn repeats(&self) -> bool {
        let Options { retry, hedge, .. } = &self.inner.options;
        hedge.is_some() || retry.is_some_and(|retry| retry.attempts > 1)
    }

    /// Takes the judgement out of the breaker's hands, or gives it back. Says whether there is a
    /// breaker.
    pub fn force_breaker(&self, forced: breaker::Forced) -> bool {
        let Some(breaker) = &self.inner.breaker else { return false };
        let now = self.inner.clock.monotonic();
        self.inner.told(now, breaker.force(now, forced));
        true
    }
}

impl Inner {
    /// Passes a breaker's change of state on, if there is one.
    fn told(&self, now: steadfast_time::Monotonic, changed: Option<breaker::Transition>) {
        if let Some(changed) = changed {
            self.events.emit(now, || Decision::Breaker(changed));
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { options, events, .. } = &*self.inner;
        f.debug_struct("Policy").field("name", events.name()).field("options", options).finish()
    }
}
