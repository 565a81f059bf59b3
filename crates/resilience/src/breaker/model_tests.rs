//! The machine and the shared breaker against a list of all calls, counted anew each time.

use std::time::Duration;

use proptest::prelude::*;
use steadfast_time::Monotonic;

use super::shared::Twin;
use super::{
    Breaker, Cause, Counts, Forced, Grant, Machine, Options, Refused, Snapshot, State, Transition,
    Window,
};
use crate::Share;

/// Slices of a time window; written out, so that the model does not copy a mistake.
const SLICES: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Pass {
    period: u64,
    started: u64,
}

/// One call that was let through: what each of the three has given out for it.
struct Call {
    pass: Pass,
    by_machine: Grant,
    by_breaker: Grant,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    slice: u64,
    failed: bool,
    slow: bool,
}

fn count(calls: &[Ended]) -> Counts {
    Counts {
        calls: calls.len() as u64,
        failed: calls.iter().filter(|call| call.failed).count() as u64,
        slow: calls.iter().filter(|call| call.slow).count() as u64,
    }
}

/// The rule once more, in the plainest way.
struct Model {
    options: Options,
    state: State,
    since: Monotonic,
    period: u64,
    /// The calls within the window, and the newest slice that was seen.
    calls: Vec<Ended>,
    newest: u64,
    open_until: u64,
    probes_out: u32,
    answered: Vec<Ended>,
    last_probe: u64,
    opened: u64,
    budget_spent: u64,
}

impl Model {
    fn new(options: Options) -> Self {
        Self {
            options,
            state: State::Closed,
            since: Monotonic::default(),
            period: 0,
            calls: Vec::new(),
            newest: 0,
            open_until: 0,
            probes_out: 0,
            answered: Vec::new(),
            last_probe: 0,
            opened: 0,
            budget_spent: 0,
        }
    }

