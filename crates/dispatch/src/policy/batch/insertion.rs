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
    let door = instance.jobs[job].door + instance.after_pickup + instance.before_dropoff;
    for &(direct, rider) in instance.reach(instance.jobs[job].merchant) {
        let rider = rider as usize;
        let route = &routes[rider];
        let least = (single.ready.max(i64::from(direct) + instance.before_pickup) + door) * 1000;
        if let Some(b) = &best {
            if b.delta <= least - w.approach * instance.approach_max {
                break;
            }
            let end = route.states[route.stops.len()].place;
            if b.delta <= least + w.approach * (instance.approach(instance.place_of_job(job)) - instance.approach(end)).min(0) {
                continue;
            }
        }
        if !instance.jobs[job].excluded.is_empty() && instance.jobs[job].excluded.contains(&rider) {
            continue;
        }
        let off = instance.riders[rider].off;
        let cap = instance.riders[rider].spare;
        let n = route.stops.len();
        let mut consider = |at: usize, stop: Stop, replaces: bool, best: &mut Option<Insertion>| {
            let limit = best.as_ref().map_or(i64::MAX, |b| b.delta);
            let rest = at + usize::from(replaces);
            if !replaces {
                let st = &route.states[at];
                let arrive = st.time + instance.to_merchant(st.place, stop.merchant as usize);
                let pickup = stop.ready.max(arrive + instance.before_pickup);
                if pickup > off || (at < n && (pickup + door) * 1000 >= limit) {
                    return;
                }
            }
            let Some(mut s) = route.states[at].after(instance, &stop, off) else { return };
            for k in rest..n {
                match s.after(instance, &route.stops[k], off) {
                    Some(x) => s = x,
                    None => return,
                }
            }
            let delta = s.cost + w.terminal(instance, &s, off) - route.total;
            if delta < limit && !(blink && rng.u8(..) < 3) {
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
