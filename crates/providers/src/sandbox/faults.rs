//! What goes wrong on purpose.
//!
//! A platform is only as good as its worst partner, so the sandbox can be one: it can be away,
//! slow, unwilling, or do the work and lose the answer, which is the one that charges customers
//! twice. Probabilities are per operation, can be changed while everything runs, and come from a
//! seed, so that a run can be repeated.
//!
//! A *refusal* is drawn from the seed and the order, not from the dice: a service that says no
//! says no again when asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::provider::Failure;
use steadfast_time::Clock;

use crate::Operation;
use crate::limits::DELAY_MAX;

/// How likely something is, from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Probability(f64);

/// The number is not a probability.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a probability between 0 and 1")]
pub struct ProbabilityError(f64);

impl Probability {
    /// 0.
    pub const NEVER: Self = Self(0.0);
    /// 1.
    pub const ALWAYS: Self = Self(1.0);

    /// # Errors
    /// The number is not between 0 and 1, both included.
    pub fn new(number: f64) -> Result<Self, ProbabilityError> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(ProbabilityError(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = ProbabilityError;

    fn try_from(number: f64) -> Result<Self, ProbabilityError> {
        Self::new(number)
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

/// How long a service takes before it works: a least time, plus an exponentially distributed
/// one, cut at a most. That is the shape of a service with a queue in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delay {
    /// Never shorter.
    #[serde(rename = "least_ms", with = "millis")]
    pub least: Duration,
    /// The mean of what comes on top.
    #[serde(rename = "mean_extra_ms", with = "millis")]
    pub mean_extra: Duration,
    /// Never longer. Also never longer than [`DELAY_MAX`].
    #[serde(rename = "most_ms", with = "millis")]
    pub most: Duration,
}

mod millis {
    use super::{Deserialize, Duration};

    pub(super) fn serialize<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        d: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

impl Delay {
    /// Always the same.
    #[must_use]
    pub const fn fixed(length: Duration) -> Self {
        Self { least: length, mean_extra: Duration::ZERO, most: length }
    }

    fn draw(self, rng: &mut Rng) -> Duration {
        // Inverse transform: −mean · ln(1 − u), with u in [0, 1).
        let extra = -self.mean_extra.as_secs_f64() * (1.0 - rng.f64()).ln();
        let extra = Duration::try_from_secs_f64(extra).unwrap_or(DELAY_MAX);
        self.least.saturating_add(extra).min(self.most).min(DELAY_MAX)
    }
}

/// What may go wrong with one operation. Nothing, unless told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// It fails before the work: the caller knows that nothing happened.
    pub unavailable: Probability,
    /// It refuses with code [`super::code::REFUSED_ON_PURPOSE`]; the same orders each time.
    pub refuse: Probability,
    /// The work is done and the answer is lost: the caller knows nothing.
    pub lose_reply: Probability,
    /// How long it takes before it works.
    pub delay: Delay,
}

struct State {
    rng: Rng,
    plans: BTreeMap<Operation, Plan>,
}

/// The handle on what goes wrong. Clones are the same; change it while everything runs.
#[derive(Clone)]
pub struct Faults {
    seed: u64,
    state: Arc<Mutex<State>>,
}

/// What is decided for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    delay: Duration,
    unavailable: bool,
    lose_reply: bool,
    refuse: bool,
}

impl Faults {
    /// Nothing goes wrong until [`Faults::set`].
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let state = State { rng: Rng::with_seed(seed), plans: BTreeMap::new() };
        Self { seed, state: Arc::new(Mutex::new(state)) }
    }

    /// Changes the plan of one operation, from the next call on.
    pub fn set(&self, operation: Operation, plan: Plan) {
        self.state().plans.insert(operation, plan);
    }

    /// Changes the plan of every operation.
    pub fn set_all(&self, plan: Plan) {
        self.state().plans.extend(Operation::ALL.map(|operation| (operation, plan)));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.state().plans.clear();
    }

    /// The plan of one operation.
    #[must_use]
    pub fn plan(&self, operation: Operation) -> Plan {
        self.state().plans.get(&operation).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, operation: Operation, order: OrderId) -> Option<Fate> {
        let mut state = self.state();
        let State { rng, plans } = &mut *state;
        let plan = plans.get(&operation)?;
        // Always the same number of draws, so that one probability does not shift the others.
        let delay = plan.delay.draw(rng);
        let unavailable = rng.f64() < plan.unavailable.get();
        let lose_reply = rng.f64() < plan.lose_reply.get();
        let refuse = self.opinion(operation, order) < plan.refuse.get();
        Some(Fate { delay, unavailable, lose_reply, refuse })
    }

    /// A number in `[0, 1)` that belongs to the operation, the order and the seed.
    fn opinion(&self, operation: Operation, order: OrderId) -> f64 {
        let (high, low) = order.0.as_u64_pair();
        let mixed = self.seed ^ high.rotate_left(17) ^ low ^ ((operation as u64) << 56);
        Rng::with_seed(mixed).f64()
    }

    /// Runs the work of a call as fate has it. The work is told whether it must refuse.
    pub(super) async fn around<T, F>(
        &self,
        clock: &Clock,
        operation: Operation,
        order: OrderId,
        work: impl FnOnce(bool) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let Some(fate) = self.fate(operation, order) else {
            return work(false).await;
        };
        if !fate.delay.is_zero() {
            clock.sleep(fate.delay).await;
        }
        if fate.unavailable {
            return Err(Failure::unavailable("injected fault: away"));
        }
        let result = work(fate.refuse).await;
        if fate.lose_reply {
            return Err(Failure::Unknown {
                reason: "injected fault: the answer is lost".to_owned(),
            });
        }
        result
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("plans", &self.state().plans).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use steadfast_time::Uuid;

    use super::*;

    fn order(number: u128) -> OrderId {
        OrderId(Uuid::from_u128(number))
    }

    fn half() -> Plan {
        let half = Probability::new(0.5).unwrap();
        let delay = Delay {
            least: Duration::from_millis(5),
            mean_extra: Duration::from_millis(20),
            most: Duration::from_millis(100),
        };
        Plan { unavailable: half, refuse: half, lose_reply: half, delay }
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        let run = |seed| {
            let faults = Faults::seeded(seed);
            faults.set_all(half());
            let draw = |n| faults.fate(Operation::Capture, order(n)).unwrap();
            (0..64).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_refusal_belongs_to_the_order() {
        let faults = Faults::seeded(1);
        faults.set(Operation::Reserve, half());
        let refuse = |n| faults.fate(Operation::Reserve, order(n)).unwrap().refuse;
        let first: Vec<bool> = (0..1_000).map(refuse).collect();
        let again: Vec<bool> = (0..1_000).map(refuse).collect();
        assert_eq!(first, again);
        let refused = first.iter().filter(|refused| **refused).count();
        assert!((400..600).contains(&refused), "{refused} of 1,000 at one half");
    }

    #[test]
    fn delays_keep_their_bounds_and_their_mean() {
        let mut rng = Rng::with_seed(1);
        let delay = half().delay;
        let draws: Vec<Duration> = (0..20_000).map(|_| delay.draw(&mut rng)).collect();
        assert!(draws.iter().all(|d| (delay.least..=delay.most).contains(d)));
        let mean = draws.iter().sum::<Duration>() / 20_000;
        // The cut at 100 ms takes 20·e^(−95/20) ≈ 0.17 ms off the mean of 25 ms.
        assert!(
            mean.abs_diff(Duration::from_micros(24_830)) < Duration::from_micros(600),
            "{mean:?}"
        );
        let fixed = Delay::fixed(Duration::from_millis(7));
        assert_eq!(fixed.draw(&mut rng), Duration::from_millis(7));
    }

    #[test]
    fn plans_are_per_operation_and_can_end() {
        let faults = Faults::seeded(1);
        faults.set(Operation::Void, half());
        assert_eq!(faults.plan(Operation::Capture), Plan::default());
        assert!(faults.fate(Operation::Capture, order(1)).is_none());
        faults.clear();
        assert!(faults.fate(Operation::Void, order(1)).is_none());
    }

    #[test]
    fn plans_are_read_as_json_with_units_and_bounds() {
        let plan: Plan = serde_json::from_str(
            r#"{"lose_reply": 0.25, "delay": {"least_ms": 5, "mean_extra_ms": 20, "most_ms": 100}}"#,
        )
        .unwrap();
        assert_eq!(plan.delay, half().delay);
        assert_eq!(plan.lose_reply.get(), 0.25);
        for bad in [r#"{"refuse": 1.5}"#, r#"{"refuse": -0.1}"#, r#"{"refuze": 1}"#] {
            assert!(serde_json::from_str::<Plan>(bad).is_err(), "{bad}");
        }
        assert!(Probability::new(f64::NAN).is_err());
    }
}
