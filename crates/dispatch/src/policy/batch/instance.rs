//! A snapshot made ready for the search: small indices, times from now, tables of travel times.
//!
//! The search looks up millions of travel times in a decision and computes none. A *place* is
//! where a courier can stand: at the start of his route (places `0..riders`) or at a customer's
//! door (the rest).

use std::collections::HashMap;

use super::Options;
use crate::policy::{Point, Snapshot, Travel};

/// A waiting order. Times are seconds from now.
#[derive(Debug)]
pub(super) struct Job {
    /// Index into the snapshot's orders.
    pub order: usize,
    pub merchant: usize,
    pub ready: i64,
    /// Travel time from the merchant to the customer.
    pub door: i64,
    /// Riders who must not get it.
    pub excluded: Vec<usize>,
}

/// A courier. Times are seconds from now.
#[derive(Debug)]
pub(super) struct Rider {
    /// Index into the snapshot's couriers.
    pub courier: usize,
    /// From when he is free; 0 if he is now.
    pub free: i64,
    /// Last pickup.
    pub off: i64,
    /// Most orders on one trip.
    pub capacity: usize,
}

/// A rider as seen from a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reach {
    /// When he can be there if he goes straight.
    pub arrive: i64,
    pub rider: usize,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub jobs: Vec<Job>,
    pub riders: Vec<Rider>,
    /// Largest approach of a place.
    pub approach_max: i64,
    /// Halves of the service times.
    pub before_pickup: i64,
    pub after_pickup: i64,
    pub before_dropoff: i64,
    pub after_dropoff: i64,
    merchants: usize,
    to_merchant: Vec<i64>,
    between: Vec<i64>,
    approach: Vec<i64>,
    reach: Vec<Vec<Reach>>,
}

impl Instance {
    pub fn new(snapshot: &Snapshot, options: &Options) -> Self {
        let travel = &snapshot.travel;
        let riders = riders(snapshot, options);
        let (jobs, merchants) = jobs(snapshot, options, &riders);
        let starts = riders.iter().map(|rider| snapshot.couriers[rider.courier].position);
        let doors = jobs.iter().map(|job| snapshot.orders[job.order].dropoff);
        let places: Vec<Point> = starts.chain(doors).collect();
        let to_merchant: Vec<i64> = places
            .iter()
            .flat_map(|&place| merchants.iter().map(move |&m| travel.seconds(place, m)))
            .collect();
        let mut approach = approach(&to_merchant, &jobs, merchants.len(), places.len());
        for drive in &mut approach {
            *drive = *drive * options.approach_percent / 100;
        }
        Self {
            approach_max: approach.iter().copied().max().unwrap_or(0),
            before_pickup: snapshot.service.before_pickup_s(),
            after_pickup: snapshot.service.after_pickup_s(),
            before_dropoff: snapshot.service.before_dropoff_s(),
            after_dropoff: snapshot.service.after_dropoff_s(),
            merchants: merchants.len(),
            between: between(travel, &jobs, &places[riders.len()..]),
            reach: reach(&to_merchant, &riders, merchants.len()),
            to_merchant,
            approach,
            jobs,
            riders,
        }
    }

    /// Travel time from a place to a merchant.
    pub fn to_merchant(&self, place: usize, merchant: usize) -> i64 {
        self.to_merchant[place * self.merchants + merchant]
    }

    /// Travel time between the doors of two jobs of one merchant.
    pub fn between(&self, from: usize, to: usize) -> i64 {
        self.between[from * self.jobs.len() + to]
    }

    /// Mean travel time from a place to the merchants of the waiting orders, weighted as the
    /// options say.
    pub fn approach(&self, place: usize) -> i64 {
        self.approach[place]
    }

    /// The door of a job as a place.
    pub fn place_of(&self, job: usize) -> usize {
        self.riders.len() + job
    }

    /// Riders who can be at a merchant before the end of their shift, the first one first.
    pub fn reach(&self, merchant: usize) -> &[Reach] {
        &self.reach[merchant]
    }

    /// How far two jobs are from being alternatives for the same rider, in seconds: the drive
    /// from one's door to the other's merchant, and the time between their being ready.
    pub fn apart(&self, one: usize, other: usize) -> i64 {
        let (a, b) = (&self.jobs[one], &self.jobs[other]);
        let drive = if a.merchant == b.merchant {
            0
        } else {
            let there = self.to_merchant(self.place_of(one), b.merchant);
            there.min(self.to_merchant(self.place_of(other), a.merchant))
        };
        drive + (a.ready.max(0) - b.ready.max(0)).abs()
    }
}

