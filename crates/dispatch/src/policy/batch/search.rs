//! search
use super::Options;
use super::insertion;
use super::instance::Instance;
use super::route::{Route, Weights, Stop};

const UNSERVED: i64 = 6 * 3600 * 1000;

pub(super) struct Search<'a> {
    instance: &'a Instance,
    options: &'a Options,
    w: Weights,
    routes: Vec<Route>,
    rider_of: Vec<Option<usize>>,
    unserved: Vec<usize>,
    near: Vec<Vec<usize>>,
    rng: fastrand::Rng,
}

impl<'a> Search<'a> {
    pub fn new(instance: &'a Instance, options: &'a Options) -> Self {
        let mut w = Weights { time: options.courier_time_permille, approach: options.approach_permille, x: options.x };
        if options.x[2] > 0 {
            let ratio = 1000 * instance.jobs.len() as i64 / instance.riders.len().max(1) as i64;
            let f = ratio.clamp(options.x[2], options.x[3]);
            w.time = w.time * f / 1000;
            w.approach = w.approach * f / 1000;
        }
        let routes = (0..instance.riders.len()).map(|r| Route::empty(instance, r, &w)).collect();
        let n = instance.jobs.len();
        let near = (0..n)
            .map(|a| {
                let mut d: Vec<(i64, usize)> = (0..n)
                    .filter(|&b| b != a)
                    .map(|b| {
                        let (x, y) = (&instance.jobs[a], &instance.jobs[b]);
                        let apart = instance.to_merchant(instance.place_of_job(a), y.merchant)
                            .min(instance.to_merchant(instance.place_of_job(b), x.merchant));
                        let same = if x.merchant == y.merchant { 0 } else { apart };
                        (same + (x.ready.max(0) - y.ready.max(0)).abs(), b)
                    })
                    .collect();
                d.sort_unstable();
                d.truncate(24);
                d.into_iter().map(|(_, b)| b).collect()
            })
            .collect();
        Self {
            instance,
            options,
            w,
            routes,
            rider_of: vec![None; n],
            unserved: (0..n).collect(),
            near,
            rng: fastrand::Rng::with_seed(options.seed),
        }
    }

    pub fn solution(&self) -> Vec<&[Stop]> {
        self.routes.iter().map(|r| r.stops.as_slice()).collect()
    }

    fn insert(&mut self, job: usize, blink: bool) -> i64 {
        match insertion::best(self.instance, &self.w, &self.routes, job, self.options.trips_max, &mut self.rng, blink) {
            Some(i) => {
                let route = &mut self.routes[i.rider];
                if i.replaces {
                    route.stops[i.at] = i.stop;
                } else {
                    route.stops.insert(i.at, i.stop);
                }
                route.refresh(self.instance, self.instance.riders[i.rider].off, i.at, &self.w);
                self.rider_of[job] = Some(i.rider);
                i.delta
            }
            None => {
                self.unserved.push(job);
                self.rider_of[job] = None;
                UNSERVED
            }
        }
    }

    fn remove(&mut self, job: usize, saved: &mut Vec<(usize, Route)>) -> i64 {
        match self.rider_of[job] {
            None => {
                self.unserved.retain(|&j| j != job);
                UNSERVED
            }
            Some(r) => {
                if !saved.iter().any(|(k, _)| *k == r) {
                    saved.push((r, self.routes[r].clone()));
                }
                let route = &mut self.routes[r];
                let at = route.stops.iter().position(|s| s.jobs().any(|j| j == job)).unwrap_or(0);
                let before = route.total;
                let next = route.stops[at].without(self.instance, job);
                if next.len == 0 {
                    route.stops.remove(at);
                } else {
                    route.stops[at] = next;
                }
                route.refresh(self.instance, self.instance.riders[r].off, at, &self.w);
                before - route.total
            }
        }
    }

    pub fn run(&mut self) {
        let n = self.instance.jobs.len();
        if n == 0 || self.routes.is_empty() {
            return;
        }
        let mut sequence: Vec<usize> = std::mem::take(&mut self.unserved);
        sequence.sort_by_key(|&j| (self.instance.jobs[j].ready.max(0), self.instance.jobs[j].placed));
        for j in sequence {
            self.insert(j, false);
        }
        let iterations = (n * self.options.iterations_per_order).min(self.options.iterations_max);
        for it in 0..iterations {
            let t = self.options.temperature as f64 * 1000.0 * (1.0 - it as f64 / iterations as f64);
            self.step(t);
        }
    }

    fn step(&mut self, temperature: f64) {
        let n = self.instance.jobs.len();
        let seed = if !self.unserved.is_empty() && self.rng.u8(..4) == 0 {
            self.unserved[self.rng.usize(..self.unserved.len())]
        } else {
            self.rng.usize(..n)
        };
        let count = 1 + self.rng.usize(..self.options.ruin);
        let mut removed = vec![seed];
        let near_len = self.near[seed].len();
        for k in 0..near_len {
            if removed.len() >= count {
                break;
            }
            if self.rng.u8(..4) != 0 {
                removed.push(self.near[seed][k]);
            }
        }
        let mut saved: Vec<(usize, Route)> = Vec::new();
        let was: Vec<Option<usize>> = removed.iter().map(|&j| self.rider_of[j]).collect();
        let unserved = self.unserved.clone();
        let mut gain = 0;
        for &j in &removed {
            gain += self.remove(j, &mut saved);
        }
        let mut order = removed.clone();
        match self.rng.u8(..3) {
            0 => self.rng.shuffle(&mut order),
            1 => order.sort_by_key(|&j| self.instance.jobs[j].ready.max(0)),
            _ => order.sort_by_key(|&j| std::cmp::Reverse(self.instance.jobs[j].door)),
        }
        let mut spent = 0;
        let mut kept: Vec<(usize, Route)> = Vec::new();
        for &j in &order {
            let r = {
                // save lazily
                let ins = insertion::best(self.instance, &self.w, &self.routes, j, self.options.trips_max, &mut self.rng, true);
                ins
            };
            match r {
                Some(i) => {
                    if !saved.iter().any(|(k, _)| *k == i.rider) {
                        saved.push((i.rider, self.routes[i.rider].clone()));
                    }
                    let route = &mut self.routes[i.rider];
                    if i.replaces { route.stops[i.at] = i.stop; } else { route.stops.insert(i.at, i.stop); }
                    route.refresh(self.instance, self.instance.riders[i.rider].off, i.at, &self.w);
                    self.rider_of[j] = Some(i.rider);
                    spent += i.delta;
                }
                None => {
                    self.unserved.push(j);
                    self.rider_of[j] = None;
                    spent += UNSERVED;
                }
            }
        }
        let worse = spent - gain;
        let accept = worse <= 0
            || (temperature > 0.0 && (worse as f64) < temperature * -(self.rng.f64().max(1e-12)).ln());
        if !accept {
            for (k, r) in saved.drain(..) {
                self.routes[k].restore(&r);
            }
            for (&j, &r) in removed.iter().zip(&was) {
                self.rider_of[j] = r;
            }
            self.unserved = unserved;
        }
        kept.clear();
    }
}