    fn go(&mut self, now: u64, to: State, cause: Cause) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        self.since = moment(now);
        self.period += 1;
        self.probes_out = 0;
        self.answered.clear();
        if matches!(to, State::Closed | State::ForcedClosed) {
            self.calls.clear();
        }
        let mut next_probe = None;
        if to == State::Open {
            self.opened += 1;
            self.open_until = now + self.options.open_for.as_nanos() as u64;
            next_probe = Some(self.options.open_for);
        }
        Transition { from, to, cause, next_probe }
    }

    fn places_left(&self) -> bool {
        self.probes_out as usize + self.answered.len() < self.options.probes as usize
    }

    fn probe_deadline(&self) -> u64 {
        self.last_probe + self.options.probe_timeout.as_nanos() as u64
    }

    fn acquire(&mut self, now: u64) -> (Result<Pass, Refused>, Option<Transition>) {
        let mut changed = None;
        if self.state == State::Open && now >= self.open_until {
            self.last_probe = 0;
            changed = Some(self.go(now, State::HalfOpen, Cause::WaitOver));
        } else if self.state == State::HalfOpen
            && !self.places_left()
            && now >= self.probe_deadline()
        {
            for _ in 0..self.probes_out {
                self.answered.push(Ended { slice: 0, failed: true, slow: false });
            }
            changed = Some(self.decide(now));
        }
        let refused = |retry_after| Err(Refused { state: self.state, retry_after });
        let pass = Pass { period: self.period, started: now };
        let result = match self.state {
            State::Closed | State::ForcedClosed => Ok(pass),
            State::HalfOpen if self.places_left() => {
                self.probes_out += 1;
                self.last_probe = self.last_probe.max(now);
                Ok(pass)
            }
            State::HalfOpen => {
                let left = Duration::from_nanos(self.probe_deadline() - now);
                refused(Some(left.min(Duration::from_secs(1))))
            }
            State::Open => refused(Some(Duration::from_nanos(self.open_until - now))),
            State::ForcedOpen => refused(None),
        };
        (result, changed)
    }

    fn reached(&self, counts: Counts) -> Option<Cause> {
        let share = |part: u64| part as f64 / counts.calls as f64;
        if share(counts.failed) >= self.options.failure_rate.get() {
            Some(Cause::Failures(counts))
        } else if self.options.slow_call.is_some()
            && share(counts.slow) >= self.options.slow_call_rate.get()
        {
            Some(Cause::SlowCalls(counts))
        } else {
            None
        }
    }

    fn decide(&mut self, now: u64) -> Transition {
        let counts = count(&self.answered);
        if self.reached(counts).is_some() {
            self.go(now, State::Open, Cause::FailedProbes(counts))
        } else {
            self.go(now, State::Closed, Cause::Probes(counts))
        }
    }

    fn slide(&mut self, now: u64) {
        if let Window::Time(length) = self.options.window {
            let step = (length.as_nanos() as u64).div_ceil(SLICES);
            self.newest = self.newest.max(now / step);
            self.calls.retain(|call| call.slice + SLICES > self.newest);
        }
    }

    fn record(&mut self, now: u64, pass: Pass, failed: bool) -> Option<Transition> {
        if pass.period != self.period {
            return None;
        }
        let took = Duration::from_nanos(now.saturating_sub(pass.started));
        let slow = self.options.slow_call.is_some_and(|limit| took > limit);
        if self.state == State::HalfOpen {
            self.probes_out -= 1;
            self.answered.push(Ended { slice: 0, failed, slow });
            let all = self.answered.len() == self.options.probes as usize;
            return all.then(|| self.decide(now));
        }
        self.slide(now);
        self.calls.push(Ended { slice: self.newest, failed, slow });
        if let Window::Count(size) = self.options.window
            && self.calls.len() > size as usize
        {
            self.calls.remove(0);
        }
        let counts = count(&self.calls);
        if self.state == State::Closed && counts.calls >= u64::from(self.options.minimum_calls) {
            return self.reached(counts).map(|cause| self.go(now, State::Open, cause));
        }
        None
    }

    fn cancel(&mut self, pass: Pass) {
        if pass.period == self.period && self.state == State::HalfOpen {
            self.probes_out -= 1;
        }
    }

    fn budget_spent(&mut self, now: u64) -> Option<Transition> {
        self.budget_spent += 1;
        if self.state == State::Closed && self.options.open_when_budget_spent {
            self.slide(now);
            let cause = Cause::BudgetSpent(count(&self.calls));
            return Some(self.go(now, State::Open, cause));
        }
        None
    }

    fn force(&mut self, now: u64, forced: Forced) -> Option<Transition> {
        let to = match forced {
            Forced::Open => State::ForcedOpen,
            Forced::Closed => State::ForcedClosed,
            Forced::Auto if self.state == State::ForcedOpen => State::HalfOpen,
            Forced::Auto if self.state == State::ForcedClosed => State::Closed,
            Forced::Auto => return None,
        };
        self.last_probe = 0;
        (to != self.state).then(|| self.go(now, to, Cause::Forced))
    }

    fn snapshot(&mut self, now: u64) -> Snapshot {
        if matches!(self.state, State::Closed | State::ForcedClosed) {
            self.slide(now);
        }
        let half_open = self.state == State::HalfOpen;
        let open = self.state == State::Open;
        let next_probe = Duration::from_nanos(self.open_until.saturating_sub(now));
        Snapshot {
            state: self.state,
            since: self.since,
            counts: count(if half_open { &self.answered } else { &self.calls }),
            probes_out: self.probes_out,
            next_probe: open.then_some(next_probe),
            opened: self.opened,
            budget_spent: self.budget_spent,
        }
    }
}

fn moment(nanos: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_nanos(nanos))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Back(u64),
    Acquire,
    Record { which: usize, failed: bool },
    Cancel { which: usize },
    BudgetSpent,
    Force(Forced),
    Look,
}

/// The three of them, side by side.
struct Trio {
    model: Model,
    machine: Machine,
    breaker: Breaker,
    under_way: Vec<Call>,
    now: u64,
}

