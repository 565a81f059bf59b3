//! What a request may spend, and what it gives back: over a journal whose disk is as slow as a
//! test wants it, in simulated time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use steadfast_journal::{Writer, memory};
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::policy::Policy;
use steadfast_time::sim::Simulation;

use super::*;
use crate::geo::Location;
use crate::names::{OrderId, TenantId};
use crate::order::{Item, Money, OrderView, PlaceOrder};
use crate::policies;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The services, and the disk in the test's hands.
struct World {
    sim: Simulation,
    services: Services,
    policy: Policy,
    disk: Rc<RefCell<Writer>>,
}

impl World {
    /// So many orders may be on their way.
    fn new(preparing_max: usize) -> Self {
        let sim = Simulation::new(1);
        let clock = sim.clock();
        let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
        let policy = Policy::builder("journal").options(policies::journal(ms(250)));
        let policy = policy.build(clock.clone()).unwrap();
        let options =
            Options { preparing_max, journal: Some(policy.clone()), ..Options::default() };
        let services = Services::new(journal, clock, Ids::seeded(1), options);
        Self { sim, services, policy, disk: Rc::new(RefCell::new(writer)) }
    }

    /// The disk writes what waits, after each pause.
    fn write_every(&self, pause: Duration) {
        let (clock, disk) = (self.sim.clock(), Rc::clone(&self.disk));
        self.sim.spawn(async move {
            loop {
                clock.sleep(pause).await;
                disk.borrow_mut().run_once().unwrap();
            }
        });
    }

    /// The disk writes what waits, now.
    fn write(&self) -> usize {
        self.disk.borrow_mut().run_once().unwrap()
    }

    /// Orders in so much time. What came of it, and when.
    fn place(&self, key: &str, merchant: &str, within: Duration) -> Placing {
        let (orders, clock) = (self.services.orders.clone(), self.sim.clock());
        let request = request(merchant);
        let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
        let placing = Placing::default();
        let outcome = Rc::clone(&placing.0);
        self.sim.spawn(async move {
            let start = clock.monotonic();
            let deadline = start + within;
            let place = orders.place(request, TenantId::public(), key, deadline);
            let placed = Context::until(Deadline::at(deadline)).scope(place).await;
            outcome.set(Some((placed, clock.monotonic() - start)));
        });
        placing
    }

    /// Places that are taken, and requests that wait for one.
    fn places(&self) -> (u32, u32) {
        self.services.core.0.admission.figures()
    }

    fn written(&self) -> u64 {
        self.services.core.0.journal.stats().writes
    }
}

type Outcome = (Result<PlacedResponse, Error>, Duration);

#[derive(Clone, Default)]
struct Placing(Rc<Cell<Option<Outcome>>>);

impl Placing {
    fn done(&self) -> Outcome {
        self.0.take().unwrap()
    }

    /// Time ran out: whose, and after how long.
    fn late(&self) -> (String, Duration) {
        match self.done() {
            (Err(Error::DeadlineExceeded { what }), after) => (what.into_owned(), after),
            other => panic!("{other:?}"),
        }
    }

    fn order(&self) -> OrderId {
        order_of(&self.done().0.unwrap())
    }
}

fn order_of(placed: &PlacedResponse) -> OrderId {
    let view: OrderView = serde_json::from_slice(&placed.response.body).unwrap();
    view.id
}

fn request(merchant: &str) -> PlaceOrder {
    PlaceOrder {
        merchant: merchant.parse().unwrap(),
        pickup: Location::planar(0.0, 10.0),
        dropoff: Location::planar(0.0, 500.0),
        items: vec![Item { sku: "bento".into(), quantity: 1 }],
        amount: Money { currency: "KRW".into(), minor: 18_000 },
        ready_at: None,
        customer: None,
        note: None,
    }
}

/// The sources: 250 ms for the database, of 350 ms for the order service, of what the request has.
#[test]
fn each_hop_keeps_its_budget_whatever_the_request_has() {
    let rows = [
        // The journal's own.
        (450, 250, "timeout journal: no answer within 250 ms (attempt 1)"),
        (30_000, 250, "timeout journal: no answer within 250 ms (attempt 1)"),
        // The request's.
        (200, 200, "timeout journal: no answer within 200 ms (deadline, attempt 1)"),
    ];
    for (within, after, words) in rows {
        let mut world = World::new(1);
        let placing = world.place("k", "r1", ms(within));
        world.sim.run_for(Duration::from_secs(60));
        assert_eq!(placing.late(), (words.to_owned(), ms(after)));
        assert_eq!(world.places(), (0, 0));
    }
}

#[test]
fn what_is_left_after_waiting_for_a_place_is_all_that_the_write_gets() {
    let mut world = World::new(1);
    let first = world.place("k1", "r1", ms(450));
    world.sim.run_for(ms(10));
    world.write();
    world.sim.run_for(ms(10));
    let first = first.order();
    // The next one has all the time of the world, but the service has not.
    let second = world.place("k2", "r1", Duration::from_secs(30));
    world.sim.run_for(ms(200));
    assert_eq!(world.places(), (1, 1));
    world.services.core.0.admission.leave(first);
    world.sim.run_for(Duration::from_secs(60));
    let words = "timeout journal: no answer within 150 ms (deadline, attempt 1)";
    assert_eq!(second.late(), (words.to_owned(), ms(350)));
}

