//! Customers and couriers. They live outside, remember across every crash, and ask whichever node
//! answers.
//!
//! A customer wants one order, once, however often it has to ask for it: always under the same key.
//! A courier looks every second or so for what is offered, and works off what it has accepted; now
//! and then it declines, does not answer, or moves on to another zone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use steadfast_dispatch::Error;
use steadfast_dispatch::courier::ShiftRequest;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{CourierId, OfferId, OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder, Status};
use steadfast_dispatch::service::{IdempotencyKey, Services};
use steadfast_time::sim::DEFAULT_START;
use steadfast_time::{Clock, Monotonic};

use super::node::Door;
use super::setup::{CITY, Setup, ZONE_METRES, ZONES, zone_name};
use crate::history::Recorder;
use crate::sim::{Host, Net};

/// How long somebody waits for an answer before asking elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// The size of a request, for links of limited bandwidth.
const BYTES: usize = 600;

/// The part of a trial in which orders come; the rest is for what is under way.
const ORDERING: f64 = 0.9;

/// Somebody who wants one order.
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) request: PlaceOrder,
    number: u64,
    comes_at: Duration,
    cancels_after: Option<Duration>,
    /// The answer, the same each time.
    pub(super) answer: Option<(OrderId, Vec<u8>)>,
    /// Has nothing more to ask.
    done: bool,
}

/// Somebody who delivers.
pub(super) struct Courier {
    pub(super) id: CourierId,
    pub(super) capacity: u32,
    zone: Cell<u32>,
}

/// A request that was answered: when, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) at: Duration,
    pub(super) took: Duration,
}

/// What those outside have seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Requests for orders that were answered.
    pub(super) answered: Vec<Answered>,
    /// Requests for orders that were not.
    pub(super) unanswered: u64,
    /// Answers that were given before.
    pub(super) replayed: u64,
    /// Answers to one key that are not the same bytes.
    pub(super) different: u64,
}

/// Everybody outside.
pub(super) struct City {
    pub(super) customers: Vec<RefCell<Customer>>,
    pub(super) couriers: Vec<Courier>,
    pub(super) seen: RefCell<Seen>,
    host: Host,
    clock: Clock,
    net: Net,
    doors: Vec<Door>,
    roaming: Duration,
    recorder: Recorder,
    rng: RefCell<Rng>,
    /// How often everybody has begun: somebody who was cut off asks as another process.
    begun: Cell<u64>,
    /// The faults are over, and nobody makes trouble.
    healed: Rc<Cell<bool>>,
}

/// What the city needs of the stage.
pub(super) struct Ground {
    pub(super) host: Host,
    /// The clock that is true.
    pub(super) clock: Clock,
    pub(super) net: Net,
    pub(super) doors: Vec<Door>,
    pub(super) healed: Rc<Cell<bool>>,
}

/// Peoples a city and lets everybody begin.
pub(super) fn start(ground: Ground, setup: &Setup, duration: Duration, mut rng: Rng) -> Rc<City> {
    let Ground { host, clock, net, doors, healed } = ground;
    let customers = customers(setup, duration, &mut rng);
    let couriers = (0..setup.couriers).filter_map(|number| {
        let id = format!("c{number}").parse().ok()?;
        Some(Courier { id, capacity: 1 + number % 2, zone: Cell::new(number % ZONES) })
    });
    let city = Rc::new(City {
        customers,
        couriers: couriers.collect(),
        seen: RefCell::default(),
        recorder: Recorder::new(clock.clone()),
        host: host.clone(),
        clock,
        net,
        doors,
        roaming: setup.roaming,
        rng: RefCell::new(rng),
        begun: Cell::default(),
        healed,
    });
    let everybody = Rc::clone(&city);
    host.boot(move || {
        let city = Rc::clone(&everybody);
        async move { city.begin() }.boxed_local()
    });
    city
}

fn customers(setup: &Setup, duration: Duration, rng: &mut Rng) -> Vec<RefCell<Customer>> {
    let (mut all, mut comes_at) = (Vec::new(), Duration::ZERO);
    loop {
        // A Poisson process.
        let pause = -(1.0 - rng.f64()).ln() / setup.rate;
        comes_at += Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
        let number = all.len() as u64;
        let Ok(merchant) = format!("r{}", number % 3).parse() else { return all };
        if comes_at > duration.mul_f64(ORDERING) {
            return all;
        }
        let pickup =
            Location::planar(rng.f64() * ZONE_METRES * f64::from(ZONES), rng.f64() * ZONE_METRES);
        let dropoff =
            Location::planar(rng.f64() * ZONE_METRES * f64::from(ZONES), rng.f64() * ZONE_METRES);
        let request = PlaceOrder {
            merchant,
            pickup,
            dropoff,
            items: vec![Item { sku: format!("meal-{}", number % 2), quantity: 1 + rng.u32(..3) }],
            amount: Money { currency: "KRW".into(), minor: rng.i64(1_000..50_000) },
            ready_at: None,
            customer: Some(format!("customer-{number}")),
            note: None,
        };
        let cancels_after = (rng.f64() < 0.1).then(|| Duration::from_millis(rng.u64(500..20_000)));
        all.push(RefCell::new(Customer {
            name: format!("customer-{number}"),
            request,
            number,
            comes_at,
            cancels_after,
            answer: None,
            done: false,
        }));
    }
}

