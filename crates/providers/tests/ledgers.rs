//! The ledgers against a plain model, to the unit, while everything goes wrong.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::{call, items, order, scarce, simulated, won};
use futures::future::join_all;
use proptest::prelude::*;
use steadfast_dispatch::provider::{Failure, Payment as _, Stock as _};
use steadfast_journal::{Journal, Position, Writer, memory};
use steadfast_providers::Operation;
use steadfast_providers::sandbox::{
    Delay, Faults, Page, PaymentState, Plan, Probability, ReservationState, Sandbox,
};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

const SKUS: [&str; 3] = ["bento", "김밥", "ramen"];
const START: i64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Restock { key: u8, sku: usize, quantity: u32 },
    Reserve { order: u8, lines: Vec<(usize, u32)> },
    Release { order: u8 },
    Authorize { order: u8, minor: i64 },
    Capture { order: u8 },
    Void { order: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let order = 0_u8..6;
    let lines = prop::collection::vec((0..SKUS.len(), 1_u32..4), 1..4);
    prop_oneof![
        1 => (0_u8..4, 0..SKUS.len(), 1_u32..5)
            .prop_map(|(key, sku, quantity)| Op::Restock { key, sku, quantity }),
        3 => (order.clone(), lines).prop_map(|(order, lines)| Op::Reserve { order, lines }),
        2 => order.clone().prop_map(|order| Op::Release { order }),
        3 => (order.clone(), prop_oneof![Just(100), Just(213), Just(350)])
            .prop_map(|(order, minor)| Op::Authorize { order, minor }),
        2 => order.clone().prop_map(|order| Op::Capture { order }),
        2 => order.prop_map(|order| Op::Void { order }),
    ]
}

/// What was answered: "ok", or the code of the refusal.
type Said = &'static str;

#[derive(Default)]
struct Model {
    levels: BTreeMap<&'static str, i64>,
    restocks: BTreeMap<u8, (usize, u32)>,
    stock: BTreeMap<u8, (BTreeMap<&'static str, u32>, Said)>,
    payment: BTreeMap<u8, (Option<i64>, Said)>,
}

impl Model {
    fn level(&mut self, sku: &'static str) -> &mut i64 {
        self.levels.entry(sku).or_insert(START)
    }

    fn apply(&mut self, op: &Op) -> Said {
        match op {
            Op::Restock { key, sku, quantity } => match self.restocks.get(key) {
                Some(before) if before == &(*sku, *quantity) => "ok",
                Some(_) => "different_request",
                None => {
                    self.restocks.insert(*key, (*sku, *quantity));
                    *self.level(SKUS[*sku]) += i64::from(*quantity);
                    "ok"
                }
            },
            Op::Reserve { order, lines } => self.reserve(*order, lines),
            Op::Release { order } => {
                let entry = self.stock.entry(*order).or_insert((BTreeMap::new(), "barred"));
                if entry.1 == "held" {
                    entry.1 = "released";
                    for (sku, pieces) in entry.0.clone() {
                        *self.level(sku) += i64::from(pieces);
                    }
                }
                "ok"
            }
            Op::Authorize { order, minor } => match self.payment.get(order) {
                None => {
                    let declined = minor % 100 == 13;
                    let state = if declined { "declined" } else { "authorized" };
                    self.payment.insert(*order, (Some(*minor), state));
                    if declined { "payment_declined" } else { "ok" }
                }
                Some((None, _)) => "voided",
                Some((Some(before), _)) if before != minor => "different_request",
                Some((_, "declined")) => "payment_declined",
                Some((_, "voided")) => "voided",
                Some(_) => "ok",
            },
            Op::Capture { order } => match self.payment.get_mut(order) {
                Some((_, state @ ("authorized" | "captured"))) => {
                    *state = "captured";
                    "ok"
                }
                Some((_, "voided" | "barred")) => "voided",
                _ => "not_authorized",
            },
            Op::Void { order } => {
                let entry = self.payment.entry(*order).or_insert((None, "barred"));
                match entry.1 {
                    "captured" => return "already_captured",
                    "authorized" => entry.1 = "voided",
                    _ => {}
                }
                "ok"
            }
        }
    }

