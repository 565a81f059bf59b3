//! The day's customers and couriers.
//!
//! Within each minute first what is due on the road happens, then the minute's orders are placed,
//! then the dispatcher decides: so a courier who becomes free in a minute may be instructed in
//! it, and an order may be assigned in the minute in which it is placed.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, try_join_all};
use steadfast_dispatch::courier::ShiftRequest;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{CourierId, MerchantId, NameError, OfferId, OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_dispatch::policy::{Point, TripTimes, trip_times};
use steadfast_dispatch::service::IdempotencyKey;
use steadfast_time::sim::{DEFAULT_START, Simulation};

use super::day::{self, Day};
use super::history::{History, Trip};
use super::identity::{Found, Identity};
use super::plan::{self, Plan};
use super::platform::{Platform, at, at_minute, timestamp};
use super::storage::Journals;
use super::{Args, Error};

/// Orders that one courier can carry at once. The recorded days set no limit; the policies make
/// smaller bundles than this.
const CAPACITY: u32 = 12;

/// How long the platform has to take an order, in simulated time. It takes none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A replay under way.
pub(super) struct Driver<'a> {
    day: &'a Day,
    platform: Platform,
    history: History,
    /// When what happens on each trip, by the rules of the day, in the order of the history.
    timed: Vec<(OfferId, TripTimes)>,
    /// Trips that are not over, as indices into `timed`.
    open: Vec<usize>,
    /// Where each courier's last trip ends.
    ends: HashMap<CourierId, Point>,
    /// The day's orders by name, as indices.
    orders: HashMap<&'a str, usize>,
    /// Orders by the minute in which they are placed, as indices.
    placements: Vec<usize>,
    /// The next minute.
    next_min: i64,
    /// From here on, what is not over never will be once no trip is open.
    idle_from_min: i64,
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
        // Not before what has happened, so that orders are named in the sequence of the day.
        sim.sim_clock()
            .advance_to(at(history.now.unwrap_or(DEFAULT_START)));

        let platform = Platform::start(sim, journals, data, args.policy, &day.parameters)?;
        let mut placements: Vec<usize> = (0..day.orders.len()).collect();
        placements.sort_by_key(|&index| (day.orders[index].placement_min, index));
        let last_placed = placements
            .last()
            .map_or(0, |&index| day.orders[index].placement_min);
        let last_off = day
            .couriers
            .iter()
            .map(|courier| courier.off_min)
            .max()
            .unwrap_or(0);
        let starts = (0..day.couriers.len())
            .map(|index| Ok((courier_id(day, index)?, day.couriers[index].position)));
        let by_name = |(index, order): (usize, &'a day::Order)| (order.id.as_str(), index);
        let mut driver = Self {
            day,
            platform,
            next_min: history.now_min().unwrap_or(0),
            history,
            timed: Vec::new(),
            open: Vec::new(),
            ends: starts.collect::<Result<_, Error>>()?,
            orders: day.orders.iter().enumerate().map(by_name).collect(),
            placements,
            idle_from_min: last_placed.max(last_off) + 1,
        };
        // What was under way when the replay was interrupted has been finished by the platform.
        driver.catch_up()?;
        driver.start_shifts()?;
        Ok(driver)
    }

    /// The minute that comes next; nothing once the day is over.
    pub(super) fn next_minute(&self) -> Option<i64> {
        let History {
            delivered, undone, ..
        } = &self.history;
        let complete = delivered + undone == self.day.orders.len();
        let over = complete || self.next_min >= self.idle_from_min;
        (!over || !self.open.is_empty()).then_some(self.next_min)
    }

    /// Minutes until the last shift is over.
    pub(super) fn last_shift_ends(&self) -> u64 {
        u64::try_from(self.idle_from_min).unwrap_or(0)
    }

    /// Orders delivered so far.
    pub(super) fn delivered(&self) -> usize {
        self.history.delivered
    }

    /// One minute of the day.
    pub(super) fn minute(&mut self, minute: i64) -> Result<(), Error> {
        self.platform.advance_to(at_minute(minute))?;
        self.hand_over(minute)?;
        self.place(minute)?;
        // A tick's offers are one write: if any of this minute are there, all of them are.
        if self.history.last_assigned_min() != Some(minute) {
            self.platform.tick()?;
        }
        self.catch_up()?;
        self.next_min = minute + 1;
        Ok(())
    }

    fn start_shifts(&mut self) -> Result<(), Error> {
        let mut set: Vec<BoxFuture<'static, Result<(), Error>>> = Vec::new();
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
            let put = async move {
                let answer = couriers.put_shift(id.clone(), request).await;
                answer
                    .map(drop)
                    .map_err(refused(minute, || format!("the shift of {id}")))
            };
            set.push(put.boxed());
        }
        self.platform.run(try_join_all(set))?.map(drop)
    }

    /// Reads what has happened, and works out how the new trips will go.
    fn catch_up(&mut self) -> Result<(), Error> {
        self.history.read(self.platform.journals.orders.store())?;
        let Self {
            day,
            history,
            timed,
            ..
        } = self;
        for (offer, trip) in history.trips().skip(timed.len()) {
            let orders = trip
                .orders
                .iter()
                .map(|&id| order(history, &self.orders, id));
            let orders = orders.collect::<Option<Vec<usize>>>();
            let orders: Vec<&day::Order> = orders
                .unwrap_or_default()
                .into_iter()
                .map(|index| &day.orders[index])
                .collect();
            let (Some(first), Some(end)) = (orders.first(), self.ends.get_mut(&trip.courier))
            else {
                return Err(untimely(
                    offer,
                    trip,
                    "orders or a courier",
                    "only those of the day",
                ));
            };
            let ready_min = orders
                .iter()
                .map(|order| order.ready_min)
                .max()
                .unwrap_or(0);
            let doors = orders.iter().map(|order| order.dropoff);
            let times = trip_times(
                &day.parameters.travel(),
                &day.parameters.service(),
                (*end, trip.assigned_min * 60),
                (day.restaurants[first.restaurant].position, ready_min * 60),
                doors.clone(),
            );
            *end = doors.last().unwrap_or(*end);
            self.open.push(timed.len());
            timed.push((offer, times));
        }
        Ok(())
    }

    /// Pick-ups and deliveries that are due: those of one trip one after the other, those of
    /// different trips at the same time.
    fn hand_over(&mut self, minute: i64) -> Result<(), Error> {
        let now_s = minute * 60;
        let mut acts: Vec<BoxFuture<'static, Result<(), Error>>> = Vec::new();
        let (history, timed) = (&self.history, &self.timed);
        let services = &self.platform.services;
        self.open.retain(|&index| {
            let (offer, times) = &timed[index];
            let Some(trip) = history.trip(offer) else {
                return false;
            };
            let picks_up = trip.picked_up_min.is_none() && times.pickup_s <= now_s;
            let done = trip.delivered_min.len();
            let due = times
                .dropoffs_s
                .iter()
                .take_while(|at_s| **at_s <= now_s)
                .count();
            if picks_up || due > done {
                let (couriers, offer) = (services.couriers.clone(), *offer);
                let (courier, orders) = (trip.courier.clone(), trip.orders[done..due].to_vec());
                let act = async move {
                    if picks_up {
                        let answer = couriers.picked_up(offer, courier.clone()).await;
                        answer
                            .map_err(refused(minute, || format!("{courier} picks up {offer}")))?;
                    }
                    for order in orders {
                        let what = || format!("{courier} delivers {order}");
                        let answer = couriers
                            .delivered(offer, courier.clone(), Some(order))
                            .await;
                        answer.map_err(refused(minute, what))?;
                    }
                    Ok(())
                };
                acts.push(act.boxed());
            }
            due < trip.orders.len()
        });
        if acts.is_empty() {
            return Ok(());
        }
        self.platform.run(try_join_all(acts))?.map(drop)
    }

    /// The orders of a minute, a millisecond apart, so that their names sort as they come.
    fn place(&mut self, minute: i64) -> Result<(), Error> {
        let day = self.day;
        let placed_min = |index: &usize| day.orders[*index].placement_min;
        let first = self
            .placements
            .partition_point(|index| placed_min(index) < minute);
        let end = self
            .placements
            .partition_point(|index| placed_min(index) <= minute);
        for (nth, place) in (first..end).enumerate() {
            let order = &day.orders[self.placements[place]];
            let moment = at_minute(minute) + Duration::from_millis(nth as u64);
            self.platform.advance_to(moment)?;
            let request = self.request(order)?;
            let what = || format!("order {} is placed", order.id);
            let key = IdempotencyKey::parse(order.id.as_bytes());
            let key = key.map_err(|problem| refused(minute, what)(problem.into()))?;
            let (orders, deadline) = (self.platform.services.orders.clone(), moment + PATIENCE);
            let place = async move {
                orders
                    .place(request, TenantId::public(), key, deadline)
                    .await
            };
            self.platform.run(place)?.map_err(refused(minute, what))?;
        }
        Ok(())
    }

    fn request(&self, order: &day::Order) -> Result<PlaceOrder, Error> {
        let restaurant = &self.day.restaurants[order.restaurant];
        Ok(PlaceOrder {
            merchant: restaurant.id.parse::<MerchantId>()?,
            pickup: location(restaurant.position),
            dropoff: location(order.dropoff),
            items: vec![Item {
                sku: "meal".to_owned(),
                quantity: 1,
            }],
            amount: Money {
                currency: "USD".to_owned(),
                minor: 1_000,
            },
            ready_at: Some(timestamp(order.ready_min)),
            customer: Some(order.id.clone()),
            note: None,
        })
    }

    /// The trips as the journal has them. What it recorded must be what the rules of the day make
    /// of them.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let couriers = (0..self.day.couriers.len())
            .map(|index| Ok((courier_id(self.day, index)?, index)))
            .collect::<Result<HashMap<CourierId, usize>, Error>>()?;
        let mut trips = Vec::new();
        for ((offer, trip), (_, times)) in self.history.trips().zip(&self.timed) {
            let recorded = (trip.picked_up_min, trip.delivered_min.clone());
            let dropoffs = times.dropoffs_s.iter().map(|at_s| at_s / 60).collect();
            let right = (Some(times.pickup_s / 60), dropoffs);
            if recorded != right {
                return Err(untimely(
                    offer,
                    trip,
                    timetable(&recorded),
                    timetable(&right),
                ));
            }
            let courier = couriers.get(&trip.courier).copied();
            let orders = trip
                .orders
                .iter()
                .map(|&id| order(&self.history, &self.orders, id));
            let (Some(courier), Some(orders)) = (courier, orders.collect::<Option<Vec<_>>>())
            else {
                return Err(untimely(
                    offer,
                    trip,
                    "orders or a courier",
                    "only those of the day",
                ));
            };
            let delivery = |(order, &dropoff_min)| plan::Delivery { order, dropoff_min };
            trips.push(plan::Trip {
                courier,
                assigned_min: trip.assigned_min,
                departed_min: times.depart_s / 60,
                pickup_min: times.pickup_s / 60,
                deliveries: orders
                    .into_iter()
                    .zip(&trip.delivered_min)
                    .map(delivery)
                    .collect(),
            });
        }
        Ok(Plan { trips })
    }
}

