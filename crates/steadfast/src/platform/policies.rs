//! What stands between the parts: who hears of it, how it is counted, and what an operator can
//! see and do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::FutureExt;
use serde_json::{Value, json};
use steadfast_api::admin::{Answer, Error, Force, ForcedState, PolicyAdmin};
use steadfast_dispatch::policies::{self, Policies};
use steadfast_resilience::breaker::Forced;
use steadfast_resilience::event::{self, Decision, Event, Listener, Record, Recorder};
use steadfast_resilience::policy::{Counters, Indicators, Policy, Rolling, Snapshot};
use steadfast_resilience::{Invalid, Share};
use steadfast_time::{Clock, Monotonic};

/// How often the counters are read, so that rates over the last minutes can be told.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The short window of the indicators, and the sources' 30 days.
const LATELY: Duration = Duration::from_secs(300);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Decisions that are shown with a policy.
const DECISIONS_SHOWN: usize = 20;

/// The policies of this process, watched.
pub(super) struct Watch {
    policies: Policies,
    /// What happened lately, and the changes of state, which a flood of refusals must not wash
    /// away.
    decisions: Arc<Recorder>,
    changes: Arc<Recorder>,
    clock: Clock,
    rates: Mutex<Vec<(Rolling, Rolling)>>,
}

impl Watch {
    /// Makes the policies.
    pub(super) fn new(options: policies::Options, clock: &Clock) -> Result<Self, Invalid> {
        let [decisions, changes] = [(); 2].map(|()| Arc::new(Recorder::default()));
        let listener: Arc<dyn Listener> = Arc::new(listeners(&decisions, &changes));
        let policies = Policies::new(options, clock, Some(&listener))?;
        let rolling = || (Rolling::new(LATELY, 30), Rolling::new(MONTH, 720));
        let rates = Mutex::new(policies.all().map(|_| rolling()).into());
        Ok(Self { policies, decisions, changes, clock: clock.clone(), rates })
    }

    pub(super) const fn policies(&self) -> &Policies {
        &self.policies
    }

    fn rates(&self) -> MutexGuard<'_, Vec<(Rolling, Rolling)>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the counters every now and then, for as long as it is polled.
    pub(super) async fn sample(&self) {
        loop {
            self.clock.sleep(SAMPLE_EVERY).await;
            let now = self.clock.monotonic();
            for (policy, (lately, month)) in self.policies.all().iter().zip(&mut *self.rates()) {
                let counters = policy.counters();
                lately.sample(now, counters);
                month.sample(now, counters);
            }
        }
    }

    /// Every policy as it stands, for `/metrics`.
    pub(super) fn snapshots(&self) -> Vec<Snapshot> {
        self.policies.all().iter().map(|policy| policy.snapshot()).collect()
    }

    fn find(&self, name: &str) -> Result<&Policy, Error> {
        let mut all = self.policies.all().into_iter();
        all.find(|policy| &**policy.name() == name)
            .ok_or_else(|| Error::NotFound(format!("policy {name}")))
    }

    fn show(&self, policy: &Policy) -> Value {
        let now = self.clock.monotonic();
        let decisions = collapsed(self.decisions.records(), policy.name());
        let decisions: Vec<Value> = decisions
            .iter()
            .rev()
            .take(DECISIONS_SHOWN)
            .map(|(last, times)| {
                json!({ "ago_s": seconds(now, last.at), "what": last.to_string(), "times": times })
            })
            .collect();
        let mut shown = summary(&policy.snapshot());
        shown["decisions"] = json!(decisions);
        let changes = self.changes.records();
        let changes = changes.iter().rev().filter(|record| record.name == **policy.name());
        let changes: Vec<Value> = changes
            .take(DECISIONS_SHOWN)
            .map(|record| json!({ "ago_s": seconds(now, record.at), "what": record.to_string() }))
            .collect();
        shown["changes"] = json!(changes);
        shown
    }

    fn slo(&self) -> Value {
        let mut indicators = Vec::new();
        let mut budgets = Vec::new();
        for (policy, (lately, month)) in self.policies.all().iter().zip(&*self.rates()) {
            let counters = policy.counters();
            let (lately, month) = (lately.within(&counters), month.within(&counters));
            rows(policy.name(), &lately, &month, &mut indicators);
            let snapshot = policy.snapshot();
            if let (Some(report), Some(objective)) =
                (snapshot.objective, policy.options().objective)
            {
                budgets.push(json!({
                    "of": &**policy.name(),
                    "target": objective.target.get(),
                    "good": report.good,
                    "bad": report.bad,
                    "left": report.left.get(),
                    "burn_rate": report.burn_rate,
                }));
            }
        }
        json!({ "indicators": indicators, "error_budgets": budgets })
    }
}