    fn reserve(&mut self, order: u8, lines: &[(usize, u32)]) -> Said {
        let mut wanted = BTreeMap::new();
        for (sku, quantity) in lines {
            *wanted.entry(SKUS[*sku]).or_insert(0) += quantity;
        }
        match self.stock.get(&order) {
            Some((_, "barred")) => "released",
            Some((before, _)) if *before != wanted => "different_request",
            Some((_, "held")) => "ok",
            Some((_, "released")) => "released",
            Some(_) => "out_of_stock",
            None => {
                let fits = wanted.iter().all(|(sku, n)| *self.level(sku) >= i64::from(*n));
                for (sku, n) in wanted.iter().filter(|_| fits) {
                    *self.level(sku) -= i64::from(*n);
                }
                let state = if fits { "held" } else { "refused" };
                self.stock.insert(order, (wanted, state));
                if fits { "ok" } else { "out_of_stock" }
            }
        }
    }
}

/// The ledgers on a machine that stops now and then and is started again.
struct Machine {
    sandbox: Sandbox,
    writer: Writer,
    restarts: u64,
}

impl Machine {
    fn start(disk: &memory::Disk, clock: &Clock, seed: u64, restarts: u64) -> Self {
        let crashes = memory::Faults::random(seed ^ (restarts << 32), 0.02);
        let engine = memory::Engine::recover(disk.clone()).with_faults(crashes);
        let (journal, writer) = Journal::new(engine, clock.clone());
        let mut options = scarce();
        options.seed = seed ^ restarts;
        let sandbox = Sandbox::open(journal.clone(), journal, clock, options);
        sandbox.faults.set_all(Plan {
            unavailable: Probability::new(0.2).unwrap(),
            lose_reply: Probability::new(0.2).unwrap(),
            refuse: Probability::NEVER,
            delay: Delay {
                least: Duration::ZERO,
                mean_extra: Duration::from_millis(50),
                most: Duration::from_secs(1),
            },
        });
        Self { sandbox, writer, restarts }
    }
}

/// Asks until the answer is final, each time with 100 ms and the machine that runs by then.
async fn ask(machine: &Rc<RefCell<Machine>>, clock: &Clock, op: &Op) -> String {
    for _ in 0..1_000 {
        let sandbox = machine.borrow().sandbox.clone();
        let mut call = call(clock, "k");
        call.deadline = clock.monotonic() + Duration::from_millis(100);
        let id = |number: &u8| order(u128::from(*number));
        let answer = match op {
            Op::Restock { key, sku, quantity } => {
                let key = format!("delivery {key}");
                sandbox.stock.restock(&key, SKUS[*sku], *quantity).await.map(drop)
            }
            Op::Reserve { order, lines } => {
                let lines: Vec<_> = lines.iter().map(|(sku, n)| (SKUS[*sku], *n)).collect();
                sandbox.stock.reserve(&call, id(order), &items(&lines)).await.map(drop)
            }
            Op::Release { order } => sandbox.stock.release(&call, id(order)).await,
            Op::Authorize { order, minor } => {
                sandbox.payment.authorize(&call, id(order), &won(*minor)).await.map(drop)
            }
            Op::Capture { order } => sandbox.payment.capture(&call, id(order)).await.map(drop),
            Op::Void { order } => sandbox.payment.void(&call, id(order)).await,
        };
        match answer {
            Ok(()) => return "ok".to_owned(),
            Err(Failure::Refused { code, .. }) => return code,
            Err(_) => {}
        }
    }
    panic!("no answer to {op:?}");
}

fn pages<T>(mut page: impl FnMut(Position) -> Page<T>) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), Some(Position::START));
    while let Some(position) = after {
        let Page { entries, next } = page(position);
        all.extend(entries);
        assert!(next.is_none_or(|next| next > position));
        after = next;
    }
    all
}

