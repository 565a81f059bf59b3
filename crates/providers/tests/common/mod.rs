//! Journals for tests.
#![allow(dead_code, reason = "every test file uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::Call;
use steadfast_journal::{Engine, Journal, WriterThread, memory};
use steadfast_providers::conformance::{ATTEMPT_DEFAULT, PaymentFixture, Setup, StockFixture};
use steadfast_providers::sandbox::{Decline, Options, Sandbox, options};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Ids, Uuid};

pub fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub fn items(lines: &[(&str, u32)]) -> Vec<Item> {
    let item = |(sku, quantity): &(&str, u32)| Item { sku: (*sku).to_owned(), quantity: *quantity };
    lines.iter().map(item).collect()
}

pub fn won(minor: i64) -> Money {
    Money { currency: "KRW".to_owned(), minor }
}

pub fn call(clock: &Clock, key: &str) -> Call {
    Call::first(key, clock.monotonic() + Duration::from_secs(5))
}

pub fn setup(clock: Clock, seed: u64) -> Setup {
    Setup { clock, ids: Ids::seeded(seed), attempt: ATTEMPT_DEFAULT }
}

pub fn stock_fixture() -> StockFixture {
    StockFixture { scarce: ["scarce-1".to_owned(), "scarce-2".to_owned()], pieces: 3 }
}

pub fn payment_fixture() -> PaymentFixture {
    PaymentFixture { accepted: won(18_000), declined: won(18_013) }
}

/// Few pieces of everything; amounts that end with 13 are declined.
pub fn scarce() -> Options {
    let decline = vec![Decline::Ending("13".to_owned())];
    Options {
        stock: options::Stock { default_stock: stock_fixture().pieces },
        payment: options::Payment { decline },
        seed: 7,
    }
}

/// A sandbox whose journal has a thread, for the time that the thread is kept.
pub fn threaded(engine: impl Engine, clock: &Clock, options: Options) -> (Sandbox, WriterThread) {
    let (journal, writer) = Journal::new(engine, clock.clone());
    let sandbox = Sandbox::open(journal.clone(), journal, clock, options);
    (sandbox, writer.spawn("test journal").unwrap())
}

/// A sandbox inside a simulation.
pub fn simulated(sim: &mut Simulation, options: Options) -> (Sandbox, memory::Disk) {
    let engine = memory::Engine::new();
    let disk = engine.disk();
    let (journal, mut writer) = Journal::new(engine, sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    (Sandbox::open(journal.clone(), journal, &sim.clock(), options), disk)
}
