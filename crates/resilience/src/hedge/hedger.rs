//! The gates, for many threads.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Call, Delay, Figures, Gate, Options, Withheld};
use crate::deadline::{Context, Deadline};
use crate::latency::{self, Cached, UNKNOWN};
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::window::{nanos, nanos_in};
use crate::{Invalid, Share, budget};

/// How old what is known of calls may be.
pub const REFRESH: Duration = Duration::from_millis(100);

/// What hedges are paid from.
///
/// Implemented by a pair of closures, for example
/// `(|now| objective.left(now), |now| budget.take(now))`.
pub trait Means {
    /// What is left of the error budget.
    fn error_budget(&self, now: Monotonic) -> Share;

    /// Takes one attempt from the budget that hedges share with retries. Called while the hedger
    /// decides, under its lock: it must not ask the hedger anything.
    ///
    /// # Errors
    /// Nothing is left.
    fn take(&self, now: Monotonic) -> Result<(), budget::Spent>;
}

impl<E, T> Means for (E, T)
where
    E: Fn(Monotonic) -> Share,
    T: Fn(Monotonic) -> Result<(), budget::Spent>,
{
    fn error_budget(&self, now: Monotonic) -> Share {
        (self.0)(now)
    }

    fn take(&self, now: Monotonic) -> Result<(), budget::Spent> {
        (self.1)(now)
    }
}

/// Decides which calls of one dependency get a second attempt. Share it in an
/// [`Arc`](std::sync::Arc) among all of them.
///
/// It does not count calls in the retry budget ([`crate::budget::Budget::deposit`]); whoever makes
/// the calls does, once for both.
#[derive(Debug)]
pub struct Hedger {
    options: Options,
    /// How long first attempts take until they are answered.
    latency: latency::Shared,
    /// Observed, median, p95, delay.
    figures: Cached<4>,
    /// Calls that the gate has not been told of.
    pending: Padded<AtomicU64>,
    gate: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    gate: Gate,
    /// When it was last told.
    since: Monotonic,
}

/// What was decided when a call began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    started: Monotonic,
    repeatable: bool,
    repeated: bool,
    deadline: Option<Deadline>,
    after: Result<Duration, Withheld>,
    /// From when on the call is slow enough to say why it got no hedge.
    slow: Duration,
}

impl Plan {
    /// Whether the call may get a second attempt, so that its request has to be copied.
    #[must_use]
    pub const fn may_hedge(&self) -> bool {
        self.after.is_ok()
    }

    /// After how long, or why not.
    ///
    /// # Errors
    /// It gets none.
    pub const fn after(&self) -> Result<Duration, Withheld> {
        self.after
    }

    /// When the call began.
    #[must_use]
    pub const fn started(&self) -> Monotonic {
        self.started
    }

    /// Why a call that is answered only now got no second attempt; `None` if it was not slow, or
    /// was to get one.
    pub(crate) fn withheld(&self, now: Monotonic) -> Option<Withheld> {
        self.after.err().filter(|_| now - self.started > self.slow)
    }

    fn call(&self, now: Monotonic) -> Call {
        let Self { repeatable, repeated, deadline, .. } = *self;
        Call { repeatable, repeated, left: deadline.map(|deadline| deadline.left(now)) }
    }
}

impl Hedger {
    /// One that has observed nothing.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        let gate = Gate::new(options)?;
        Ok(Self {
            options,
            latency: latency::Shared::new(options.lately)?,
            figures: Cached::new(),
            pending: Padded(AtomicU64::new(0)),
            gate: Mutex::new(Counted { gate, since: Monotonic::default() }),
        })
    }

    /// Counts a call that begins, and says whether it may be hedged and after how long.
    #[must_use]
    pub fn plan(&self, now: Monotonic, repeatable: bool, context: Context) -> Plan {
        let figures = self.figures(now);
        self.pending.0.fetch_add(1, Ordering::Relaxed);
        let mut plan = Plan {
            started: now,
            repeatable,
            repeated: context.repeated,
            deadline: context.deadline,
            after: Ok(Duration::ZERO),
            slow: figures.delay.unwrap_or_default().max(self.options.p95_above),
        };
        plan.after = Gate::plan(&self.options, &figures, plan.call(now));
        plan
    }

    /// Whether a call whose delay is over gets its second attempt now; if so, it is counted.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn issue(&self, now: Monotonic, plan: &Plan, means: &impl Means) -> Result<(), Withheld> {
        let figures = self.figures(now);
        let error_budget = means.error_budget(now);
        let mut counted = lock(&self.gate);
        self.hand_over(now, &mut counted);
        counted.gate.issue(now, &figures, plan.call(now), error_budget, || means.take(now))
    }

    /// The first attempt was answered: counts how long that took. Failures are not to be counted.
    pub fn answered(&self, now: Monotonic, plan: &Plan) {
        self.latency.record(now, now - plan.started);
    }

    /// The second attempt was answered first. How long the first would have taken nobody knows
    /// now, but it belongs to the slow ones, and counts as one: as long as it did take, and as p95
    /// at least. Otherwise hedging would hide the very slowness that it is there for.
    pub fn overtaken(&self, now: Monotonic, plan: &Plan) {
        let p95 = self.figures(now).p95.unwrap_or_default();
        self.latency.record(now, p95.max(now - plan.started));
    }

    /// Of the calls lately, how many were hedged (`hedged_share`).
    #[must_use]
    pub fn share(&self, now: Monotonic) -> Share {
        let mut counted = lock(&self.gate);
        self.hand_over(now, &mut counted);
        counted.gate.share(now)
    }

    /// What has been observed lately, as of [`REFRESH`] ago at most.
    #[must_use]
    pub fn figures(&self, now: Monotonic) -> Figures {
        let figures = self.figures.get(nanos(now), nanos_in(REFRESH), || {
            self.hand_over(now, &mut lock(&self.gate));
            let all = self.latency.read(now).all;
            let delay = match self.options.delay {
                Delay::Quantile(share) => share,
                Delay::Fixed(_) => Share::percent(95),
            };
            let quantile = |share| all.quantile(share).map_or(UNKNOWN, nanos_in);
            let half = quantile(Share::percent(50));
            [all.count(), half, quantile(Share::percent(95)), quantile(delay)]
        });
        let [observed, median, p95, delay] = figures;
        let known = |figure| (figure != UNKNOWN).then(|| Duration::from_nanos(figure));
        let observed = if observed == UNKNOWN { 0 } else { observed };
        Figures { observed, median: known(median), p95: known(p95), delay: known(delay) }
    }

    /// Counts a first attempt's time, as [`Hedger::answered`] does.
    #[cfg(all(test, steadfast_loom))]
    pub(super) fn seen(&self, now: Monotonic, took: Duration) {
        self.latency.record(now, took);
    }

    /// Counts calls, as [`Hedger::plan`] does.
    #[cfg(all(test, steadfast_loom))]
    pub(super) fn called(&self, now: Monotonic, calls: u64) {
        lock(&self.gate).gate.called(now, calls);
    }

    /// Tells the gate of the calls since it was last told, as of then.
    fn hand_over(&self, now: Monotonic, counted: &mut Counted) {
        let since = std::mem::replace(&mut counted.since, now);
        let calls = self.pending.0.swap(0, Ordering::Relaxed);
        counted.gate.called(since, calls);
    }
}