/// Books, sums and counters against the model.
fn compare(sandbox: &Sandbox, model: &mut Model) {
    let stock = &sandbox.stock;
    let reservations = pages(|after| stock.walk(after, 3).unwrap());
    assert_eq!(reservations.len(), model.stock.len());
    for reservation in reservations {
        let (pieces, state) = &model.stock[&(reservation.order.0.as_u128() as u8)];
        let pieces: BTreeMap<_, _> = pieces.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        assert_eq!(reservation.pieces, pieces);
        let seen = match &reservation.state {
            ReservationState::Held => "held",
            ReservationState::Released => "released",
            ReservationState::Refused { .. } => "refused",
            ReservationState::Barred => "barred",
        };
        assert_eq!(seen, *state);
    }
    let totals = stock.totals().unwrap();
    for sku in SKUS {
        let level = *model.level(sku);
        assert!(level >= 0);
        assert_eq!(stock.level(sku).unwrap(), level, "{sku}");
        let sums = totals.articles.get(sku).copied().unwrap_or_default();
        assert_eq!(START + sums.restocked as i64 - sums.held() as i64, level, "{sku}");
    }

    let entries = pages(|after| sandbox.payment.walk(after, 3).unwrap());
    assert_eq!(entries.len(), model.payment.len());
    let mut sums = BTreeMap::<&str, i128>::new();
    for entry in entries {
        let (minor, state) = &model.payment[&(entry.order.0.as_u128() as u8)];
        assert_eq!(entry.amount, minor.map(won));
        let seen = match &entry.state {
            PaymentState::Authorized => "authorized",
            PaymentState::Captured => "captured",
            PaymentState::Voided => "voided",
            PaymentState::Declined { .. } => "declined",
            PaymentState::Barred => "barred",
        };
        assert_eq!(seen, *state);
        *sums.entry(seen).or_default() += i128::from(minor.unwrap_or(0));
    }
    let sum = |state| sums.get(state).copied().unwrap_or(0);
    let totals = sandbox.payment.totals().unwrap();
    let won = totals.currencies.get("KRW").copied().unwrap_or_default();
    assert_eq!(won.held(), sum("authorized"));
    assert_eq!((won.captured, won.voided), (sum("captured"), sum("voided")));
    assert_eq!(won.declined, sum("declined"));
    assert!(won.captured + won.voided <= won.authorized);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Lost requests, lost answers, timeouts and crashes between any two steps of a commit do
    /// not change what a sequence of operations amounts to.
    #[test]
    fn the_books_are_those_of_a_world_without_faults(
        ops in prop::collection::vec(op(), 1..40),
        seed in any::<u64>(),
    ) {
        let mut sim = Simulation::new(seed);
        let (clock, disk) = (sim.clock(), memory::Disk::new());
        let machine = Rc::new(RefCell::new(Machine::start(&disk, &clock, seed, 0)));
        let (running, hook_clock, hook_disk) = (Rc::clone(&machine), clock.clone(), disk.clone());
        sim.on_idle(move || {
            let machine = &mut *running.borrow_mut();
            match machine.writer.run_once() {
                Ok(writes) => writes > 0,
                Err(_) => {
                    let restarts = machine.restarts + 1;
                    *machine = Machine::start(&hook_disk, &hook_clock, seed, restarts);
                    true
                }
            }
        });
        let mut model = Model::default();
        for op in ops {
            let (machine, clock, asked) = (Rc::clone(&machine), clock.clone(), op.clone());
            let said = sim.block_on(async move { ask(&machine, &clock, &asked).await });
            prop_assert_eq!(said, model.apply(&op), "{:?}", op);
        }
        compare(&machine.borrow().sandbox, &mut model);
    }

    /// Whatever the order in which competing calls are committed: nothing is sold twice.
    #[test]
    fn at_once_nothing_is_sold_twice(orders in prop::collection::vec((0..3_usize, 1_u32..3), 1..40)) {
        let mut sim = Simulation::new(1);
        let (sandbox, _) = simulated(&mut sim, scarce());
        let (clock, stock) = (sim.clock(), sandbox.stock.clone());
        let asked = orders.clone();
        let granted = sim.block_on(async move {
            join_all(asked.iter().enumerate().map(|(number, (sku, n))| {
                let (clock, stock) = (&clock, &stock);
                async move {
                    let lines = items(&[(SKUS[*sku], *n)]);
                    stock.reserve(&call(clock, "k"), order(number as u128), &lines).await.is_ok()
                }
            }))
            .await
        });
        for (number, sku) in SKUS.iter().enumerate() {
            let wanted: u32 = orders.iter().filter(|(s, _)| *s == number).map(|(_, n)| n).sum();
            let sold: u32 = orders.iter().zip(&granted)
                .filter(|((s, _), granted)| *s == number && **granted).map(|((_, n), _)| n).sum();
            prop_assert_eq!(sandbox.stock.level(sku).unwrap(), START - i64::from(sold));
            prop_assert!(sold <= 3 && (sold >= 2 || sold == wanted), "{} of {}", sold, wanted);
        }
    }
}

