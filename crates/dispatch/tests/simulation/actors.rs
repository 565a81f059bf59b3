//! Customers and couriers. They live outside the machine and remember across its crashes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_dispatch::Error;
use steadfast_dispatch::courier::{Heartbeat, ShiftRequest};
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{CourierId, OfferId, OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder, Status};
use steadfast_dispatch::service::{IdempotencyKey, Services};
use steadfast_time::Clock;
use steadfast_time::sim::{DEFAULT_START, Simulation};

use crate::world::Scenario;

/// A customer: one order, wanted once however often it is asked for.
pub struct Customer {
    pub name: String,
    pub request: PlaceOrder,
    comes_after: Duration,
    cancels_after: Option<Duration>,
    /// The answer, the same each time.
    pub answer: Option<(OrderId, Vec<u8>)>,
    cancelled: bool,
    /// How often the answer was a replay.
    pub replays: u64,
}

pub struct Courier {
    pub id: CourierId,
    pub capacity: u32,
    location: Location,
    holds: Vec<OfferId>,
}

#[derive(Clone)]
pub struct Actors {
    pub customers: Vec<Rc<RefCell<Customer>>>,
    pub couriers: Vec<Rc<RefCell<Courier>>>,
}

impl Actors {
    pub fn new(scenario: &Scenario, rng: &mut Rng) -> Self {
        let mut place = || Location::planar(rng.f64() * 5_000.0, rng.f64() * 5_000.0);
        let places: Vec<_> =
            (0..2 * scenario.customers + scenario.couriers).map(|_| place()).collect();
        let customers = (0..scenario.customers).map(|n| {
            let request = PlaceOrder {
                merchant: format!("r{}", n % 3).parse().unwrap(),
                pickup: places[2 * n],
                dropoff: places[2 * n + 1],
                items: vec![Item { sku: format!("meal-{}", n % 2), quantity: 1 + rng.u32(..3) }],
                amount: Money { currency: "KRW".into(), minor: rng.i64(1_000..50_000) },
                ready_at: None,
                customer: Some(format!("customer-{n}")),
                note: None,
            };
            Rc::new(RefCell::new(Customer {
                name: format!("customer-{n}"),
                request,
                comes_after: Duration::from_millis(rng.u64(0..120_000)),
                cancels_after: (rng.f64() < 0.2).then(|| Duration::from_millis(rng.u64(0..30_000))),
                answer: None,
                cancelled: false,
                replays: 0,
            }))
        });
        let customers = customers.collect();
        let couriers = (0..scenario.couriers).map(|n| {
            Rc::new(RefCell::new(Courier {
                id: format!("c{n}").parse().unwrap(),
                capacity: 1 + u32::try_from(n % 2).unwrap(),
                location: places[2 * scenario.customers + n],
                holds: Vec::new(),
            }))
        });
        Self { customers, couriers: couriers.collect() }
    }

    pub fn are_done(&self) -> bool {
        self.customers.iter().all(|customer| {
            let customer = customer.borrow();
            customer.answer.is_some() && (customer.cancels_after.is_none() || customer.cancelled)
        })
    }
}

pub fn spawn(actors: &Actors, sim: &Simulation, services: &Services, mut rng: Rng, trouble: bool) {
    for customer in &actors.customers {
        let (customer, services) = (Rc::clone(customer), services.clone());
        sim.spawn(order(customer, services, sim.clock(), rng.fork()));
    }
    for courier in &actors.couriers {
        let (courier, services) = (Rc::clone(courier), services.clone());
        sim.spawn(work(courier, services, sim.clock(), rng.fork(), trouble));
    }
}

