//! The day, minute by minute.
//!
//! Within each minute what is due on the road happens and the minute's orders are placed, all at
//! once; then the dispatcher decides. So a courier who becomes free in a minute may be instructed
//! in it, and an order may be assigned in the minute in which it is placed.

use std::path::Path;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, try_join_all};
use steadfast_dispatch::courier::ShiftRequest;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{MerchantId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_dispatch::policy::Point;
use steadfast_dispatch::service::IdempotencyKey;
use steadfast_time::Monotonic;
use steadfast_time::sim::{DEFAULT_START, Simulation};

use super::day::{self, Day};
use super::history::History;
use super::identity::{Found, Identity};
use super::plan::Plan;
use super::platform::{Platform, at, at_minute, timestamp};
use super::storage::Journals;
use super::trips::{Trips, courier_id};
use super::{Args, Error};

/// Orders that one courier can carry at once. The recorded days set no limit; the policies make
/// smaller bundles than this.
const CAPACITY: u32 = 12;

/// How long the platform has to take an order, in simulated time. It takes none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders placed at the same instant, in one commit: all of them are there after a crash, or
/// none. Their names then sort in the sequence of the day whether it was interrupted or not. Less
/// than what a journal commits at once.
const TOGETHER: usize = 256;

/// Something that customers or couriers ask of the platform.
type Act = BoxFuture<'static, Result<(), Error>>;

/// A replay under way.
pub(super) struct Driver<'a> {
    day: &'a Day,
    platform: Platform,
    history: History,
    trips: Trips<'a>,
    /// Orders by the minute in which they are placed, as indices.
    placements: Vec<usize>,
    /// The next minute.
    next_min: i64,
    /// The last shift and the last placement are over.
    closes_min: i64,
}

impl<'a> Driver<'a> {
    /// Starts the day, or goes on with the minute in which it was interrupted.
    pub(super) fn start(day: &'a Day, args: &Args) -> Result<Self, Error> {
        let mut sim = Simulation::new(0);
        let data = args.data.as_deref();
        let journals = Journals::open(&mut sim, data)?;
        if let Some(data) = data {
            identify(&mut sim, &journals, data, args)?;
        }
        let mut history = History::starting_at(DEFAULT_START);
        history.read(journals.orders.store())?;
        // Not before what has happened.
        sim.sim_clock().advance_to(at(history.now.unwrap_or(DEFAULT_START)));
        let next_min = history.now_min().unwrap_or(0);

        // Whatever was under way when the replay was interrupted is finished here, at the same
        // instant as it would have been.
        let platform = Platform::start(sim, journals, args.policy, &day.parameters)?;
        let mut placements: Vec<usize> = (0..day.orders.len()).collect();
        placements.sort_by_key(|&index| (day.orders[index].placement_min, index));
        let placed = day.orders.iter().map(|order| order.placement_min);
        let ends = placed.chain(day.couriers.iter().map(|courier| courier.off_min));
        let mut driver = Self {
            day,
            platform,
            history,
            trips: Trips::new(day)?,
            closes_min: ends.max().unwrap_or(0) + 1,
            placements,
            next_min,
        };
        driver.start_shifts()?;
        driver.catch_up()?;
        Ok(driver)
    }

    /// The minute that comes next; nothing once the day is over.
    pub(super) fn next_minute(&self) -> Option<i64> {
        let ended = self.history.delivered + self.history.undone;
        let hopes = ended < self.day.orders.len() && self.next_min < self.closes_min;
        (hopes || !self.trips.are_over()).then_some(self.next_min)
    }

    /// Minutes until the last shift and the last placement are over.
    pub(super) fn minutes(&self) -> u64 {
        u64::try_from(self.closes_min).unwrap_or(0)
    }

    /// Orders delivered so far.
    pub(super) fn delivered(&self) -> usize {
        self.history.delivered
    }

