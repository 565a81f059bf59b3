//! The cheapest place for one order in all routes.
//!
//! This is where a decision spends its time. Two bounds skip what can not be better: couriers
//! are tried by their straight arrival at the merchant, and a customer is never served earlier
//! than by going there straight. Both leave room for what the change may save at the end of
//! the courier's route; without it the couriers far from all orders, who should be used first, are
//! exactly the ones that are skipped.

use super::instance::Instance;
use super::route::{Route, SECOND, Stop};

/// A way to serve a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insertion {
    pub rider: usize,
    /// What it adds to the cost of the rider's route.
    pub cost: i64,
    /// The new or changed trip.
    pub stop: Stop,
    /// Its place in the route.
    pub at: usize,
    /// Whether it takes the place of the trip that is there.
    pub replaces: bool,
}

/// Searches all routes for one job.
pub(super) struct Inserter<'a> {
    pub instance: &'a Instance,
    /// Share of a courier's time, see [`State::total`](super::route::State::total).
    pub share: i64,
    pub trips_max: usize,
}

impl Inserter<'_> {
    /// The cheapest insertion; `None` if no rider can serve the job. Now and then, by
    /// `overlook`, a better one is passed over, which keeps the search from walking in circles.
    pub fn best(
        &self,
        routes: &[Route],
        job: usize,
        mut overlook: impl FnMut() -> bool,
    ) -> Option<Insertion> {
        let instance = self.instance;
        let wanted = &instance.jobs[job];
        let single = Stop::single(instance, job);
        let ride = instance.after_pickup + wanted.door + instance.before_dropoff;
        let saved_max = self.share * instance.approach_max;
        let mut best: Option<Insertion> = None;
        for reach in instance.reach(wanted.merchant) {
            let route = &routes[reach.rider];
            let pickup = wanted.ready.max(reach.arrive + instance.before_pickup);
            if let Some(best) = &best {
                let least = (pickup + ride) * SECOND;
                if least - saved_max >= best.cost {
                    break;
                }
                let saved = instance.approach(route.end().place)
                    - instance.approach(instance.place_of(job));
                if least - self.share * saved.max(0) >= best.cost {
                    continue;
                }
            }
            if wanted.excluded.contains(&reach.rider) {
                continue;
            }
            let mut limit = best.map_or(i64::MAX, |best| best.cost);
            let rider = &instance.riders[reach.rider];
            let mut consider = |at: usize, stop: Stop, replaces: bool| {
                let cost = self.cost(route, rider.off, at, &stop, replaces);
                if let Some(cost) = cost.filter(|&cost| cost < limit && !overlook()) {
                    limit = cost;
                    best = Some(Insertion { rider: reach.rider, cost, stop, at, replaces });
                }
            };
            if route.stops.len() < self.trips_max {
                for at in 0..=route.stops.len() {
                    consider(at, single, false);
                }
            }
            for (at, stop) in route.stops.iter().enumerate() {
                if stop.merchant == wanted.merchant && stop.len() < rider.capacity {
                    for delivery in 0..=stop.len() {
                        consider(at, stop.with(instance, delivery, job), true);
                    }
                }
            }
        }
        best
    }

    /// What a new or changed stop adds to a route; `None` if a pickup would be after the shift.
    fn cost(&self, route: &Route, off: i64, at: usize, stop: &Stop, replaces: bool) -> Option<i64> {
        let mut state = route.states[at].after(self.instance, stop, off)?;
        for stop in &route.stops[at + usize::from(replaces)..] {
            state = state.after(self.instance, stop, off)?;
        }
        Some(state.total(self.instance, off, self.share) - route.total)
    }
}