/// Makes sure that the data directory holds this replay, or nothing yet.
fn identify(
    sim: &mut Simulation,
    journals: &Journals,
    data: &std::path::Path,
    args: &Args,
) -> Result<(), Error> {
    let wanted = Identity::of(args)?;
    match Identity::found(journals.orders.store())? {
        Found::Replay(found) if found == wanted => Ok(()),
        Found::Nothing => {
            let write = wanted.write(DEFAULT_START);
            let journal = journals.orders.clone();
            let committed = sim.block_on(async move { journal.commit(write).await });
            committed.map(drop).map_err(Error::Record)
        }
        found => Err(wanted.refuse(data, &found)),
    }
}

/// The name under which a courier works: policies break ties by name, and this way the first of
/// the file comes first, as in other programs' figures for the same day.
fn courier_id(day: &Day, index: usize) -> Result<CourierId, NameError> {
    format!("{index:04}-{}", day.couriers[index].id).parse()
}

/// The day's order of that name.
fn order(history: &History, by_name: &HashMap<&str, usize>, id: OrderId) -> Option<usize> {
    history
        .name_of(id)
        .and_then(|name| by_name.get(name).copied())
}

fn refused(minute: i64, what: impl Fn() -> String) -> impl Fn(steadfast_dispatch::Error) -> Error {
    move |source| Error::Refused {
        minute,
        what: what(),
        source: Box::new(source),
    }
}

fn untimely(
    offer: OfferId,
    trip: &Trip,
    what: impl Into<String>,
    right: impl Into<String>,
) -> Error {
    let (offer, courier) = (offer.to_string(), trip.courier.to_string());
    Error::Untimely {
        offer,
        courier,
        what: what.into(),
        right: right.into(),
    }
}

fn timetable((pickup, dropoffs): &(Option<i64>, Vec<i64>)) -> String {
    match pickup {
        Some(pickup) => format!("pickup at {pickup}, drop-offs at {dropoffs:?}"),
        None => "no pickup".to_owned(),
    }
}

fn location(point: Point) -> Location {
    Location::planar(point.x, point.y)
}