#[test]
fn each_operation_costs_one_event_and_no_more_than_its_counters() {
    let mut sim = Simulation::new(1);
    let (sandbox, disk) = simulated(&mut sim, scarce());
    let clock = sim.clock();
    let rows = |disk: &memory::Disk| disk.tally();
    sim.block_on(async move {
        let (one, call) = (order(1), call(&clock, "k"));
        let lines = items(&[("bento", 1), ("ramen", 1)]);
        // An article that is back at its start costs no row, so another order keeps it away.
        sandbox.stock.reserve(&call, order(2), &lines).await.unwrap();
        let before = rows(&disk);
        assert_eq!(before.counters, 2);
        sandbox.stock.reserve(&call, one, &lines).await.unwrap();
        assert_eq!((rows(&disk).events, rows(&disk).counters), (before.events + 1, 2));
        sandbox.stock.release(&call, one).await.unwrap();
        assert_eq!((rows(&disk).events, rows(&disk).counters), (before.events + 2, 2));
        sandbox.payment.authorize(&call, one, &won(100)).await.unwrap();
        sandbox.payment.capture(&call, one).await.unwrap();
        assert_eq!((rows(&disk).events, rows(&disk).counters), (before.events + 4, 2));
        let tally = rows(&disk);
        assert_eq!((tally.claims, tally.records, tally.outbox), (0, 0, 0));
        // A repetition leaves nothing.
        sandbox.stock.release(&call, one).await.unwrap();
        sandbox.payment.authorize(&call, one, &won(100)).await.unwrap();
        sandbox.payment.capture(&call, one).await.unwrap();
        assert_eq!(rows(&disk), tally);
    });
}

#[test]
fn a_shortage_names_the_article_and_what_is_left() {
    let mut sim = Simulation::new(1);
    let (sandbox, _) = simulated(&mut sim, scarce());
    let clock = sim.clock();
    let failure = sim.block_on(async move {
        let lines = items(&[("bento", 1), ("ramen", 4)]);
        sandbox.stock.reserve(&call(&clock, "k"), order(1), &lines).await.unwrap_err()
    });
    let reason = r#""ramen" is out of stock: 3 left"#.to_owned();
    assert_eq!(failure, Failure::Refused { code: "out_of_stock".to_owned(), reason });
}

#[test]
fn nonsense_is_refused_and_leaves_nothing() {
    let mut sim = Simulation::new(1);
    let (sandbox, disk) = simulated(&mut sim, scarce());
    let clock = sim.clock();
    sim.block_on(async move {
        let long = "x".repeat(200);
        let many: Vec<(&str, u32)> = vec![("bento", 1); 101];
        let empty = items(&[]);
        for lines in
            [empty, items(&[("", 1)]), items(&[("a", 0)]), items(&[(&long, 1)]), items(&many)]
        {
            let failure = sandbox.stock.reserve(&call(&clock, "k"), order(1), &lines).await;
            assert!(failure.unwrap_err().to_string().contains("invalid_request"), "{lines:?}");
        }
        for amount in [won(0), won(-1), won(i64::MAX)] {
            let failure = sandbox.payment.authorize(&call(&clock, "k"), order(1), &amount).await;
            assert!(failure.unwrap_err().to_string().contains("invalid_request"), "{amount:?}");
        }
        for key in ["", &"k".repeat(256)] {
            let failure = sandbox.payment.void(&call(&clock, key), order(1)).await;
            assert!(failure.unwrap_err().to_string().contains("invalid_request"));
        }
        assert!(sandbox.stock.restock("a\nb", "bento", 1).await.is_err());
        assert_eq!(disk.tally(), memory::Disk::new().tally());
    });
}