impl Trio {
    fn new(options: Options, twin: Twin) -> Self {
        let mut breaker = Breaker::new(options).unwrap();
        breaker.twin = twin;
        Self {
            model: Model::new(options),
            machine: Machine::new(options).unwrap(),
            breaker,
            under_way: Vec::new(),
            now: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let (now, at) = (self.now, moment(self.now));
        let Self { model, machine, breaker, under_way, .. } = self;
        match step {
            Step::Pass(nanos) => self.now += nanos,
            Step::Back(nanos) => self.now = now.saturating_sub(nanos),
            Step::Acquire => {
                let (expected, expected_change) = model.acquire(now);
                let (by_machine, machine_changed) = machine.acquire(at);
                let (by_breaker, breaker_changed) = breaker.acquire(at);
                assert_eq!(machine_changed, expected_change);
                assert_eq!(breaker_changed, expected_change);
                match (expected, by_machine, by_breaker) {
                    (Ok(pass), Ok(by_machine), Ok(by_breaker)) => {
                        under_way.push(Call { pass, by_machine, by_breaker });
                    }
                    (Err(expected), Err(machine_says), Err(breaker_says)) => {
                        assert_eq!((machine_says, breaker_says), (expected, expected));
                    }
                    other => panic!("they differ: {other:?}"),
                }
            }
            Step::Record { which, failed } if !under_way.is_empty() => {
                let call = under_way.swap_remove(which % under_way.len());
                let expected = model.record(now, call.pass, failed);
                assert_eq!(machine.record(at, call.by_machine, failed), expected);
                assert_eq!(breaker.record(at, call.by_breaker, failed), expected);
            }
            Step::Cancel { which } if !under_way.is_empty() => {
                let call = under_way.swap_remove(which % under_way.len());
                model.cancel(call.pass);
                machine.cancel(call.by_machine);
                breaker.cancel(call.by_breaker);
            }
            Step::Record { .. } | Step::Cancel { .. } => {}
            Step::BudgetSpent => {
                let expected = model.budget_spent(now);
                assert_eq!(machine.budget_spent(at), expected);
                assert_eq!(breaker.budget_spent(at), expected);
            }
            Step::Force(forced) => {
                let expected = model.force(now, forced);
                assert_eq!(machine.force(at, forced), expected);
                assert_eq!(breaker.force(at, forced), expected);
            }
            Step::Look => {
                let expected = model.snapshot(now);
                assert_eq!(machine.snapshot(at), expected);
                assert_eq!(breaker.snapshot(at), expected);
            }
        }
        assert_eq!(self.machine.state(), self.model.state);
        assert_eq!(self.breaker.state(), self.model.state);
    }
}

const MS: u64 = 1_000_000;

/// Ever-changing weather: most of the time nearly all is well, so that the ways without a lock
/// are gone too, then a storm.
fn random_run(options: Options, steps: u32, seed: u64, twin: Twin) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut trio = Trio::new(options, twin);
    let mut failing = 0;
    for _ in 0..steps {
        if rng.u32(..500) == 0 {
            failing = [0, 0, 2, 10, 40, 60, 100][rng.usize(..7)];
        }
        let forced = [Forced::Open, Forced::Closed, Forced::Auto];
        let step = match rng.u32(..10_000) {
            0..10 => Step::Force(forced[rng.usize(..3)]),
            10..40 => Step::Force(Forced::Auto),
            40..50 => Step::BudgetSpent,
            50..150 => Step::Cancel { which: rng.usize(..64) },
            150..200 => Step::Look,
            200..210 => Step::Pass(rng.u64(..3_000) * MS),
            210..1_500 => Step::Pass(rng.u64(..30) * MS),
            1_500..1_700 => Step::Back(rng.u64(..10) * MS),
            1_700..5_800 => Step::Acquire,
            _ => Step::Record { which: rng.usize(..64), failed: rng.u8(..100) < failing },
        };
        trio.step(step);
        if trio.under_way.len() > 64 {
            trio.step(Step::Cancel { which: rng.usize(..64) });
        }
    }
    trio.model.opened
}

