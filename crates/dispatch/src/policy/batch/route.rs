//! A courier's planned trips and what they cost.
//!
//! The state after each stop is kept, so that a change at one stop costs only what follows it.

use super::Options;
use super::instance::Instance;

/// One second of waiting of one customer, in units of cost.
pub(super) const SECOND: i64 = 1000;

/// One trip: a merchant and the jobs carried from there, in the sequence of delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub merchant: usize,
    /// When the last of its jobs is ready.
    ready: i64,
    len: u8,
    jobs: [u16; Options::BUNDLE_LIMIT],
}

impl Stop {
    pub fn single(instance: &Instance, job: usize) -> Self {
        let mut stop = Self {
            merchant: instance.jobs[job].merchant,
            ready: i64::MIN,
            len: 0,
            jobs: [0; Options::BUNDLE_LIMIT],
        };
        stop.push(instance, job);
        stop
    }

    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub fn ready(&self) -> i64 {
        self.ready
    }

    pub fn jobs(&self) -> impl Iterator<Item = usize> + '_ {
        self.jobs[..self.len()].iter().map(|&job| usize::from(job))
    }

    /// The same trip with `job` as its delivery number `at`.
    pub fn with(&self, instance: &Instance, at: usize, job: usize) -> Self {
        let mut next = *self;
        next.push(instance, job);
        let len = next.len();
        next.jobs[at..len].rotate_right(1);
        next
    }

    /// The same trip without `job`; it may carry nothing then.
    pub fn without(&self, instance: &Instance, job: usize) -> Self {
        let mut next = Self { ready: i64::MIN, len: 0, ..*self };
        for kept in self.jobs().filter(|&kept| kept != job) {
            next.push(instance, kept);
        }
        next
    }

    fn push(&mut self, instance: &Instance, job: usize) {
        self.jobs[self.len()] = job as u16;
        self.len += 1;
        self.ready = self.ready.max(instance.jobs[job].ready);
    }
}

/// Where and when a courier is free, and what his customers have cost up to there.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub time: i64,
    pub place: usize,
    pub cost: i64,
}

impl State {
    /// When the courier can pick up at a merchant.
    pub fn pickup(&self, instance: &Instance, merchant: usize, ready: i64) -> i64 {
        let arrive = self.time + instance.to_merchant(self.place, merchant);
        ready.max(arrive + instance.before_pickup)
    }

    /// The state after one more trip; `None` if its pickup is after the end of the shift. The
    /// same times as [`trip_times`](crate::policy::trip_times), by table.
    pub fn after(&self, instance: &Instance, stop: &Stop, off: i64) -> Option<Self> {
        let pickup = self.pickup(instance, stop.merchant, stop.ready);
        if pickup > off {
            return None;
        }
        let mut next = Self { time: pickup + instance.after_pickup, ..*self };
        let mut last = None;
        for job in stop.jobs() {
            next.time += match last {
                None => instance.jobs[job].door,
                Some(last) => instance.between(last, job),
            };
            next.time += instance.before_dropoff;
            next.cost += next.time * SECOND;
            next.time += instance.after_dropoff;
            next.place = instance.place_of(job);
            last = Some(job);
        }
        Some(next)
    }

    /// The cost of a route that ends here: its customers, and the share of the courier's time
    /// until he can be useful again.
    pub fn total(&self, instance: &Instance, off: i64, share: i64) -> i64 {
        self.cost + share * (self.time + instance.approach(self.place)).min(off)
    }
}

/// The trips of one courier.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub stops: Vec<Stop>,
    /// One more than there are stops: before the first, and after each.
    pub states: Vec<State>,
    pub total: i64,
}

impl Route {
    pub fn empty(instance: &Instance, rider: usize, share: i64) -> Self {
        let start = State { time: instance.riders[rider].free, place: rider, cost: 0 };
        let off = instance.riders[rider].off;
        Self { stops: Vec::new(), states: vec![start], total: start.total(instance, off, share) }
    }

    /// The last state.
    pub fn end(&self) -> State {
        self.states[self.stops.len()]
    }

    /// Computes the states from a changed stop on. False if a pickup is after the end of the
    /// shift: possible even after a removal, for rounded travel times can break the triangle
    /// inequality.
    #[must_use]
    pub fn refresh(&mut self, instance: &Instance, off: i64, share: i64, changed: usize) -> bool {
        self.states.truncate(changed + 1);
        for index in changed..self.stops.len() {
            match self.states[index].after(instance, &self.stops[index], off) {
                Some(state) => self.states.push(state),
                None => return false,
            }
        }
        self.total = self.end().total(instance, off, share);
        true
    }
}
