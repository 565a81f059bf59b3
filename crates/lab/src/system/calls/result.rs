//! What was counted, as indicators, curves and sentences.

use std::time::Duration;

use steadfast_resilience::breaker::State;
use steadfast_resilience::policy::Counters;

use super::meter::{Heard, Lane, Tally};
use super::phases::{Phases, Stretch};
use super::settings::Settings;
use crate::Observed;
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};

const STATES: &[&str] = &["closed", "half-open", "open"];

/// How long success must last to count as recovered.
const LASTING: u32 = 3;

/// The share of calls that must be answered for it. Below 100 %, so that a piece of the trial with
/// one unlucky call is not taken for an outage.
const WELL: f64 = 0.95;

/// Writes down what a trial came to.
pub(super) fn observe(
    settings: &Settings,
    phases: &Phases,
    duration: Duration,
    mut tally: Tally,
) -> Observed {
    let mut observed = Observed::default();
    tally.heard.sort_by_key(|heard| heard.at);
    dependency(&mut observed, phases, duration, &tally);
    clients(&mut observed, phases, duration, &tally);
    client_curves(&mut observed, &tally);
    for (name, lane) in settings.dependencies.iter().zip(&tally.lanes) {
        let of = |what: &str| match settings.dependencies.len() {
            1 => what.to_owned(),
            _ => format!("{what}, {name}"),
        };
        lane_curves(&mut observed, lane, tally.step, &of);
    }
    observed
}

/// Figures of what was sent to the dependencies.
fn dependency(observed: &mut Observed, phases: &Phases, duration: Duration, tally: &Tally) {
    let share = |part: u64, whole: u64| Quantity::share(ratio(part, whole));
    let mut all = Counters::default();
    for counters in tally.lanes.iter().filter_map(|lane| lane.counters.last()) {
        all.attempts += counters.attempts;
        all.retries += counters.retries;
        all.timeouts += counters.timeouts;
        all.hedges += counters.hedges;
        all.hedges_won += counters.hedges_won;
    }
    let pieces = || tally.lanes.iter().flat_map(|lane| &lane.pieces);
    let sent: u64 = pieces().map(super::meter::Piece::sent).sum();
    let firsts: u64 = pieces().map(|piece| piece.firsts).sum();
    observed.indicator("dep.retry_rate", share(all.retries, all.attempts));
    observed.indicator("dep.timeout_rate", share(all.timeouts, all.attempts));
    observed.indicator("hedged_share", share(all.hedges, all.attempts));
    observed.indicator("hedges_won", Quantity::count(all.hedges_won));
    observed.indicator("upstream.qps", Quantity::rate(per_second(sent, duration)));
    let amplification = if firsts == 0 { 1.0 } else { sent as f64 / firsts as f64 };
    observed.indicator("amplification", Quantity::times(amplification));
    let opens = |lane: &Lane| lane.breaker.iter().filter(|(_, to)| *to == State::Open).count();
    let opened: usize = tally.lanes.iter().map(opens).sum();
    observed.indicator("breaker.opens", Quantity::count(opened as u64));
    if let (Some((from, to)), Some((settled, _))) = (phases.outage, phases.settled) {
        let watched = tally.lanes.iter().map(|lane| lane.watched).sum();
        observed.indicator("outage.qps", Quantity::rate(per_second(watched, to - settled)));
        let first = tally.lanes.iter().filter_map(|lane| reaction(lane, (from, to))).min();
        match first {
            Some(reaction) => {
                observed.indicator("breaker.reaction", Quantity::time(reaction));
                let shown = Quantity::time(reaction);
                observed.note(format!("The circuit opened {shown} after the outage began."));
            }
            None => observed.note("No circuit opened during the outage."),
        }
    }
}

/// How long after the beginning of an outage the circuit was open.
fn reaction(lane: &Lane, (from, to): Stretch) -> Option<Duration> {
    let before = lane.breaker.iter().rfind(|(at, _)| *at < from);
    if before.is_some_and(|(_, state)| *state == State::Open) {
        return Some(Duration::ZERO);
    }
    let within = lane.breaker.iter().filter(|(at, _)| (from..to).contains(at));
    within.filter(|(_, state)| *state == State::Open).map(|(at, _)| *at - from).next()
}

/// Figures of what clients heard.
fn clients(observed: &mut Observed, phases: &Phases, duration: Duration, tally: &Tally) {
    let heard = &tally.heard;
    let all = |_: &Heard| true;
    set(observed, "api.success", success(heard, all));
    set(observed, "api.latency_ms.p99", latency(heard, 0.99, all));
    if let Some(quiet) = phases.quiet {
        let share = success(heard, |call| within(quiet, call));
        set(observed, "api.success.after", share);
    }
    if let Some(troubled) = phases.troubled {
        let during = |call: &Heard| within(troubled, call);
        set(observed, "api.success.during", success(heard, during));
        let spared = |call: &Heard| phases.bystanders.get(call.to) == Some(&true);
        // Where nobody is spared nothing is said about those who are.
        let bystander = |call: &Heard| during(call) && spared(call);
        set(observed, "bystander.success", success(heard, bystander));
        set(observed, "bystander.latency_ms.p99", latency(heard, 0.99, bystander));
        let struck = |call: &Heard| during(call) && !spared(call);
        set(observed, "struck.success", success(heard, struck));
    }
    let Some(healed) = phases.healed else { return };
    let rest = duration - healed;
    let recovery = recovery(tally, healed, duration);
    observed.indicator("recovery", Quantity::time(recovery.unwrap_or(rest)));
    let shown = Quantity::time(recovery.unwrap_or(rest));
    observed.note(match recovery {
        Some(_) => format!("Calls were answered again {shown} after the last fault had ended."),
        None => format!(
            "{shown} after the last fault had ended, when the trial was over, calls were not yet \
             answered again, though nothing was broken any more."
        ),
    });
}

