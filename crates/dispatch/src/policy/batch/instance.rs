//! instance
use super::Options;
use crate::policy::{Point, Snapshot};

pub(super) const BUNDLE_LIMIT: usize = 6;

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub snapshot_index: usize,
    pub merchant: usize,
    pub placed: i64,
    pub ready: i64,
    pub door: i64,
    pub excluded: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Rider {
    pub snapshot_index: usize,
    pub free: i64,
    pub off: i64,
    pub spare: usize,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub jobs: Vec<Job>,
    pub riders: Vec<Rider>,
    pub merchants: Vec<Point>,
    to_merchant: Vec<i32>,
    between: Vec<i32>,
    approach: Vec<i32>,
    reach: Vec<Vec<(i32, u16)>>,
    pub approach_max: i64,
    pub before_pickup: i64,
    pub after_pickup: i64,
    pub before_dropoff: i64,
    pub after_dropoff: i64,
}

impl Instance {
    pub fn new(snapshot: &Snapshot, options: &Options) -> Self {
        let now = snapshot.now_s;
        let travel = &snapshot.travel;
        let mut ids: Vec<u32> = Vec::new();
        let mut merchants: Vec<Point> = Vec::new();
        let mut jobs = Vec::new();
        let mut doors = Vec::new();
        let riders: Vec<Rider> = snapshot
            .couriers
            .iter()
            .enumerate()
            .filter(|(_, c)| c.spare > 0 && c.free_s <= now + options.horizon_s && c.off_s >= now)
            .map(|(i, c)| Rider {
                snapshot_index: i,
                free: c.departs_s(now) - now,
                off: c.off_s - now,
                spare: c.spare.min(options.bundle_max).min(BUNDLE_LIMIT),
            })
            .collect();
        for (i, o) in snapshot.orders.iter().enumerate() {
            if o.ready_s > now + options.look_ahead_s {
                continue;
            }
            let merchant = match ids.iter().position(|&id| id == o.merchant) {
                Some(m) => m,
                None => {
                    ids.push(o.merchant);
                    merchants.push(o.pickup);
                    ids.len() - 1
                }
            };
            doors.push(o.dropoff);
            jobs.push(Job {
                snapshot_index: i,
                merchant,
                placed: o.placed_s - now,
                ready: o.ready_s - now,
                door: travel.seconds(merchants[merchant], o.dropoff),
                excluded: riders
                    .iter()
                    .enumerate()
                    .filter(|(_, r)| o.excluded.contains(&r.snapshot_index))
                    .map(|(k, _)| k)
                    .collect(),
            });
        }
        let places: Vec<Point> = riders
            .iter()
            .map(|r| snapshot.couriers[r.snapshot_index].position)
            .chain(doors.iter().copied())
            .collect();
        let m = merchants.len();
        let mut to_merchant = Vec::with_capacity(places.len() * m);
        for &p in &places {
            for &q in &merchants {
                to_merchant.push(travel.seconds(p, q) as i32);
            }
        }
        let reach = (0..m)
            .map(|q| {
                let mut near: Vec<(i32, u16)> = riders
                    .iter()
                    .enumerate()
                    .map(|(k, r)| (r.free as i32 + to_merchant[k * m + q], k as u16))
                    .filter(|&(t, k)| i64::from(t) <= riders[k as usize].off)
                    .collect();
                near.sort_unstable();
                near.truncate(options.x[4] as usize);
                near
            })
            .collect();
        let n = jobs.len();
        let mut between = vec![0i32; n * n];
        for a in 0..n {
            for b in 0..a {
                if jobs[a].merchant == jobs[b].merchant {
                    let t = travel.seconds(doors[a], doors[b]) as i32;
                    between[a * n + b] = t;
                    between[b * n + a] = t;
                }
            }
        }
        // expected approach: mean of nearest quarter of all known orders' merchants
        let mut all: Vec<(Point, u32)> = Vec::new();
        for o in &snapshot.orders {
            match all.iter_mut().find(|(p, _)| *p == o.pickup) {
                Some((_, k)) => *k += 1,
                None => all.push((o.pickup, 1)),
            }
        }
        let total: u32 = all.iter().map(|&(_, k)| k).sum();
        let mut approach = Vec::with_capacity(places.len());
        for &p in &places {
            let mut d: Vec<(i64, u32)> = all.iter().map(|&(q, k)| (travel.seconds(p, q), k)).collect();
            d.sort_unstable();
            let want = (total * options.x[1] as u32).div_ceil(100).max(1);
            let (mut got, mut sum) = (0u32, 0i64);
            for (t, k) in d {
                let take = k.min(want - got);
                sum += t * take as i64;
                got += take;
                if got == want {
                    break;
                }
            }
            approach.push(if got > 0 { (sum / got as i64) as i32 } else { 0 });
        }
        Self {
            jobs,
            riders,
            merchants,
            to_merchant,
            between,
            approach_max: i64::from(approach.iter().copied().max().unwrap_or(0)),
            approach,
            reach,
            before_pickup: snapshot.service.before_pickup_s(),
            after_pickup: snapshot.service.after_pickup_s(),
            before_dropoff: snapshot.service.before_dropoff_s(),
            after_dropoff: snapshot.service.after_dropoff_s(),
        }
    }
    #[inline]
    pub fn to_merchant(&self, place: usize, merchant: usize) -> i64 {
        i64::from(self.to_merchant[place * self.merchants.len() + merchant])
    }
    pub fn reach(&self, merchant: usize) -> &[(i32, u16)] {
        &self.reach[merchant]
    }
    #[inline]
    pub fn between(&self, a: usize, b: usize) -> i64 {
        i64::from(self.between[a * self.jobs.len() + b])
    }
    #[inline]
    pub fn approach(&self, place: usize) -> i64 {
        i64::from(self.approach[place])
    }
    #[inline]
    pub fn place_of_job(&self, job: usize) -> usize {
        self.riders.len() + job
    }
}