fn riders(snapshot: &Snapshot, options: &Options) -> Vec<Rider> {
    let now_s = snapshot.now_s;
    let most = options.bundle_max.min(Options::BUNDLE_LIMIT);
    let mut riders: Vec<Rider> = snapshot
        .couriers
        .iter()
        .enumerate()
        .map(|(courier, candidate)| Rider {
            courier,
            free: candidate.departs_s(now_s).saturating_sub(now_s),
            off: candidate.off_s.saturating_sub(now_s),
            capacity: candidate.spare.min(most),
        })
        .filter(|r| r.capacity > 0 && r.free <= options.horizon_s && r.free <= r.off)
        .collect();
    keep_first(&mut riders, options.couriers_max, |rider| rider.free, |rider| rider.courier);
    riders
}

/// The jobs, and the positions of their merchants.
fn jobs(snapshot: &Snapshot, options: &Options, riders: &[Rider]) -> (Vec<Job>, Vec<Point>) {
    let mut orders: Vec<usize> = (0..snapshot.orders.len())
        .filter(|&o| {
            snapshot.orders[o].ready_s.saturating_sub(snapshot.now_s) <= options.look_ahead_s
        })
        .collect();
    keep_first(&mut orders, options.orders_max, |&o| snapshot.orders[o].ready_s, |&o| o);
    let mut merchants = Vec::new();
    let mut by_id: HashMap<u32, usize> = HashMap::new();
    let job = |order: usize| {
        let waiting = &snapshot.orders[order];
        let merchant = *by_id.entry(waiting.merchant).or_insert_with(|| {
            merchants.push(waiting.pickup);
            merchants.len() - 1
        });
        let is_excluded = |&rider: &usize| waiting.excluded.contains(&riders[rider].courier);
        Job {
            order,
            merchant,
            ready: waiting.ready_s.saturating_sub(snapshot.now_s),
            door: snapshot.travel.seconds(merchants[merchant], waiting.dropoff),
            excluded: if waiting.excluded.is_empty() {
                Vec::new()
            } else {
                (0..riders.len()).filter(is_excluded).collect()
            },
        }
    };
    let jobs = orders.into_iter().map(job).collect();
    (jobs, merchants)
}

/// Keeps the `most` items that come first by `urgency`, in the sequence of `index`.
fn keep_first<T>(
    items: &mut Vec<T>,
    most: usize,
    urgency: impl Fn(&T) -> i64,
    index: impl Fn(&T) -> usize,
) {
    if items.len() > most {
        items.sort_by_key(|item| (urgency(item), index(item)));
        items.truncate(most);
        items.sort_by_key(index);
    }
}

fn between(travel: &Travel, jobs: &[Job], doors: &[Point]) -> Vec<i64> {
    let n = jobs.len();
    let mut table = vec![0; n * n];
    for from in 0..n {
        for to in (0..n).filter(|&to| jobs[to].merchant == jobs[from].merchant) {
            table[from * n + to] = travel.seconds(doors[from], doors[to]);
        }
    }
    table
}

/// For each place the mean travel time to the merchants, weighted by their waiting orders.
fn approach(to_merchant: &[i64], jobs: &[Job], merchants: usize, places: usize) -> Vec<i64> {
    let mut waiting = vec![0; merchants];
    for job in jobs {
        waiting[job.merchant] += 1;
    }
    if merchants == 0 {
        return vec![0; places];
    }
    to_merchant
        .chunks_exact(merchants)
        .map(|row| {
            let sum: i64 = row.iter().zip(&waiting).map(|(travel, orders)| travel * orders).sum();
            sum / jobs.len() as i64
        })
        .collect()
}

fn reach(to_merchant: &[i64], riders: &[Rider], merchants: usize) -> Vec<Vec<Reach>> {
    let of_merchant = |merchant: usize| {
        let mut reach: Vec<Reach> = riders
            .iter()
            .enumerate()
            .map(|(rider, r)| Reach {
                arrive: r.free + to_merchant[rider * merchants + merchant],
                rider,
            })
            .filter(|reach| reach.arrive <= riders[reach.rider].off)
            .collect();
        reach.sort_unstable();
        reach
    };
    (0..merchants).map(of_merchant).collect()
}

/// The jobs nearest to each job by [`Instance::apart`], at most `most`, nearest first.
pub(super) fn neighbours(instance: &Instance, most: usize) -> Vec<Vec<usize>> {
    let jobs = instance.jobs.len();
    let of_job = |job: usize| {
        let mut others: Vec<(i64, usize)> = (0..jobs)
            .filter(|&other| other != job)
            .map(|other| (instance.apart(job, other), other))
            .collect();
        if others.len() > most {
            others.select_nth_unstable(most);
            others.truncate(most);
        }
        others.sort_unstable();
        others.into_iter().map(|(_, other)| other).collect()
    };
    (0..jobs).map(of_job).collect()
}