/// Everybody who hears what the policies decide.
fn listeners(decisions: &Arc<Recorder>, changes: &Arc<Recorder>) -> Vec<Arc<dyn Listener>> {
    let changes = Arc::clone(changes);
    let changed = move |event: &Event<'_>| match event.decision {
        Decision::Breaker(_)
        | Decision::Limit(_)
        | Decision::Suspected(_)
        | Decision::Trusted(_) => changes.on(event),
        _ => {}
    };
    let decisions = Arc::clone(decisions);
    vec![Arc::new(event::Trace), Arc::new(event::Count), Arc::new(decisions), Arc::new(changed)]
}

/// The decisions of one policy, oldest first; a run of the same kind is told once, by its last.
fn collapsed(records: Vec<Record>, name: &str) -> Vec<(Record, u64)> {
    let kind = |record: &Record| (record.decision.policy(), record.decision.kind());
    let mut runs: Vec<(Record, u64)> = Vec::new();
    for record in records.into_iter().filter(|record| record.name == name) {
        match runs.last_mut() {
            Some((last, times)) if kind(last) == kind(&record) => {
                (*last, *times) = (record, *times + 1)
            }
            _ => runs.push((record, 1)),
        }
    }
    runs
}

fn seconds(now: Monotonic, at: Monotonic) -> f64 {
    (now - at).as_secs_f64()
}

/// The sources' indicators of one dependency, with their bounds.
fn rows(name: &str, lately: &Counters, month: &Counters, rows: &mut Vec<Value>) {
    type Get = fn(&Indicators) -> Share;
    const INDICATORS: [(&str, f64, Get); 3] = [
        ("dep.timeout_rate", 0.002, |indicators| indicators.timeout_rate),
        ("dep.retry_rate", 0.05, |indicators| indicators.retry_rate),
        ("hedged_share", 0.02, |indicators| indicators.hedged_share),
    ];
    let (lately, month) = (lately.indicators(), month.indicators());
    for (indicator, bound, get) in INDICATORS {
        let (short, long) = (get(&lately).get(), get(&month).get());
        rows.push(json!({
            "indicator": indicator,
            "of": name,
            "bound": bound,
            "last_5m": short,
            "last_30d": long,
            "calls_30d": month.calls,
            "met": long <= bound,
        }));
    }
}

/// A policy in one object.
fn summary(snapshot: &Snapshot) -> Value {
    let Snapshot { name, counters, breaker, budget, bulkhead, .. } = snapshot;
    json!({
        "name": &**name,
        "breaker": breaker.map(|breaker| breaker.state.as_str()),
        "calls": counters.calls,
        "attempts": counters.attempts,
        "failures": counters.failures,
        "timeouts": counters.timeouts,
        "refusals": counters.refusals,
        "retries": counters.retries,
        "hedges": counters.hedges,
        "hedges_won": counters.hedges_won,
        "timeout_ms": snapshot.timeout.map(|limit| limit.as_secs_f64() * 1e3),
        "window": breaker.map(|breaker| breaker.to_string()),
        "budget": budget.map(|b| json!({ "calls": b.calls, "extra": b.extra, "allowed": b.allowed })),
        "in_use": bulkhead.map(|(in_use, _)| in_use),
        "waiting": bulkhead.map(|(_, waiting)| waiting),
        "error_budget_left": snapshot.objective.map(|report| report.left.get()),
    })
}

impl PolicyAdmin for Watch {
    fn list(&self) -> Answer<'_, Vec<Value>> {
        let list = self.snapshots().iter().map(summary).collect();
        async move { Ok(list) }.boxed()
    }

    fn get(&self, name: String) -> Answer<'_, Value> {
        let shown = self.find(&name).map(|policy| self.show(policy));
        async move { shown }.boxed()
    }

    fn force(&self, name: String, force: Force) -> Answer<'_, Value> {
        let forced = match force.state {
            ForcedState::Open => Forced::Open,
            ForcedState::Closed => Forced::Closed,
            ForcedState::Auto => Forced::Auto,
        };
        let done = self.find(&name).and_then(|policy| {
            tracing::warn!(policy = name, by = force.by, state = ?force.state, "breaker forced");
            if policy.force_breaker(forced) {
                Ok(self.show(policy))
            } else {
                Err(Error::State(format!("policy {name} has no breaker")))
            }
        });
        async move { done }.boxed()
    }

    fn slo(&self) -> Answer<'_, Value> {
        let report = Self::slo(self);
        async move { Ok(report) }.boxed()
    }
}