impl City {
    /// Everybody begins, or goes on after a stop of the city's host.
    fn begin(self: &Rc<Self>) {
        self.begun.set(self.begun.get() + 1);
        for number in 0..self.customers.len() {
            let (city, rng) = (Rc::clone(self), self.rng.borrow_mut().fork());
            self.host.spawn(async move { city.order(number, rng).await });
        }
        for number in 0..self.couriers.len() {
            let (city, rng) = (Rc::clone(self), self.rng.borrow_mut().fork());
            self.host.spawn(async move { city.work(number, rng).await });
        }
    }

    /// Processes of one beginning.
    fn processes(&self) -> u64 {
        self.customers.len() as u64 + 1
    }

    /// Whether no customer has anything more to ask.
    pub(super) fn is_content(&self) -> bool {
        self.customers.iter().all(|customer| customer.borrow().done)
    }

    /// What customers did and heard, and in the end `kept`, the numbers of those whose orders are on
    /// the disk.
    pub(super) fn history(&self, kept: Vec<u64>) -> Vec<crate::history::Event> {
        let reader = self.begun.get() * self.processes();
        self.recorder.invoke(reader, "read", json!(null)).ok(json!(kept));
        self.recorder.take()
    }

    /// Asks a node; nothing when it does not answer in time.
    async fn ask<T: Send + 'static>(
        &self,
        door: &Door,
        work: impl Fn(Services, Clock) -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> Option<T> {
        let behind = door.clone();
        let call = self.net.call(CITY, door.name, BYTES, move || match behind.services() {
            Some(services) => work(services, behind.clock.clone()).map(Some).boxed(),
            None => futures::future::ready(None).boxed(),
        });
        match self.host.clock().timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => answer,
            _ => None,
        }
    }

    fn any_door(&self, rng: &mut Rng) -> &Door {
        &self.doors[rng.usize(..self.doors.len())]
    }

    async fn sleep(&self, rng: &mut Rng, least_ms: u64, most_ms: u64) {
        self.host.clock().sleep(Duration::from_millis(rng.u64(least_ms..most_ms))).await;
    }

    async fn order(&self, number: usize, mut rng: Rng) {
        let customer = &self.customers[number];
        let (comes_at, cancels_after, process, repeats) = {
            let customer = customer.borrow();
            let repeats = 1 + u64::from(rng.f64() < 0.3);
            let process = customer.number + (self.begun.get() - 1) * self.processes();
            (customer.comes_at, customer.cancels_after, process, repeats)
        };
        let value = json!(number);
        self.host.clock().sleep_until(Monotonic::from_start(comes_at)).await;
        // Once answered, asking again is a duplicate, which must change nothing.
        for turn in 0..repeats {
            if turn == 0 && customer.borrow().answer.is_some() {
                continue;
            }
            let pending =
                (turn == 0).then(|| self.recorder.invoke(process, "update", value.clone()));
            loop {
                if self.place(customer, &mut rng).await {
                    break;
                }
                self.sleep(&mut rng, 200, 1_000).await;
            }
            if let Some(pending) = pending {
                pending.ok(value.clone());
            }
        }
        if let Some(cancels_after) = cancels_after {
            let at = Monotonic::from_start(comes_at + cancels_after);
            self.host.clock().sleep_until(at).await;
            self.cancel(customer, &mut rng).await;
        }
        customer.borrow_mut().done = true;
    }

    /// Asks for the order, once; says whether there was an answer.
    async fn place(&self, customer: &RefCell<Customer>, rng: &mut Rng) -> bool {
        let (name, request) = {
            let customer = customer.borrow();
            (customer.name.clone(), customer.request.clone())
        };
        let began = self.clock.monotonic();
        let answer = self
            .ask(self.any_door(rng), move |services, clock| {
                let (name, request) = (name.clone(), request.clone());
                async move {
                    let key = IdempotencyKey::parse(name.as_bytes()).ok()?;
                    let deadline = clock.monotonic() + PATIENCE;
                    let placed =
                        services.orders.place(request, TenantId::public(), key, deadline).await;
                    let placed = placed.ok()?;
                    let body = placed.response.body.to_vec();
                    Some((order_id(&body)?, body, placed.replayed))
                }
                .boxed()
            })
            .await
            .flatten();
        let mut seen = self.seen.borrow_mut();
        let Some((id, body, replayed)) = answer else {
            seen.unanswered += 1;
            return false;
        };
        let at = self.clock.monotonic();
        seen.answered.push(Answered { at: at.since_start(), took: at - began });
        seen.replayed += u64::from(replayed);
        let mut customer = customer.borrow_mut();
        match &customer.answer {
            None => customer.answer = Some((id, body)),
            Some(known) => seen.different += u64::from(*known != (id, body)),
        }
        true
    }

    async fn cancel(&self, customer: &RefCell<Customer>, rng: &mut Rng) {
        let Some((id, _)) = customer.borrow().answer.clone() else { return };
        loop {
            let answer = self
                .ask(self.any_door(rng), move |services, _| {
                    async move { services.orders.cancel(id, None, None).await.map(drop) }.boxed()
                })
                .await;
            match answer {
                // An order that is not there cannot be called off: the audit will say so.
                Some(Ok(()) | Err(Error::Refused(_) | Error::NotFound { .. })) => return,
                _ => self.sleep(rng, 300, 900).await,
            }
        }
    }

    async fn work(&self, number: usize, mut rng: Rng) {
        let courier = &self.couriers[number];
        self.begin_shift(courier, &mut rng).await;
        let mut moves_on = self.until_moving(&mut rng);
        loop {
            self.sleep(&mut rng, 600, 1_600).await;
            if self.host.clock().monotonic() >= moves_on && !self.healed.get() {
                courier.zone.set((courier.zone.get() + 1 + rng.u32(..ZONES - 1)) % ZONES);
                self.begin_shift(courier, &mut rng).await;
                moves_on = self.until_moving(&mut rng);
            }
            let door = self.any_door(&mut rng).clone();
            let id = courier.id.clone();
            let open = self.ask(&door, move |services, _| {
                let id = id.clone();
                async move {
                    let offers = services.couriers.offers(&id).ok()?;
                    let offers: Vec<OfferId> = offers.iter().map(|offer| offer.id).collect();
                    Some((offers, services.couriers.assignments(&id).ok()?))
                }
                .boxed()
            });
            let Some(Some((offers, trips))) = open.await else { continue };
            for offer in offers {
                let fate = if self.healed.get() { u8::MAX } else { rng.u8(..20) };
                let id = courier.id.clone();
                match fate {
                    0 => drop(self.ask(&door, move |it, _| decline(it, offer, id.clone())).await),
                    1 => {}
                    _ => drop(self.ask(&door, move |it, _| accept(it, offer, id.clone())).await),
                }
            }
            for trip in trips {
                // One step of each trip at a time: a way takes as long as it takes.
                let Some(next) = trip.orders.iter().find(|order| order.status != Status::Delivered)
                else {
                    continue;
                };
                let (offer, order, status, id) =
                    (trip.id, next.id, next.status, courier.id.clone());
                let step =
                    self.ask(&door, move |it, _| advance(it, offer, order, status, id.clone()));
                // Whatever the answer, the next look shows what has come of it.
                step.await;
            }
        }
    }

    fn until_moving(&self, rng: &mut Rng) -> Monotonic {
        self.host.clock().monotonic() + self.roaming.mul_f64(0.5 + rng.f64())
    }

    async fn begin_shift(&self, courier: &Courier, rng: &mut Rng) {
        let zone = courier.zone.get();
        let location = Location::planar((f64::from(zone) + 0.5) * ZONE_METRES, 0.5 * ZONE_METRES);
        let shift = ShiftRequest {
            location,
            zone: zone_name(zone).parse().ok(),
            starts_at: Some(DEFAULT_START),
            ends_at: DEFAULT_START + Duration::from_secs(40 * 3_600),
            capacity: courier.capacity,
            auto_accept: false,
        };
        loop {
            let (id, shift) = (courier.id.clone(), shift.clone());
            let begun = self.ask(self.any_door(rng), move |services, _| {
                let (id, shift) = (id.clone(), shift.clone());
                async move { services.couriers.put_shift(id, shift).await.is_ok() }.boxed()
            });
            if begun.await == Some(true) {
                return;
            }
            self.sleep(rng, 300, 900).await;
        }
    }
}

fn accept(services: Services, offer: OfferId, id: CourierId) -> BoxFuture<'static, bool> {
    async move { services.couriers.accept(offer, id).await.is_ok() }.boxed()
}

fn decline(services: Services, offer: OfferId, id: CourierId) -> BoxFuture<'static, bool> {
    async move { services.couriers.decline(offer, id).await.is_ok() }.boxed()
}

fn advance(
    services: Services,
    offer: OfferId,
    order: OrderId,
    status: Status,
    id: CourierId,
) -> BoxFuture<'static, bool> {
    async move {
        let couriers = &services.couriers;
        match status {
            Status::Assigned | Status::AtPickup => couriers.picked_up(offer, id).await.is_ok(),
            Status::PickedUp => couriers.delivered(offer, id, Some(order)).await.is_ok(),
            _ => false,
        }
    }
    .boxed()
}

/// The id in the body of an answer.
pub(in crate::system) fn order_id(body: &[u8]) -> Option<OrderId> {
    let view: serde_json::Value = serde_json::from_slice(body).ok()?;
    view.get("id")?.as_str()?.parse().ok()
}
