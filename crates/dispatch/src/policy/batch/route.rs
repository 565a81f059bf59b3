//! route
use super::instance::{BUNDLE_LIMIT, Instance};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stop {
    pub merchant: u32,
    pub len: u8,
    pub ready: i64,
    jobs: [u16; BUNDLE_LIMIT],
}

impl Stop {
    pub fn single(instance: &Instance, job: usize) -> Self {
        let mut jobs = [0; BUNDLE_LIMIT];
        jobs[0] = job as u16;
        Self { merchant: instance.jobs[job].merchant as u32, len: 1, ready: instance.jobs[job].ready, jobs }
    }
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.jobs[..self.len as usize].iter().map(|&j| j as usize)
    }
    pub fn with(&self, instance: &Instance, at: usize, job: usize) -> Self {
        let mut next = *self;
        next.jobs.copy_within(at..self.len as usize, at + 1);
        next.jobs[at] = job as u16;
        next.len += 1;
        next.ready = next.ready.max(instance.jobs[job].ready);
        next
    }
    pub fn without(&self, instance: &Instance, job: usize) -> Self {
        let mut next = *self;
        next.len = 0;
        next.ready = i64::MIN;
        for j in self.jobs() {
            if j != job {
                next.jobs[next.len as usize] = j as u16;
                next.len += 1;
                next.ready = next.ready.max(instance.jobs[j].ready);
            }
        }
        next
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub time: i64,
    pub place: usize,
    pub cost: i64,
}

impl State {
    #[inline]
    pub fn after(&self, instance: &Instance, stop: &Stop, off: i64) -> Option<State> {
        let arrive = self.time + instance.to_merchant(self.place, stop.merchant as usize);
        let pickup = stop.ready.max(arrive + instance.before_pickup);
        if pickup > off {
            return None;
        }
        let mut time = pickup + instance.after_pickup;
        let mut cost = self.cost;
        let mut last = usize::MAX;
        for j in stop.jobs() {
            time += if last == usize::MAX { instance.jobs[j].door } else { instance.between(last, j) };
            time += instance.before_dropoff;
            cost += time * 1000;
            time += instance.after_dropoff;
            last = j;
        }
        Some(State { time, place: instance.place_of_job(last), cost })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Route {
    pub stops: Vec<Stop>,
    pub states: Vec<State>,
    pub total: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub time: i64,
    pub approach: i64,
    pub x: [i64; 6],
}

impl Weights {
    #[inline]
    pub fn terminal(&self, instance: &Instance, state: &State, off: i64) -> i64 {
        if self.x[0] == 1 {
            let a = self.approach * instance.approach(state.place) / self.time.max(1);
            return self.time * (state.time + a).min(off);
        }
        self.time * state.time + self.approach * instance.approach(state.place)
    }
}

impl Route {
    pub fn empty(instance: &Instance, rider: usize, w: &Weights) -> Self {
        let s = State { time: instance.riders[rider].free, place: rider, cost: 0 };
        Self { stops: Vec::new(), states: vec![s], total: w.terminal(instance, &s, instance.riders[rider].off) }
    }
    pub fn refresh(&mut self, instance: &Instance, off: i64, from: usize, w: &Weights) {
        self.states.truncate(from + 1);
        for k in from..self.stops.len() {
            let next = self.states[k].after(instance, &self.stops[k], off);
            match next {
                Some(s) => self.states.push(s),
                // removal can only make it earlier, except for a failing triangle inequality
                None => {
                    self.total = i64::MAX / 4;
                    let s = self.states[k];
                    self.states.push(s);
                }
            }
        }
        let last = self.states[self.stops.len()];
        self.total = last.cost + w.terminal(instance, &last, off);
    }
    pub fn restore(&mut self, other: &Route) {
        self.stops.clone_from(&other.stops);
        self.states.clone_from(&other.states);
        self.total = other.total;
    }
}
