//! What stands between the parts: who hears of it, how it is counted, and what an operator can
//! see and do.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::FutureExt;
use serde_json::{Value, json};
use steadfast_api::Gateway;
use steadfast_api::admin::{self, Answer, Force, ForcedState, PolicyAdmin};
use steadfast_api::gateway::Reads;
use steadfast_dispatch::courier::liveness::Liveness;
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::service::Couriers;
use steadfast_journal::Journal;
use steadfast_resilience::Share;
use steadfast_resilience::breaker::Forced;
use steadfast_resilience::bulkhead::Pool;
use steadfast_resilience::detector::FALSE_SUSPECT_RATE_MAX;
use steadfast_resilience::event::{self, Decision, Event, Events, Listener, Record, Recorder};
use steadfast_resilience::policy::{Counters, Indicators, Policy, Rolling, Snapshot};
use steadfast_resilience::shed::Gate;
use steadfast_time::{Clock, Monotonic};

use super::Error;
use super::clock::Keeping;
use super::locks::Locks;
use crate::config::Config;

/// How often the counters are read, so that rates over the last minutes can be told.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The short window of the indicators, and the sources' 30 days.
const LATELY: Duration = Duration::from_secs(300);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Policies that are watched: of the reads, the journal, stock and payment.
const POLICIES: usize = 4;

/// The names of what has no policy of this kind, but decides all the same.
const GATEWAY: &str = "gateway";
const COURIERS: &str = "couriers";

/// Decisions that are shown with a policy.
const DECISIONS_SHOWN: usize = 20;

/// The policies of this process, watched.
pub(super) struct Watch {
    policies: Policies,
    gateway: Gateway,
    /// Known once the services are there.
    couriers: OnceLock<Couriers>,
    /// Known once somebody keeps the clock.
    keeping: OnceLock<Arc<Keeping>>,
    /// What counts the leases, and the journals whose fences refuse those who lost them.
    locks: OnceLock<(Arc<Locks>, [Journal; 3])>,
    listener: Arc<dyn Listener>,
    /// What happened lately, and the changes of state, which a flood of refusals must not wash
    /// away.
    decisions: Arc<Recorder>,
    changes: Arc<Recorder>,
    clock: Clock,
    rates: Mutex<Vec<(Rolling, Rolling)>>,
}

impl Watch {
    /// Makes the policies, the way in, and the threads for reads.
    pub(super) fn new(config: &Config, clock: &Clock) -> Result<Self, Error> {
        let [decisions, changes] = [(); 2].map(|()| Arc::new(Recorder::default()));
        let listener: Arc<dyn Listener> = Arc::new(listeners(&decisions, &changes));
        let policies = Policies::new(config.policy_options(), clock, Some(&listener))?;
        let gateway = gateway(config, clock, &listener)?;
        let rolling = || (Rolling::new(LATELY, 30), Rolling::new(MONTH, 720));
        let rates = Mutex::new([(); POLICIES].map(|()| rolling()).into());
        let (couriers, locks, keeping) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let clock = clock.clone();
        Ok(Self {
            policies,
            gateway,
            couriers,
            locks,
            keeping,
            listener,
            decisions,
            changes,
            clock,
            rates,
        })
    }

    pub(super) const fn policies(&self) -> &Policies {
        &self.policies
    }

    pub(super) const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Where the couriers' detector tells of its decisions.
    pub(super) fn couriers_events(&self) -> Events {
        Events::to(COURIERS, Arc::clone(&self.listener))
    }

    /// From now on the couriers are watched too.
    pub(super) fn watch(&self, couriers: Couriers) {
        // There is one platform to a watch, so nobody has been here before.
        let _ = self.couriers.set(couriers);
    }

    /// From now on the leases are among the indicators.
    pub(super) fn watch_locks(&self, locks: Arc<Locks>, journals: [Journal; 3]) {
        let _ = self.locks.set((locks, journals));
    }

    /// From now on the clock is among the indicators.
    pub(super) fn watch_clock(&self, keeping: Arc<Keeping>) {
        let _ = self.keeping.set(keeping);
    }

    fn all(&self) -> [&Policy; POLICIES] {
        let [journal, stock, payment] = self.policies.all();
        [self.gateway.reads(), journal, stock, payment]
    }

    fn rates(&self) -> MutexGuard<'_, Vec<(Rolling, Rolling)>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the counters every now and then, for as long as it is polled.
    pub(super) async fn sample(&self) {
        loop {
            self.clock.sleep(SAMPLE_EVERY).await;
            let now = self.clock.monotonic();
            for (policy, (lately, month)) in self.all().iter().zip(&mut *self.rates()) {
                let counters = policy.counters();
                lately.sample(now, counters);
                month.sample(now, counters);
            }
        }
    }

    /// Every policy as it stands, for `/metrics`.
    pub(super) fn snapshots(&self) -> Vec<Snapshot> {
        self.all().iter().map(|policy| policy.snapshot()).collect()
    }

    fn find(&self, name: &str) -> Result<&Policy, admin::Error> {
        let mut all = self.all().into_iter();
        all.find(|policy| &**policy.name() == name)
            .ok_or_else(|| admin::Error::NotFound(format!("policy {name}")))
    }

    /// The way in, which is a gate and no policy.
    fn gate(&self) -> Value {
        let (in_use, waiting, limit) = self.gateway.figures();
        json!({
            "name": GATEWAY,
            "in_use": in_use,
            "waiting": waiting,
            "limit": limit,
            "overloaded": self.gateway.is_overloaded(),
        })
    }

