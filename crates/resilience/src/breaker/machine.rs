//! The rule, as a state machine: no clock, no lock, no task.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::past::Past;
use super::{Cause, Counts, Forced, Options, Refused, Snapshot, State, Transition};
use crate::limits::BREAKER_COME_BACK;
use crate::window::{nanos, nanos_in};
use crate::{Invalid, Share};

/// Leave to make one call. It is given back with the outcome, or with word that there is none.
#[must_use = "a probe that is neither recorded nor cancelled keeps its place until it times out"]
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// In nanoseconds since the clock's start; means nothing where slow calls are not looked for.
    pub(super) started: u64,
    /// Between which two changes of state it was given. Outcomes of an earlier period are not
    /// counted in a later one.
    pub(super) period: u32,
    pub(super) probe: bool,
}

impl Grant {
    /// Whether this call is to find out if the circuit may close.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe
    }
}

/// What came of asking for leave, and the change of state that asking has caused.
pub type Acquired = (Result<Grant, Refused>, Option<Transition>);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    /// Until then, in nanoseconds since the clock's start.
    Open(u64),
    HalfOpen(Probes),
    ForcedOpen,
    ForcedClosed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    out: u32,
    answered: Counts,
    /// When the last one went out, in nanoseconds since the clock's start.
    last: u64,
}

impl Probes {
    const fn taken(&self) -> u64 {
        self.answered.calls + self.out as u64
    }
}

/// A circuit breaker: `(state, now, input) → decision`.
#[derive(Clone, Debug)]
pub struct Machine {
    options: Options,
    phase: Phase,
    period: u32,
    since: Monotonic,
    past: Past,
    opened: u64,
    budget_spent: u64,
}

impl Machine {
    /// A closed breaker that has seen nothing yet.
    ///
    /// # Errors
    /// The options make no sense: see [`Options::check`].
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self {
            options,
            phase: Phase::Closed,
            period: 0,
            since: Monotonic::default(),
            past: Past::new(options.window),
            opened: 0,
            budget_spent: 0,
        })
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open(_) => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::ForcedClosed => State::ForcedClosed,
        }
    }

    /// Asks for leave to make a call now. The first to ask after the wait turns it half-open.
    pub fn acquire(&mut self, now: Monotonic) -> Acquired {
        let at = nanos(now);
        let mut changed = None;
        if let Phase::Open(until) = self.phase
            && at >= until
        {
            changed = Some(self.enter(now, Phase::HalfOpen(Probes::default()), Cause::WaitOver));
        } else if let Phase::HalfOpen(mut probes) = self.phase
            && self.probe_deadline().is_some_and(|until| at >= until)
        {
            probes.answered.calls += u64::from(probes.out);
            probes.answered.failed += u64::from(probes.out);
            changed = Some(self.conclude(now, probes.answered));
        }
        (self.admit(at), changed)
    }

    fn admit(&mut self, at: u64) -> Result<Grant, Refused> {
        let retry_after = match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => {
                return Ok(Grant { started: at, period: self.period, probe: false });
            }
            Phase::HalfOpen(probes) if probes.taken() < u64::from(self.options.probes) => {
                probes.out += 1;
                probes.last = probes.last.max(at);
                return Ok(Grant { started: at, period: self.period, probe: true });
            }
            Phase::HalfOpen(_) => self.probe_deadline().map(|until| come_back(at, until)),
            Phase::Open(until) => Some(Duration::from_nanos(until.saturating_sub(at))),
            Phase::ForcedOpen => None,
        };
        Err(Refused { state: self.state(), retry_after })
    }

    /// Tells what came of a call. Neither an outcome from before the last change of state nor a
    /// late one while it is open counts.
    pub fn record(&mut self, now: Monotonic, grant: Grant, failed: bool) -> Option<Transition> {
        if grant.period != self.period {
            return None;
        }
        let took = Duration::from_nanos(nanos(now).saturating_sub(grant.started));
        let slow = self.options.slow_call.is_some_and(|limit| took > limit);
        match &mut self.phase {
            Phase::Closed => {
                self.past.record(now, failed, slow);
                self.judge().map(|cause| self.open(now, cause))
            }
            Phase::ForcedClosed => {
                self.past.record(now, failed, slow);
                None
            }
            Phase::HalfOpen(probes) => {
                probes.out = probes.out.saturating_sub(1);
                probes.answered.calls += 1;
                probes.answered.failed += u64::from(failed);
                probes.answered.slow += u64::from(slow);
                let answered = probes.answered;
                let all = answered.calls == u64::from(self.options.probes);
                all.then(|| self.conclude(now, answered))
            }
            Phase::Open(_) | Phase::ForcedOpen => None,
        }
    }

    /// Tells that nothing came of a call, neither good nor bad: it was given up, or never made. A
    /// probe's place is free again.
    pub fn cancel(&mut self, grant: Grant) {
        if let Phase::HalfOpen(probes) = &mut self.phase
            && grant.period == self.period
        {
            probes.out = probes.out.saturating_sub(1);
        }
    }

    /// Tells that the retry budget is spent. Counted; it opens a closed breaker that was set to
    /// ([`Options::open_when_budget_spent`]).
    pub fn budget_spent(&mut self, now: Monotonic) -> Option<Transition> {
        self.budget_spent += 1;
        if self.options.open_when_budget_spent && matches!(self.phase, Phase::Closed) {
            self.past.slide(now);
            let cause = Cause::BudgetSpent(self.past.counts());
            return Some(self.open(now, cause));
        }
        None
    }

    /// Takes the judgement out of its hands, or gives it back.
    pub fn force(&mut self, now: Monotonic, forced: Forced) -> Option<Transition> {
        let to = match (forced, self.phase) {
            (Forced::Open, Phase::ForcedOpen) | (Forced::Closed, Phase::ForcedClosed) => {
                return None;
            }
            (Forced::Open, _) => Phase::ForcedOpen,
            (Forced::Closed, _) => Phase::ForcedClosed,
            (Forced::Auto, Phase::ForcedOpen) => Phase::HalfOpen(Probes::default()),
            (Forced::Auto, Phase::ForcedClosed) => Phase::Closed,
            (Forced::Auto, _) => return None,
        };
        Some(self.enter(now, to, Cause::Forced))
    }

    /// How it stands now.
    pub fn snapshot(&mut self, now: Monotonic) -> Snapshot {
        if matches!(self.phase, Phase::Closed | Phase::ForcedClosed) {
            self.past.slide(now);
        }
        let (mut counts, mut probes_out, mut next_probe) = (self.past.counts(), 0, None);
        match self.phase {
            Phase::Open(until) => {
                next_probe = Some(Duration::from_nanos(until.saturating_sub(nanos(now))));
            }
            Phase::HalfOpen(probes) => (counts, probes_out) = (probes.answered, probes.out),
            Phase::Closed | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
        Snapshot {
            state: self.state(),
            since: self.since,
            counts,
            probes_out,
            next_probe,
            opened: self.opened,
            budget_spent: self.budget_spent,
        }
    }

    /// Which of the rates the window has reached.
    fn judge(&self) -> Option<Cause> {
        let counts = self.past.counts();
        let enough = counts.calls >= u64::from(self.options.minimum_calls);
        if enough { self.reached(counts) } else { None }
    }

    fn reached(&self, counts: Counts) -> Option<Cause> {
        let Options { failure_rate, slow_call, slow_call_rate, .. } = self.options;
        if Share::of(counts.failed, counts.calls) >= failure_rate {
            return Some(Cause::Failures(counts));
        }
        let slow = slow_call.is_some() && Share::of(counts.slow, counts.calls) >= slow_call_rate;
        slow.then_some(Cause::SlowCalls(counts))
    }

    fn conclude(&mut self, now: Monotonic, answered: Counts) -> Transition {
        if self.reached(answered).is_some() {
            self.open(now, Cause::FailedProbes(answered))
        } else {
            self.enter(now, Phase::Closed, Cause::Probes(answered))
        }
    }

    fn open(&mut self, now: Monotonic, cause: Cause) -> Transition {
        self.opened += 1;
        let until = nanos(now).saturating_add(nanos_in(self.options.open_for));
        self.enter(now, Phase::Open(until), cause)
    }

    fn enter(&mut self, now: Monotonic, to: Phase, cause: Cause) -> Transition {
        let from = self.state();
        self.phase = to;
        self.period = self.period.wrapping_add(1);
        self.since = now;
        if matches!(to, Phase::Closed | Phase::ForcedClosed) {
            self.past.clear();
        }
        let next_probe = matches!(to, Phase::Open(_)).then_some(self.options.open_for);
        Transition { from, to: self.state(), cause, next_probe }
    }
}