fn set(observed: &mut Observed, name: &str, value: Option<Quantity>) {
    if let Some(value) = value {
        observed.indicator(name, value);
    }
}

fn within((from, to): Stretch, call: &Heard) -> bool {
    (from..to).contains(&call.at)
}

/// The share of some calls that were answered; none when there were none.
fn success(heard: &[Heard], which: impl Fn(&Heard) -> bool) -> Option<Quantity> {
    let (mut all, mut answered) = (0, 0);
    for call in heard.iter().filter(|call| which(call)) {
        all += 1;
        answered += u64::from(call.answered);
    }
    (all > 0).then(|| Quantity::share(ratio(answered, all)))
}

/// What a share of some calls took at most, answered or not.
fn latency(heard: &[Heard], share: f64, which: impl Fn(&Heard) -> bool) -> Option<Quantity> {
    let took = heard.iter().filter(|call| which(call)).map(|call| call.took);
    percentile(&mut took.collect::<Vec<_>>(), share).map(Quantity::time)
}

/// The nearest-rank percentile.
fn percentile(took: &mut [Duration], share: f64) -> Option<Duration> {
    let last = took.len().checked_sub(1)?;
    let rank = (share * took.len() as f64).ceil().max(1.0) as usize - 1;
    Some(*took.select_nth_unstable(rank.min(last)).1)
}

/// How long after `healed` calls were answered again: the beginning of the first pieces, so many in
/// a row, in which nearly all were.
fn recovery(tally: &Tally, healed: Duration, duration: Duration) -> Option<Duration> {
    let mut good = 0;
    for number in 0.. {
        let from = tally.step * number;
        let until = from + tally.step;
        if until > duration {
            return None;
        }
        if from < healed {
            continue;
        }
        let share = success(&tally.heard, |call| within((from, until), call));
        good = if share.is_some_and(|share| share.value >= WELL) { good + 1 } else { 0 };
        if good == LASTING {
            return Some((from - tally.step * (LASTING - 1)) - healed);
        }
    }
    None
}

/// Curves of what clients saw.
fn client_curves(observed: &mut Observed, tally: &Tally) {
    let seconds = tally.step.as_secs_f64();
    let series = |panel, name, unit| Series::new(panel, name, unit);
    let mut calls = series("throughput", "calls", Unit::Rate);
    let mut answered = series("throughput", "answered", Unit::Rate);
    let mut share = series("success", "answered in time", Unit::Share);
    let mut quantiles = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .map(|(name, share)| (share, series("latency", name, Unit::Time)));
    let mut rest = tally.heard.as_slice();
    let mut from = Duration::ZERO;
    while !rest.is_empty() {
        let until = from + tally.step;
        let (piece, later) = rest.split_at(rest.partition_point(|call| call.at < until));
        rest = later;
        let good = piece.iter().filter(|call| call.answered).count();
        calls.push(from, piece.len() as f64 / seconds);
        answered.push(from, good as f64 / seconds);
        if !piece.is_empty() {
            share.push(from, ratio(good as u64, piece.len() as u64));
        }
        let mut took: Vec<Duration> = piece.iter().map(|call| call.took).collect();
        for (share, curve) in &mut quantiles {
            if let Some(value) = percentile(&mut took, *share) {
                curve.push(from, value.as_secs_f64());
            }
        }
        from = until;
    }
    observed.series.extend([calls, answered, share]);
    observed.series.extend(quantiles.map(|(_, curve)| curve));
}

/// Curves of one dependency.
fn lane_curves(observed: &mut Observed, lane: &Lane, step: Duration, of: &dyn Fn(&str) -> String) {
    let mut sent = Series::new("throughput", &of("sent to the dependency"), Unit::Rate);
    let mut queue = Series::new("queue", &of("waiting at the dependency"), Unit::Count);
    for (number, piece) in (0..).zip(&lane.pieces) {
        sent.push(step * number, per_second(piece.sent(), step));
        queue.push(step * number, f64::from(piece.waiting));
    }
    let mut retries = Series::new("retries", &of("retries"), Unit::Share);
    let mut hedges = Series::new("retries", &of("hedges"), Unit::Share);
    let mut timeouts = Series::new("retries", &of("timeouts"), Unit::Share);
    let mut before = Counters::default();
    for (number, counters) in (0..).zip(&lane.counters) {
        let since = counters.since(&before).indicators();
        before = *counters;
        // While nothing is sent there is nothing to be a share of.
        if since.attempts > 0 {
            retries.push(step * number, since.retry_rate.get());
            hedges.push(step * number, since.hedged_share.get());
            timeouts.push(step * number, since.timeout_rate.get());
        }
    }
    let mut breaker = Series::states("breaker", &of("breaker"), STATES);
    breaker.push(Duration::ZERO, 0.0);
    for (at, state) in &lane.breaker {
        breaker.push(
            *at,
            match state {
                State::Closed | State::ForcedClosed => 0.0,
                State::HalfOpen => 1.0,
                State::Open | State::ForcedOpen => 2.0,
            },
        );
    }
    observed.series.extend([sent, queue, retries, hedges, timeouts, breaker]);
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}
