//! insertion
use super::instance::Instance;
use super::route::{Route, State, Stop, Weights};

#[derive(Debug, Clone, Copy)]
pub(super) struct Insertion {
    pub rider: usize,
    pub delta: i64,
    pub stop: Stop,
    pub at: usize,
    pub replaces: bool,
}

pub(super) fn best(
    instance: &Instance,
    w: &Weights,
    routes: &[Route],
    job: usize,
    trips_max: usize,
    rng: &mut fastrand::Rng,
    blink: bool,
) -> Option<Insertion> {
    let mut best: Option<Insertion> = None;
    let single = Stop::single(instance, job);
    for (rider, route) in routes.iter().enumerate() {
        if !instance.jobs[job].excluded.is_empty() && instance.jobs[job].excluded.contains(&rider) {
            continue;
        }
        if blink && rng.u8(..) < 3 {
            continue;
        }
        let off = instance.riders[rider].off;
        let cap = instance.riders[rider].spare;
        let n = route.stops.len();
        let mut consider = |at: usize, stop: Stop, replaces: bool, best: &mut Option<Insertion>| {
            let limit = best.as_ref().map_or(i64::MAX, |b| b.delta);
            let rest = at + usize::from(replaces);
            let Some(mut s) = route.states[at].after(instance, &stop, off) else { return };
            if !replaces && s.cost - route.states[at].cost >= limit {
                return;
            }
            for k in rest..n {
                match s.after(instance, &route.stops[k], off) {
                    Some(x) => s = x,
                    None => return,
                }
            }
            let delta = s.cost + w.terminal(instance, &s) - route.total;
            if delta < limit {
                *best = Some(Insertion { rider, delta, stop, at, replaces });
            }
        };
        if n < trips_max {
            for at in 0..=n {
                consider(at, single, false, &mut best);
            }
        }
        for at in 0..n {
            let stop = &route.stops[at];
            if stop.merchant == single.merchant && (stop.len as usize) < cap {
                for k in 0..=stop.len as usize {
                    consider(at, stop.with(instance, k, job), true, &mut best);
                }
            }
        }
    }
    let _ = State { time: 0, place: 0, cost: 0 };
    best
}