#[test]
fn without_a_place_nothing_is_written() {
    let mut world = World::new(1);
    let first = world.place("k1", "r1", ms(450));
    world.sim.run_for(ms(1));
    world.write();
    world.sim.run_for(ms(1));
    first.order();
    let (hurried, patient) = (world.place("k2", "r1", ms(100)), world.place("k3", "r1", ms(450)));
    world.write_every(ms(1));
    world.sim.run_for(Duration::from_secs(1));
    let (error, after) = hurried.done();
    assert!(matches!(error, Err(Error::DeadlineExceeded { .. })), "{error:?}");
    assert_eq!(after, ms(100));
    let (error, after) = patient.done();
    assert!(matches!(error, Err(Error::Overloaded { .. })), "{error:?}");
    assert_eq!(after, crate::limits::ADMISSION_WAIT_MAX);
    assert_eq!((world.written(), world.places()), (1, (1, 0)));
}

#[test]
fn a_write_that_is_late_when_it_begins_is_not_begun() {
    let mut world = World::new(1);
    let (orders, clock) = (world.services.orders.clone(), world.sim.clock());
    let late = world.sim.block_on(async move {
        let key = IdempotencyKey::parse(b"k").unwrap();
        orders.place(request("r1"), TenantId::public(), key, clock.monotonic()).await
    });
    assert!(matches!(late, Err(Error::DeadlineExceeded { .. })), "{late:?}");
    // Nor one of a request that is late only now, without a place to wait for.
    let core = Arc::clone(&world.services.core.0);
    let late = world.sim.block_on(async move {
        let passed = Context::until(Deadline::at(core.clock.monotonic()));
        passed.scope(core.commit(steadfast_journal::Write::at(core.clock.now()))).await
    });
    assert!(matches!(Error::from(late.unwrap_err()), Error::DeadlineExceeded { .. }));
    assert_eq!((world.write(), world.places()), (0, (0, 0)));
    assert_eq!(world.policy.counters().attempts, 0);
}

#[test]
fn a_write_that_nobody_waited_for_any_more_is_found_by_the_same_key() {
    let mut world = World::new(8);
    let gone = world.place("k", "r1", ms(450));
    world.sim.run_for(ms(300));
    assert!(matches!(gone.done().0, Err(Error::DeadlineExceeded { .. })));
    assert_eq!(world.places(), (0, 0));
    // The repetition comes before the disk has moved: both are in one batch.
    let again = world.place("k", "r1", ms(450));
    world.sim.run_for(ms(100));
    assert_eq!(world.write(), 2);
    world.sim.run_for(ms(100));
    let again = again.done().0.unwrap();
    assert!(again.replayed);
    // And after it.
    let later = world.place("k", "r1", ms(450));
    world.sim.run_for(ms(1));
    world.write();
    world.sim.run_for(ms(1));
    let later = later.done().0.unwrap();
    assert!(later.replayed);
    assert_eq!(again.response.body, later.response.body);
    let order = order_of(&later);
    assert_eq!(world.services.orders.get(order, None).unwrap().id, order);
    // The same key for something else is refused, and none of them has kept a place.
    let other = world.place("k", "r2", ms(450));
    world.sim.run_for(ms(1));
    world.write();
    world.sim.run_for(ms(1));
    assert!(matches!(other.done().0, Err(Error::KeyReused)));
    assert_eq!(world.places(), (0, 0));
}

#[test]
fn a_place_is_kept_by_what_was_answered_and_by_nothing_else() {
    // Dropped at each moment of its life: waiting for a place, for the disk, or after it.
    for at in (0..400).step_by(7) {
        let mut world = World::new(1);
        let first = world.place("k1", "r1", ms(450));
        world.sim.run_for(ms(1));
        world.write();
        world.sim.run_for(ms(1));
        let first = first.order();
        world.write_every(ms(150));
        let (orders, clock) = (world.services.orders.clone(), world.sim.clock());
        let core = Arc::clone(&world.services.core.0);
        let placed = world.sim.block_on(async move {
            let leave = async {
                clock.sleep(ms(100)).await;
                core.admission.leave(first);
            };
            let deadline = clock.monotonic() + ms(450);
            let key = IdempotencyKey::parse(b"k2").unwrap();
            let place = orders.place(request("r1"), TenantId::public(), key, deadline);
            let placed = clock.timeout(ms(at), place).fuse();
            futures::join!(placed, leave).0.is_ok_and(|placed| placed.is_ok())
        });
        world.sim.run_for(Duration::from_secs(1));
        assert_eq!(world.places(), (u32::from(placed), 0), "dropped after {at} ms");
    }
}

#[test]
fn a_journal_that_is_closed_keeps_no_places() {
    let mut world = World::new(2);
    let waiting = world.place("k1", "r1", ms(450));
    world.sim.run_for(ms(1));
    world.services.core.0.journal.close();
    let late = world.place("k2", "r1", ms(450));
    world.sim.run_for(ms(1));
    assert!(matches!(late.done().0, Err(Error::Unavailable { .. })));
    world.write();
    world.sim.run_for(ms(1));
    waiting.order();
    // What was accepted before the end is still written and answered.
    assert_eq!(world.places(), (1, 0));
}

#[test]
fn a_circuit_that_is_kept_open_is_no_matter_of_time() {
    use steadfast_resilience::{breaker, policy};

    let mut sim = Simulation::new(1);
    let breaker = Some(breaker::Options::default());
    let policy =
        Policy::builder("journal").options(policy::Options { breaker, ..policy::Options::NONE });
    let policy = policy.build(sim.clock()).unwrap();
    assert!(policy.force_breaker(breaker::Forced::Open));
    let refused = sim.block_on(async move {
        let request = policy.request().classify(policies::class);
        request.once(|_| async { Ok::<(), steadfast_journal::Error>(()) }).await.unwrap_err()
    });
    let error = Error::from(refused);
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
}