async fn order(customer: Rc<RefCell<Customer>>, services: Services, clock: Clock, mut rng: Rng) {
    let (name, request, comes_after) = {
        let customer = customer.borrow();
        (customer.name.clone(), customer.request.clone(), customer.comes_after)
    };
    let comes_at = DEFAULT_START + comes_after;
    clock.sleep(comes_at.since(clock.now())).await;
    loop {
        // Once answered, asking again is a duplicate, which must change nothing.
        let answered = customer.borrow().answer.is_some();
        if answered && rng.bool() {
            break;
        }
        let key = IdempotencyKey::parse(name.as_bytes()).unwrap();
        let deadline = clock.monotonic() + Duration::from_millis(rng.u64(5..2_000));
        let place = |services: &Services, key| {
            let (orders, request) = (services.orders.clone(), request.clone());
            async move { orders.place(request, TenantId::public(), key, deadline).await }
        };
        // Two at once.
        let (first, second) = futures::join!(place(&services, key.clone()), place(&services, key));
        for placed in [first, second].into_iter().flatten() {
            let body = placed.response.body.to_vec();
            let view: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let id: OrderId = view["id"].as_str().unwrap().parse().unwrap();
            let mut customer = customer.borrow_mut();
            customer.replays += u64::from(placed.replayed);
            match &customer.answer {
                None => customer.answer = Some((id, body)),
                Some(known) => assert_eq!(*known, (id, body), "the answer has changed"),
            }
        }
        clock.sleep(Duration::from_millis(rng.u64(10..3_000))).await;
    }
    let (cancels_after, id) = {
        let customer = customer.borrow();
        (customer.cancels_after, customer.answer.as_ref().unwrap().0)
    };
    let Some(cancels_after) = cancels_after else { return };
    clock.sleep((comes_at + cancels_after).since(clock.now())).await;
    loop {
        match services.orders.cancel(id, None, None).await {
            Ok(_) | Err(Error::Refused(_)) => break,
            Err(_) => clock.sleep(Duration::from_millis(500)).await,
        }
    }
    customer.borrow_mut().cancelled = true;
}

async fn work(
    courier: Rc<RefCell<Courier>>,
    services: Services,
    clock: Clock,
    mut rng: Rng,
    trouble: bool,
) {
    let (id, capacity, location) = {
        let courier = courier.borrow();
        (courier.id.clone(), courier.capacity, courier.location)
    };
    let shift = ShiftRequest {
        location,
        zone: None,
        starts_at: Some(DEFAULT_START),
        ends_at: DEFAULT_START + Duration::from_secs(24 * 3_600),
        capacity,
        auto_accept: false,
    };
    while services.couriers.put_shift(id.clone(), shift.clone()).await.is_err() {
        clock.sleep(Duration::from_millis(500)).await;
    }
    loop {
        clock.sleep(Duration::from_millis(rng.u64(300..1_500))).await;
        // The app may be off for a while.
        if trouble && rng.f64() < 0.02 {
            clock.sleep(Duration::from_secs(rng.u64(5..40))).await;
        }
        let _ = services.couriers.heartbeat(&id, Heartbeat::default());
        for offer in services.couriers.offers(&id).unwrap_or_default() {
            match rng.u8(..10) {
                0 if trouble => {
                    let _ = services.couriers.decline(offer.id, id.clone()).await;
                }
                1 if trouble => {}
                2 if trouble => {
                    // Somebody else's offer.
                    let other: CourierId = "c99".parse().unwrap();
                    let result = services.couriers.accept(offer.id, other).await;
                    assert!(result.is_err(), "accepted by the wrong courier");
                }
                _ => {
                    // Remembered first: whatever the answer, it may have been accepted.
                    courier.borrow_mut().holds.push(offer.id);
                    let _ = services.couriers.accept(offer.id, id.clone()).await;
                }
            }
        }
        let holds = courier.borrow().holds.clone();
        for offer in holds {
            if advance(&services, &id, offer, &mut rng).await {
                courier.borrow_mut().holds.retain(|held| *held != offer);
            }
        }
    }
}

/// One step with an assignment; says whether it is over.
async fn advance(services: &Services, id: &CourierId, offer: OfferId, rng: &mut Rng) -> bool {
    let Ok(view) = services.orders.get(offer.order, None) else { return false };
    if view.courier.as_ref() != Some(id) || view.assignment != Some(offer) {
        return true;
    }
    let couriers = &services.couriers;
    let result = match view.status {
        Status::Offered => couriers.accept(offer, id.clone()).await,
        Status::Assigned if rng.bool() => couriers.arrived(offer, id.clone()).await,
        Status::Assigned | Status::AtPickup => couriers.picked_up(offer, id.clone()).await,
        Status::PickedUp => couriers.delivered(offer, id.clone(), None).await,
        _ => return true,
    };
    // Anything but a refusal may be tried again.
    matches!(result, Err(Error::Refused(_)))
}