#[test]
fn an_article_that_nobody_stocked_is_out_of_stock_when_told_so() {
    let mut sim = Simulation::new(1);
    let mut options = scarce();
    options.stock.default_stock = 0;
    let (sandbox, _) = simulated(&mut sim, options);
    let clock = sim.clock();
    sim.block_on(async move {
        let bento = items(&[("bento", 1)]);
        let refused = sandbox.stock.reserve(&call(&clock, "k"), order(1), &bento).await;
        assert!(matches!(refused, Err(Failure::Refused { .. })));
        assert_eq!(sandbox.stock.restock("monday", "bento", 5).await, Ok(5));
        assert_eq!(sandbox.stock.restock("monday", "bento", 5).await, Ok(5), "once per key");
        sandbox.stock.reserve(&call(&clock, "k"), order(2), &bento).await.unwrap();
        assert_eq!(sandbox.stock.level("bento").unwrap(), 4);
    });
}

#[test]
fn a_refusal_on_purpose_stays_and_a_stubborn_compensation_can_be_mended() {
    let mut sim = Simulation::new(1);
    let (sandbox, _) = simulated(&mut sim, scarce());
    let clock = sim.clock();
    sim.block_on(async move {
        let Sandbox { stock, payment, faults } = &sandbox;
        let refuse = Plan { refuse: Probability::ALWAYS, ..Plan::default() };
        let code = |result: Result<(), Failure>| match result {
            Err(Failure::Refused { code, .. }) => code,
            other => format!("{other:?}"),
        };
        let call = call(&clock, "k");
        faults.set_all(refuse);
        let bento = items(&[("bento", 1)]);
        let on_purpose = "refused_on_purpose";
        assert_eq!(code(stock.reserve(&call, order(1), &bento).await.map(drop)), on_purpose);
        assert_eq!(code(payment.authorize(&call, order(1), &won(1)).await.map(drop)), on_purpose);
        faults.clear();
        assert_eq!(code(stock.reserve(&call, order(1), &bento).await.map(drop)), on_purpose);
        assert_eq!(code(payment.authorize(&call, order(1), &won(1)).await.map(drop)), on_purpose);

        stock.reserve(&call, order(2), &bento).await.unwrap();
        payment.authorize(&call, order(2), &won(1)).await.unwrap();
        faults.set_all(refuse);
        assert_eq!(code(stock.release(&call, order(2)).await), on_purpose);
        assert_eq!(code(payment.void(&call, order(2)).await), on_purpose);
        assert_eq!(code(payment.capture(&call, order(2)).await.map(drop)), on_purpose);
        assert_eq!(stock.level("bento").unwrap(), 2);
        faults.clear();
        stock.release(&call, order(2)).await.unwrap();
        payment.capture(&call, order(2)).await.unwrap();
        // What is done stays done, also for a service that would refuse it now.
        faults.set_all(refuse);
        stock.release(&call, order(2)).await.unwrap();
        payment.capture(&call, order(2)).await.unwrap();
        assert_eq!(code(payment.void(&call, order(2)).await), "already_captured");
    });
}

#[test]
fn a_slow_service_is_unknown_at_the_deadline_and_not_before() {
    let mut sim = Simulation::new(1);
    let (sandbox, _) = simulated(&mut sim, scarce());
    let clock = sim.clock();
    sim.block_on(async move {
        let delay = Delay::fixed(Duration::from_millis(300));
        sandbox.faults.set(Operation::Capture, Plan { delay, ..Plan::default() });
        let mut call = call(&clock, "k");
        sandbox.payment.authorize(&call, order(1), &won(1)).await.unwrap();
        let start = clock.monotonic();
        call.deadline = start + Duration::from_millis(100);
        let late = sandbox.payment.capture(&call, order(1)).await;
        assert!(matches!(late, Err(Failure::Unknown { .. })), "{late:?}");
        assert_eq!(clock.monotonic() - start, Duration::from_millis(100));
        call.deadline = clock.monotonic() + Duration::from_millis(301);
        sandbox.payment.capture(&call, order(1)).await.unwrap();
        assert_eq!(clock.monotonic() - start, Duration::from_millis(400));
    });
}

#[test]
fn faults_without_a_plan_touch_nothing() {
    assert_eq!(Faults::seeded(1).plan(Operation::Void), Plan::default());
}
