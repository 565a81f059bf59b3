//! Ruin and recreate: take a few orders out of the plan, put them back better.

use super::Options;
use super::insertion::{Inserter, Insertion};
use super::instance::{Instance, neighbours};
use super::route::{Route, SECOND};

/// The cost of an order that is in no route: more than any delay a plan could accept instead,
/// so that a plan leaves an order out only if nobody can pick it up.
pub(super) const UNSERVED: i64 = 6 * 3600 * SECOND;

/// Neighbours kept for each order; a round takes out fewer.
const NEIGHBOURS_MAX: usize = 24;

/// One decision's search.
pub(super) struct Search<'a> {
    instance: &'a Instance,
    options: &'a Options,
    inserter: Inserter<'a>,
    routes: Vec<Route>,
    rider_of: Vec<Option<usize>>,
    unserved: Vec<usize>,
    /// Jobs, the first ready first.
    by_ready: Vec<usize>,
    neighbours: Vec<Vec<usize>>,
    rng: fastrand::Rng,
}

/// What a round changed, to take it back.
#[derive(Default)]
struct Undo {
    routes: Vec<(usize, Route)>,
    riders: Vec<(usize, Option<usize>)>,
    unserved: Vec<usize>,
}

impl<'a> Search<'a> {
    pub fn new(instance: &'a Instance, options: &'a Options) -> Self {
        let share = options.share_permille(instance.jobs.len(), instance.riders.len());
        let jobs = instance.jobs.len();
        let mut by_ready: Vec<usize> = (0..jobs).collect();
        by_ready.sort_by_key(|&job| instance.jobs[job].ready);
        Self {
            instance,
            options,
            inserter: Inserter { instance, share, trips_max: options.trips_max },
            routes: (0..instance.riders.len())
                .map(|rider| Route::empty(instance, rider, share))
                .collect(),
            rider_of: vec![None; jobs],
            unserved: Vec::new(),
            by_ready,
            neighbours: neighbours(instance, NEIGHBOURS_MAX),
            rng: fastrand::Rng::with_seed(options.seed),
        }
    }

    /// The routes found, one for each rider of the instance.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Builds a first plan, then improves it for as many rounds as the options give.
    pub fn run(&mut self) {
        let jobs = self.instance.jobs.len();
        if jobs == 0 || self.routes.is_empty() {
            return;
        }
        for job in self.by_ready.clone() {
            match self.inserter.best(&self.routes, job, || false) {
                Some(insertion) => self.insert(job, &insertion),
                None => self.unserved.push(job),
            }
        }
        let rounds = (jobs * self.options.rounds_per_order).min(self.options.rounds_max) as i64;
        for round in 0..rounds {
            // Twice the mean at the start, evenly down to nothing.
            let most = 2 * self.options.tolerance_s * SECOND * (rounds - round) / rounds;
            let tolerance = self.rng.i64(0..=most.max(0));
            self.round(tolerance);
        }
    }

    /// One round; kept if the plan gets worse by no more than `tolerance`.
    fn round(&mut self, tolerance: i64) {
        let mut removed = self.choose();
        let mut undo = Undo { unserved: self.unserved.clone(), ..Undo::default() };
        let mut saved = 0;
        let mut feasible = true;
        for &job in &removed {
            undo.riders.push((job, self.rider_of[job]));
            match self.remove(job, &mut undo) {
                Some(cost) => saved += cost,
                None => feasible = false,
            }
        }
        let mut spent = 0;
        if feasible {
            self.shuffle(&mut removed);
            for &job in &removed {
                spent += self.put_back(job, &mut undo);
            }
        }
        if !feasible || spent - saved > tolerance {
            for (rider, route) in undo.routes {
                self.routes[rider] = route;
            }
            for (job, rider) in undo.riders {
                self.rider_of[job] = rider;
            }
            self.unserved = undo.unserved;
        }
    }

    /// Some jobs near each other, one of which is due soon: effort goes where the decision is.
    fn choose(&mut self) -> Vec<usize> {
        let seed = if !self.unserved.is_empty() && self.rng.u8(..4) == 0 {
            self.unserved[self.rng.usize(..self.unserved.len())]
        } else {
            let early = self.rng.f64() * self.rng.f64();
            self.by_ready[(early * self.by_ready.len() as f64) as usize]
        };
        let count = self.rng.usize(1..=self.options.ruin_max.max(1));
        let mut chosen = vec![seed];
        for &neighbour in &self.neighbours[seed] {
            if chosen.len() >= count {
                break;
            }
            if self.rng.u8(..4) != 0 {
                chosen.push(neighbour);
            }
        }
        chosen
    }

    /// A sequence for putting back: by chance, the first ready first, or the farthest first.
    fn shuffle(&mut self, jobs: &mut [usize]) {
        let all = &self.instance.jobs;
        match self.rng.u8(..3) {
            0 => self.rng.shuffle(jobs),
            1 => jobs.sort_by_key(|&job| all[job].ready.max(0)),
            _ => jobs.sort_by_key(|&job| std::cmp::Reverse(all[job].door)),
        }
    }

    fn insert(&mut self, job: usize, insertion: &Insertion) {
        let route = &mut self.routes[insertion.rider];
        if insertion.replaces {
            route.stops[insertion.at] = insertion.stop;
        } else {
            route.stops.insert(insertion.at, insertion.stop);
        }
        let off = self.instance.riders[insertion.rider].off;
        let feasible = route.refresh(self.instance, off, self.inserter.share, insertion.at);
        debug_assert!(feasible, "an insertion is only offered if every pickup is in time");
        self.rider_of[job] = Some(insertion.rider);
    }

    /// Puts a job where it costs least; gives the cost.
    fn put_back(&mut self, job: usize, undo: &mut Undo) -> i64 {
        let rng = &mut self.rng;
        // About one better place in a hundred is overlooked ("blinks" of Christiaens and
        // Vanden Berghe).
        let best = self.inserter.best(&self.routes, job, || rng.u8(..) < 3);
        match best {
            Some(insertion) => {
                undo.save(insertion.rider, &self.routes);
                self.insert(job, &insertion);
                insertion.cost
            }
            None => {
                self.rider_of[job] = None;
                self.unserved.push(job);
                UNSERVED
            }
        }
    }

    /// Takes a job out; gives the cost saved, or `None` if the route can not be driven without it.
    fn remove(&mut self, job: usize, undo: &mut Undo) -> Option<i64> {
        let Some(rider) = self.rider_of[job].take() else {
            self.unserved.retain(|&other| other != job);
            return Some(UNSERVED);
        };
        undo.save(rider, &self.routes);
        let route = &mut self.routes[rider];
        let at = route.stops.iter().position(|stop| stop.jobs().any(|other| other == job))?;
        let before = route.total;
        let rest = route.stops[at].without(self.instance, job);
        if rest.len() == 0 {
            route.stops.remove(at);
        } else {
            route.stops[at] = rest;
        }
        let off = self.instance.riders[rider].off;
        route.refresh(self.instance, off, self.inserter.share, at).then_some(before - route.total)
    }
}

impl Undo {
    /// Remembers a route before its first change.
    fn save(&mut self, rider: usize, routes: &[Route]) {
        if self.routes.iter().all(|(saved, _)| *saved != rider) {
            self.routes.push((rider, routes[rider].clone()));
        }
    }
}