    pub(super) fn liveness(&self) -> Option<Liveness> {
        self.couriers.get().and_then(Couriers::liveness)
    }

    /// The watch over the couriers.
    fn detector(&self) -> Option<Value> {
        let Liveness { counts, false_suspect_rate } = self.liveness()?;
        Some(json!({
            "name": COURIERS,
            "watched": counts.watched,
            "suspected": counts.suspected,
            "suspicions": counts.suspicions,
            "false_suspicions": counts.false_suspicions,
            "false_suspect_rate": false_suspect_rate,
            "own_stalls": counts.stalls,
            "own_stalls_s": counts.stalled.as_secs_f64(),
        }))
    }

    /// Something with a name, and what it decided lately.
    fn show(&self, name: &str) -> Result<Value, admin::Error> {
        let shown = match name {
            GATEWAY => Some(self.gate()),
            COURIERS => self.detector(),
            _ => None,
        };
        let mut shown = match shown {
            Some(shown) => shown,
            None => summary(&self.find(name)?.snapshot()),
        };
        let now = self.clock.monotonic();
        let decisions = collapsed(self.decisions.records(), name);
        let decisions: Vec<Value> = decisions
            .iter()
            .rev()
            .take(DECISIONS_SHOWN)
            .map(|(last, times)| {
                json!({ "ago_s": seconds(now, last.at), "what": last.to_string(), "times": times })
            })
            .collect();
        shown["decisions"] = json!(decisions);
        let changes = self.changes.records();
        let changes = changes.iter().rev().filter(|record| record.name == name);
        let changes: Vec<Value> = changes
            .take(DECISIONS_SHOWN)
            .map(|record| json!({ "ago_s": seconds(now, record.at), "what": record.to_string() }))
            .collect();
        shown["changes"] = json!(changes);
        Ok(shown)
    }

    fn slo(&self) -> Value {
        let mut indicators = Vec::new();
        let mut budgets = Vec::new();
        for (policy, (lately, month)) in self.all().iter().zip(&*self.rates()) {
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
        if let Some(Liveness { counts, false_suspect_rate: rate }) = self.liveness() {
            indicators.push(json!({
                "indicator": "fd.false_suspect_rate",
                "of": COURIERS,
                "bound": FALSE_SUSPECT_RATE_MAX,
                "last_24h": rate,
                "peer_hours": counts.peer_time.as_secs_f64() / 3_600.0,
                "met": rate < FALSE_SUSPECT_RATE_MAX,
            }));
        }
        if let Some((locks, journals)) = self.locks.get() {
            let stale = journals.iter().map(|journal| journal.stats().stale).sum();
            indicators.extend(locks.indicators(stale));
        }
        indicators.extend(self.keeping.get().into_iter().flat_map(|keeping| keeping.indicators()));
        json!({ "indicators": indicators, "error_budgets": budgets })
    }
}

/// The way in, and the threads behind it.
fn gateway(config: &Config, clock: &Clock, listener: &Arc<dyn Listener>) -> Result<Gateway, Error> {
    let (concurrency, options) = config.gate_options();
    let gate = Gate::new(&concurrency, &options, clock.clone(), fastrand::Rng::new())?;
    let policy = Policy::builder("reads").options(config.reads_options());
    let policy = policy.listener(Arc::clone(listener)).build(clock.clone())?;
    let pool = Pool::new("read", &config.pool_options(), clock.clone())?;
    let hedged = config.policies.reads.hedged.get().to_vec();
    let events = Events::to(GATEWAY, Arc::clone(listener));
    Ok(Gateway::new(gate, events, Reads { pool, policy, hedged }))
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
            "attempts_30d": month.attempts,
            "met": if indicator == "dep.timeout_rate" { long < bound } else { long <= bound },
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
        "limit": snapshot.limit.map(|(_, limit)| limit),
        "hedged_share": snapshot.hedged_share.map(Share::get),
        "error_budget_left": snapshot.objective.map(|report| report.left.get()),
    })
}

impl PolicyAdmin for Watch {
    fn list(&self) -> Answer<'_, Vec<Value>> {
        let policies = self.all().into_iter().map(|policy| summary(&policy.snapshot()));
        let list = [self.gate()].into_iter().chain(policies).chain(self.detector()).collect();
        async move { Ok(list) }.boxed()
    }

    fn get(&self, name: String) -> Answer<'_, Value> {
        let shown = self.show(&name);
        async move { shown }.boxed()
    }

    fn force(&self, name: String, force: Force) -> Answer<'_, Value> {
        let forced = match force.state {
            ForcedState::Open => Forced::Open,
            ForcedState::Closed => Forced::Closed,
            ForcedState::Auto => Forced::Auto,
        };
        let known = match name.as_str() {
            GATEWAY | COURIERS => Err(admin::Error::State(format!("{name} has no breaker"))),
            _ => self.find(&name),
        };
        let done = known.and_then(|policy| {
            tracing::warn!(policy = name, by = force.by, state = ?force.state, "breaker forced");
            if policy.force_breaker(forced) {
                self.show(&name)
            } else {
                Err(admin::Error::State(format!("policy {name} has no breaker")))
            }
        });
        async move { done }.boxed()
    }

    fn slo(&self) -> Answer<'_, Value> {
        let report = Self::slo(self);
        async move { Ok(report) }.boxed()
    }
}