    /// The trips as they were carried out.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        self.trips.plan(&self.history)
    }

    /// One minute of the day.
    pub(super) fn minute(&mut self, minute: i64) -> Result<(), Error> {
        let moment = at_minute(minute);
        let mut groups = self.placed_in(minute);
        let mut now = self.placing(groups.next().unwrap_or_default(), minute, moment)?;
        let couriers = &self.platform.services.couriers;
        for hand_over in self.trips.due(&self.history, minute) {
            now.push(hand_over.carry_out(couriers.clone(), minute).boxed());
        }
        self.platform.at(moment, try_join_all(now))??;
        for (nth, group) in groups.enumerate() {
            let moment = moment + Duration::from_millis(nth as u64 + 1);
            let placing = self.placing(group, minute, moment)?;
            self.platform.at(moment, try_join_all(placing))??;
        }
        // A tick's offers are one write: if any of this minute are there, all of them are.
        if self.history.last_assigned_min() != Some(minute) {
            self.platform.tick()?;
        }
        self.catch_up()?;
        self.next_min = minute + 1;
        Ok(())
    }

    /// Reads what has happened.
    fn catch_up(&mut self) -> Result<(), Error> {
        self.history.read(self.platform.journals.orders.store())?;
        self.trips.take(&self.history)
    }

    fn start_shifts(&mut self) -> Result<(), Error> {
        let mut shifts: Vec<Act> = Vec::new();
        for (index, courier) in self.day.couriers.iter().enumerate() {
            let id = courier_id(self.day, index)?;
            let couriers = self.platform.services.couriers.clone();
            if couriers.get(&id).is_ok() {
                continue;
            }
            let request = ShiftRequest {
                location: location(courier.position),
                zone: None,
                starts_at: Some(timestamp(courier.on_min)),
                ends_at: timestamp(courier.off_min),
                capacity: CAPACITY,
                auto_accept: true,
            };
            let minute = self.next_min;
            let start = async move {
                let set = couriers.put_shift(id.clone(), request).await;
                let refused = |error| Error::refused(minute, format!("the shift of {id}"), error);
                set.map(drop).map_err(refused)
            };
            shifts.push(start.boxed());
        }
        let now = self.platform.sim.clock().monotonic();
        self.platform.at(now, try_join_all(shifts))?.map(drop)
    }

    /// The orders of a minute, in groups that are placed together.
    fn placed_in(&self, minute: i64) -> impl Iterator<Item = Vec<&'a day::Order>> + use<'a> {
        let day = self.day;
        let placed_min = |index: &usize| day.orders[*index].placement_min;
        let all = &self.placements;
        let first = all.partition_point(|index| placed_min(index) < minute);
        let end = all.partition_point(|index| placed_min(index) <= minute);
        let group =
            |group: &[usize]| -> Vec<_> { group.iter().map(|&index| &day.orders[index]).collect() };
        let groups: Vec<_> = all[first..end].chunks(TOGETHER).map(group).collect();
        groups.into_iter()
    }

    fn placing(
        &self,
        group: Vec<&day::Order>,
        minute: i64,
        moment: Monotonic,
    ) -> Result<Vec<Act>, Error> {
        let place = |order: &day::Order| {
            let refused = {
                let id = order.id.clone();
                move |error| Error::refused(minute, format!("order {id} is placed"), error)
            };
            let request = self.request(order)?;
            let key = IdempotencyKey::parse(order.id.as_bytes());
            let key = key.map_err(|problem| refused(problem.into()))?;
            let orders = self.platform.services.orders.clone();
            let (tenant, deadline) = (TenantId::public(), moment + PATIENCE);
            let place = async move {
                let placed = orders.place(request, tenant, key, deadline).await;
                placed.map(drop).map_err(refused)
            };
            Ok(place.boxed())
        };
        group.into_iter().map(place).collect()
    }

    fn request(&self, order: &day::Order) -> Result<PlaceOrder, Error> {
        let restaurant = &self.day.restaurants[order.restaurant];
        Ok(PlaceOrder {
            merchant: restaurant.id.parse::<MerchantId>()?,
            pickup: location(restaurant.position),
            dropoff: location(order.dropoff),
            items: vec![Item { sku: "meal".to_owned(), quantity: 1 }],
            amount: Money { currency: "USD".to_owned(), minor: 1_000 },
            ready_at: Some(timestamp(order.ready_min)),
            customer: Some(order.id.clone()),
            note: None,
        })
    }
}

/// Makes sure that the data directory holds this replay, or nothing yet.
fn identify(
    sim: &mut Simulation,
    journals: &Journals,
    data: &Path,
    args: &Args,
) -> Result<(), Error> {
    let wanted = Identity::of(args)?;
    match Identity::found(journals.orders.store())? {
        Found::Replay(found) if found == wanted => Ok(()),
        Found::Nothing => {
            let write = wanted.write(DEFAULT_START);
            let journal = journals.orders.clone();
            let committed = sim.block_on(async move { journal.commit(write).await });
            journals.check().map_err(Error::Storage)?;
            committed.map(drop).map_err(Error::Record)
        }
        found => Err(wanted.refuse(data, &found)),
    }
}

fn location(point: Point) -> Location {
    Location::planar(point.x, point.y)
}