fn several_options() -> Vec<Options> {
    let base = Options {
        open_for: Duration::from_secs(1),
        probe_timeout: Duration::from_millis(400),
        probes: 3,
        minimum_calls: 1,
        ..Options::default()
    };
    let count =
        |calls, minimum_calls| Options { window: Window::Count(calls), minimum_calls, ..base };
    let time = |millis, minimum_calls| Options {
        window: Window::Time(Duration::from_millis(millis)),
        minimum_calls,
        ..base
    };
    let slow = |options| Options {
        slow_call: Some(Duration::from_millis(50)),
        slow_call_rate: Share::percent(40),
        failure_rate: Share::percent(35),
        ..options
    };
    vec![
        count(1, 1),
        count(4, 2),
        count(20, 5),
        Options { failure_rate: Share::percent(7), ..count(100, 20) },
        slow(count(10, 10)),
        slow(count(30, 4)),
        time(1_000, 5),
        Options { probes: 1, open_when_budget_spent: true, ..time(97, 3) },
        slow(time(400, 8)),
        Options { failure_rate: Share::percent(20), ..time(3_000, 10) },
    ]
}

#[test]
fn a_million_random_steps_agree_with_a_list_of_all_calls() {
    for (seed, options) in (1..).zip(several_options()) {
        let opened = random_run(options, 100_000, seed, Twin::None);
        assert!(opened >= 20, "opened only {opened} times: {options:?}");
    }
}

/// The same run as above, with one protection off.
#[test]
#[should_panic]
fn they_would_not_agree_if_late_outcomes_counted() {
    random_run(several_options()[2], 100_000, 3, Twin::MixesPeriods);
}

/// The same run as above, with another protection off.
#[test]
#[should_panic]
fn they_would_not_agree_if_calls_were_counted_in_an_old_slice() {
    random_run(several_options()[9], 100_000, 10, Twin::IgnoresSlices);
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..80 * MS).prop_map(Step::Pass),
        1 => (0..2_000 * MS).prop_map(Step::Pass),
        1 => (0..20 * MS).prop_map(Step::Back),
        12 => Just(Step::Acquire),
        12 => (0..16_usize, 0..3_u8).prop_map(|(which, f)| Step::Record { which, failed: f == 0 }),
        1 => (0..16_usize).prop_map(|which| Step::Cancel { which }),
        1 => Just(Step::BudgetSpent),
        1 => prop_oneof![Just(Forced::Open), Just(Forced::Closed), Just(Forced::Auto)]
            .prop_map(Step::Force),
        1 => Just(Step::Look),
    ]
}

fn any_options() -> impl Strategy<Value = Options> {
    let window = prop_oneof![
        (1..70_u32).prop_map(Window::Count),
        (1..2_000 * MS).prop_map(|nanos| Window::Time(Duration::from_nanos(nanos))),
    ];
    let millis = || (1..500_u64).prop_map(Duration::from_millis);
    let slow_call = prop_oneof![Just(None), millis().prop_map(Some)];
    let rates = (1..=100_u8, 1..=100_u8);
    (window, rates, slow_call, 1..10_u32, millis(), millis(), 1..5_u32, any::<bool>()).prop_map(
        |(window, rates, slow_call, minimum, open_for, probe_timeout, probes, spent)| Options {
            window,
            failure_rate: Share::percent(rates.0),
            slow_call,
            slow_call_rate: Share::percent(rates.1),
            minimum_calls: match window {
                Window::Count(calls) => minimum.min(calls),
                Window::Time(_) => minimum,
            },
            open_for,
            probes,
            probe_timeout,
            open_when_budget_spent: spent,
        },
    )
}

proptest! {
    #[test]
    fn any_options_and_any_steps_agree(
        options in any_options(),
        steps in proptest::collection::vec(any_step(), 0..300),
    ) {
        let mut trio = Trio::new(options, Twin::None);
        for step in steps {
            trio.step(step);
        }
        trio.step(Step::Look);
    }
}