/// What the shell shows to those who do not take the lock.
impl Machine {
    pub(super) const fn period(&self) -> u32 {
        self.period
    }

    /// Whether another good call in the newest slice would change nothing at all.
    pub(super) const fn is_clean(&self) -> bool {
        self.past.is_clean()
    }

    /// Whether another good call in the newest slice would change no decision: it can only lower
    /// the rates, and there are calls enough for a judgement already.
    pub(super) fn is_steady(&self) -> bool {
        match self.phase {
            Phase::ForcedClosed => true,
            Phase::Closed => {
                let counts = self.past.counts();
                let enough = counts.calls >= u64::from(self.options.minimum_calls);
                enough && self.reached(counts).is_none()
            }
            Phase::Open(_) | Phase::HalfOpen(_) | Phase::ForcedOpen => false,
        }
    }

    /// Adds good calls to the newest slice that were counted elsewhere while it was steady.
    pub(super) fn record_good(&mut self, calls: u32) {
        self.past.record_good(calls);
    }

    pub(super) const fn same_slice_until(&self) -> u64 {
        self.past.same_slice_until()
    }

    /// Until when no call is let through, in nanoseconds since the clock's start, if it is open.
    pub(super) const fn open_until(&self) -> Option<u64> {
        if let Phase::Open(until) = self.phase { Some(until) } else { None }
    }

    /// When unanswered probes count as failed, in nanoseconds since the clock's start, if all are
    /// taken.
    pub(super) fn probe_deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::HalfOpen(probes) if probes.taken() >= u64::from(self.options.probes) => {
                Some(probes.last.saturating_add(nanos_in(self.options.probe_timeout)))
            }
            _ => None,
        }
    }
}

/// What somebody is told who comes while all probes are out.
pub(super) fn come_back(at: u64, until: u64) -> Duration {
    Duration::from_nanos(until.saturating_sub(at)).min(BREAKER_COME_BACK)
}
