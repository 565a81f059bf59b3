//! The day's customers and couriers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::{self as coordination, Leases, MemoryTokens};
use steadfast_dispatch::courier::ShiftRequest;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{CourierId, MerchantId, NameError, OfferId, OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_dispatch::policy::{Point, Rounding, TripTimes, trip_times};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{IdempotencyKey, Options, Services};
use steadfast_dispatch::{Assembly, AssemblyError, Inline, Parts, Ticker};
use steadfast_journal::StorageError;
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_time::sim::{DEFAULT_START, Simulation};
use steadfast_time::{Ids, Monotonic, Timestamp};

use super::Args;
use super::day::{self, Day};
use super::history::{self, History, Trip};
use super::storage::Journals;

const MINUTE: Duration = Duration::from_secs(60);

/// Orders that one courier carries at once at most. The recorded days set no limit; beyond this
/// a bundle is only ever worse.
const BUNDLE_MAX: u32 = 12;

/// After the end of the last shift, so long at most until everything is handed over.
const LAST_TRIPS_MIN: i64 = 6 * 60;

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The day cannot be read.
    #[error(transparent)]
    Day(#[from] day::Error),
    /// A name of the day cannot be used.
    #[error("the day's names: {0}")]
    Name(#[from] NameError),
    /// The journals cannot be opened.
    #[error(transparent)]
    Open(#[from] StorageError),
    /// A journal failed on the way.
    #[error("{0}; what was committed is kept, and a restart goes on from there")]
    Storage(Arc<StorageError>),
    /// The journal cannot be read back.
    #[error(transparent)]
    History(#[from] history::Error),
    /// The platform does not start.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The leases do not work.
    #[error(transparent)]
    Leases(#[from] coordination::Invalid),
    /// The leases' tokens cannot be kept.
    #[error(transparent)]
    Tokens(#[from] coordination::tokens::StoreError),
    /// The platform refused what the day did.
    #[error("minute {minute}: {what}: {source}")]
    Refused {
        /// When.
        minute: i64,
        /// What was asked.
        what: String,
        /// Why not.
        source: steadfast_dispatch::Error,
    },
    /// The data directory belongs to another replay.
    #[error("the data directory holds a replay of {found}, not of {wanted}; choose another one")]
    OtherReplay {
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

/// A replay under way.
pub(super) struct Driver<'a> {
    day: &'a Day,
    sim: Simulation,
    journals: Journals,
    services: Services,
    ticker: Ticker,
    /// Its relay stops when it is dropped.
    _assembly: Assembly,
    history: History,
    /// Trips that are not over, and when what happens on them.
    open: Vec<(OfferId, TripTimes)>,
    /// Trips of the history that have been looked at.
    seen: usize,
    /// Where each courier's last trip ends, as far as it has been looked at.
    ends: HashMap<CourierId, Point>,
    /// The day's orders by name.
    by_name: HashMap<&'a str, &'a day::Order>,
    /// Orders by the minute in which they are placed, as indices.
    placements: Vec<usize>,
}

impl<'a> Driver<'a> {
    pub(super) fn start(day: &'a Day, args: &Args) -> Result<Self, Error> {
        let mut sim = Simulation::new(0);
        let journals = Journals::open(&mut sim, args.data.as_deref())?;
        let mut history = History::starting_at(DEFAULT_START);
        history.read(journals.orders.store())?;
        // A restart begins with the minute that was interrupted.
        let resumed = history.now_min.unwrap_or(0);
        sim.sim_clock().advance_to(at_minute(resumed));

        let parameters = &day.parameters;
        let options = Options {
            policy: args.policy,
            tick: MINUTE,
            offer_timeout: MINUTE,
            search_timeout: Duration::from_secs(48 * 3_600),
            heartbeat_timeout: None,
            metres_per_minute: parameters.metres_per_minute as f64,
            rounding: Rounding::UpToMinute,
            service: parameters.service(),
            settle: MINUTE * u32::try_from(parameters.dropoff_service_min / 2).unwrap_or(0),
            stacking: false,
            self_driven: false,
            ..Options::default()
        };
        let clock = sim.clock();
        let sandbox = Sandbox::open(
            journals.stock.clone(),
            journals.payment.clone(),
            &clock,
            sandbox::Options::default(),
        );
        let coordinator = coordination::Embedded::open(MemoryTokens::new(), clock.clone())?;
        let options_of_lease = coordination::Options::default();
        let leases = Leases::new(Arc::new(coordinator), clock.clone(), options_of_lease)?;
        let embedded = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let head = journals.orders.store().head()?.position.0;
        let mut assembly = Assembly::new(Parts {
            journal: journals.orders.clone(),
            clock,
            // Names made after a restart must differ from those made before it.
            ids: Ids::seeded(head),
            bus: Arc::clone(&embedded),
            leases,
            planner: Arc::new(Inline),
            stock: Arc::new(sandbox.stock),
            payment: Arc::new(sandbox.payment),
            options,
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 1,
        })?;
        embedded.open();
        for task in assembly.tasks.drain(..) {
            sim.spawn(async move {
                if let Err(error) = task.work.await {
                    tracing::error!(task = task.name, %error, "a task ended");
                }
            });
        }
        sim.settle();
        let mut placements: Vec<usize> = (0..day.orders.len()).collect();
        placements.sort_by_key(|&index| (day.orders[index].placement_min, index));
        let starts = day.couriers.iter().map(|c| Ok((c.id.parse()?, c.position)));
        let mut driver = Self {
            day,
            sim,
            journals,
            services: assembly.services.clone(),
            ticker: assembly.ticker.clone(),
            _assembly: assembly,
            history,
            open: Vec::new(),
            seen: 0,
            ends: starts.collect::<Result<_, NameError>>()?,
            by_name: day.orders.iter().map(|order| (order.id.as_str(), order)).collect(),
            placements,
        };
        driver.take_trips();
        Ok(driver)
    }

    /// The minute at which it starts, or goes on.
    pub(super) fn first_minute(&self) -> i64 {
        self.history.now_min.unwrap_or(0)
    }

    /// The last minute at which anything can happen.
    pub(super) fn last_minute(&self) -> i64 {
        let offs = self.day.couriers.iter().map(|courier| courier.off_min);
        offs.max().unwrap_or(0) + LAST_TRIPS_MIN
    }

    /// Whether everything that was ordered has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.history.delivered + self.history.undone == self.day.orders.len()
    }

    /// Orders delivered so far.
    pub(super) fn delivered(&self) -> usize {
        self.history.delivered
    }

    /// The trips, in the order in which they were assigned, and the names of their orders.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// One minute of the day.
    pub(super) fn minute(&mut self, minute: i64) -> Result<(), Error> {
        self.sim.run_until(at_minute(minute));
        if minute == self.first_minute() || minute == 0 {
            self.start_shifts(minute)?;
        }
        self.hand_over(minute)?;
        self.place(minute)?;
        // The tick's offers are one write: either all of them are there, or the tick is to be
        // done (again).
        let decided = |offer: &OfferId| self.history.trips[offer].assigned_min == minute;
        self.history.read(self.journals.orders.store())?;
        if !self.history.sequence.iter().rev().take_while(|offer| decided(offer)).any(|_| true) {
            let ticker = self.ticker.clone();
            self.sim.block_on(async move { ticker.tick().await });
        }
        self.sim.settle();
        self.history.read(self.journals.orders.store())?;
        self.take_trips();
        self.journals.check().map_err(Error::Storage)
    }

    fn start_shifts(&mut self, minute: i64) -> Result<(), Error> {
        for courier in &self.day.couriers {
            let id: CourierId = courier.id.parse()?;
            if self.services.couriers.get(&id).is_ok() {
                continue;
            }
            let request = ShiftRequest {
                location: location(courier.position),
                zone: None,
                starts_at: Some(timestamp(courier.on_min)),
                ends_at: timestamp(courier.off_min),
                capacity: BUNDLE_MAX,
                auto_accept: true,
            };
            let couriers = self.services.couriers.clone();
            let what = || format!("the shift of {id}");
            let shift = id.clone();
            let set = async move { couriers.put_shift(shift, request).await };
            self.call(minute, what, set)?;
        }
        Ok(())
    }

    /// Looks at the trips that have been assigned since the last time.
    fn take_trips(&mut self) {
        for offer in &self.history.sequence[self.seen..] {
            let trip = &self.history.trips[offer];
            let orders: Vec<&day::Order> =
                trip.orders.iter().filter_map(|id| self.order(*id)).collect();
            let (Some(first), Some(last)) = (orders.first(), orders.last()) else { continue };
            let origin = self.ends.get(&trip.courier).copied().unwrap_or(first.dropoff);
            let ready_min = orders.iter().map(|order| order.ready_min).max().unwrap_or(0);
            let times = trip_times(
                &self.day.parameters.travel(),
                &self.day.parameters.service(),
                (origin, trip.assigned_min * 60),
                (self.day.restaurants[first.restaurant].position, ready_min * 60),
                orders.iter().map(|order| order.dropoff),
            );
            let end = last.dropoff;
            self.ends.insert(trip.courier.clone(), end);
            self.open.push((*offer, times));
        }
        self.seen = self.history.sequence.len();
    }

    /// Pick-ups and deliveries that are due.
    fn hand_over(&mut self, minute: i64) -> Result<(), Error> {
        for (offer, times) in std::mem::take(&mut self.open) {
            let Trip { courier, orders, picked_up, delivered, .. } =
                self.history.trips[&offer].clone();
            if !picked_up && times.pickup_s <= minute * 60 {
                let (couriers, who) = (self.services.couriers.clone(), courier.clone());
                let what = || format!("{courier} picks up {offer}");
                self.call(minute, what, async move { couriers.picked_up(offer, who).await })?;
            }
            let due = |at_s: &i64| *at_s <= minute * 60;
            let at_doors = orders.iter().zip(&times.dropoffs_s).skip(delivered);
            for (&order, _) in at_doors.take_while(|(_, at_s)| due(at_s)) {
                let (couriers, who) = (self.services.couriers.clone(), courier.clone());
                let what = || format!("{courier} delivers {order}");
                let deliver = async move { couriers.delivered(offer, who, Some(order)).await };
                self.call(minute, what, deliver)?;
            }
            if !times.dropoffs_s.last().is_some_and(due) {
                self.open.push((offer, times));
            }
        }
        Ok(())
    }

    fn order(&self, id: OrderId) -> Option<&'a day::Order> {
        let name = self.history.name_of.get(&id)?;
        self.by_name.get(name.as_str()).copied()
    }

    /// The orders of a minute, a millisecond apart, so that their names sort as they come.
    fn place(&mut self, minute: i64) -> Result<(), Error> {
        let first = self.placements.partition_point(|&i| self.day.orders[i].placement_min < minute);
        let orders = self.placements[first..].to_vec();
        let of_minute = orders.into_iter().take_while(|&i| self.day.orders[i].placement_min == minute);
        for (nth, index) in of_minute.enumerate() {
            let order = &self.day.orders[index];
            let moment = at_minute(minute) + Duration::from_millis(nth as u64);
            self.sim.run_until(moment);
            let restaurant = &self.day.restaurants[order.restaurant];
            let request = PlaceOrder {
                merchant: restaurant.id.parse::<MerchantId>()?,
                pickup: location(restaurant.position),
                dropoff: location(order.dropoff),
                items: vec![Item { sku: "meal".to_owned(), quantity: 1 }],
                amount: Money { currency: "USD".to_owned(), minor: 1_000 },
                ready_at: Some(timestamp(order.ready_min)),
                customer: Some(order.id.clone()),
                note: None,
            };
            let what = || format!("order {} is placed", order.id);
            let key = IdempotencyKey::parse(order.id.as_bytes());
            let key = key.map_err(|problem| Error::Refused {
                minute,
                what: what(),
                source: problem.into(),
            })?;
            let orders = self.services.orders.clone();
            let deadline = moment + MINUTE;
            let place =
                async move { orders.place(request, TenantId::public(), key, deadline).await };
            self.call(minute, what, place)?;
        }
        self.sim.settle();
        Ok(())
    }

    fn call<T: 'static>(
        &mut self,
        minute: i64,
        what: impl Fn() -> String,
        work: impl Future<Output = Result<T, steadfast_dispatch::Error>> + 'static,
    ) -> Result<T, Error> {
        let result = self.sim.block_on(work);
        self.journals.check().map_err(Error::Storage)?;
        result.map_err(|source| Error::Refused { minute, what: what(), source })
    }
}

fn at_minute(minute: i64) -> Monotonic {
    Monotonic::from_start(MINUTE * u32::try_from(minute).unwrap_or(0))
}

fn timestamp(minute: i64) -> Timestamp {
    DEFAULT_START + MINUTE * u32::try_from(minute).unwrap_or(0)
}

fn location(point: Point) -> Location {
    Location::planar(point.x, point.y)
}
