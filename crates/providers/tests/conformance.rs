//! Every engine passes the suites of the port, also while answers are lost.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::future::IntoFuture;

use common::{payment_fixture, scarce, setup, simulated, stock_fixture, threaded};
use std::time::Duration;
use steadfast_dispatch::provider::{Payment, Stock};
use steadfast_journal::memory;
use steadfast_providers::conformance::{Setup, Violation, payment, stock};
use steadfast_providers::sandbox::{Delay, Faults, Plan, Probability, Sandbox};
use steadfast_providers::{http, serve};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

async fn suites(
    stocks: &dyn Stock,
    payments: &dyn Payment,
    setup: &Setup,
) -> Result<(), Violation> {
    stock(stocks, setup, &stock_fixture()).await?;
    payment(payments, setup, &payment_fixture()).await
}

/// Every third answer is lost, every fourth call does not arrive, and some take too long.
fn bad_day() -> Plan {
    Plan {
        unavailable: Probability::new(0.25).unwrap(),
        lose_reply: Probability::new(0.33).unwrap(),
        refuse: Probability::NEVER,
        delay: Delay {
            least: Duration::ZERO,
            mean_extra: Duration::from_millis(2),
            most: Duration::from_millis(20),
        },
    }
}

/// Nothing is held at the end, and the books say the same as the counters.
fn settled(sandbox: &Sandbox) {
    let totals = sandbox.stock.totals().unwrap();
    for (sku, article) in &totals.articles {
        assert_eq!(article.held(), 0, "{sku}");
        assert_eq!(sandbox.stock.level(sku).unwrap(), i64::from(stock_fixture().pieces), "{sku}");
    }
    assert!(totals.released > 20 && totals.refused > 10 && totals.barred > 0, "{totals:?}");
    let totals = sandbox.payment.totals().unwrap();
    assert!(totals.captured > 0 && totals.voided > 0 && totals.declined == 1, "{totals:?}");
    let won = totals.currencies["KRW"];
    assert_eq!(won.captured, 18_000 * i128::from(totals.captured));
    assert_eq!(won.authorized, 18_000 * i128::from(totals.captured + totals.voided));
    assert_eq!((won.held(), won.declined), (0, 18_013));
}

fn simulation(seed: u64, plan: Option<Plan>) -> steadfast_journal::Hash {
    let mut sim = Simulation::new(seed);
    let (sandbox, disk) = simulated(&mut sim, scarce());
    if let Some(plan) = plan {
        sandbox.faults.set_all(plan);
    }
    let (setup, tested) = (setup(sim.clock(), seed), sandbox.clone());
    sim.block_on(async move { suites(&tested.stock, &tested.payment, &setup).await }).unwrap();
    settled(&sandbox);
    disk.digest()
}

#[test]
fn the_sandbox_in_simulated_time() {
    simulation(1, None);
}

#[test]
fn the_sandbox_on_a_bad_day_comes_out_the_same_each_time() {
    for seed in 0..5 {
        let first = simulation(seed, Some(bad_day()));
        assert_eq!(first, simulation(seed, Some(bad_day())), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_on_threads() {
    let clock = Clock::system();
    let (sandbox, _writer) = threaded(memory::Engine::new(), &clock, scarce());
    suites(&sandbox.stock, &sandbox.payment, &setup(clock, 1)).await.unwrap();
    settled(&sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_on_sqlite_and_after_a_restart() {
    use steadfast_journal::sqlite;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    for seed in [1, 2] {
        let engine = sqlite::Engine::open(folder.path(), sqlite::Options::default()).unwrap();
        let (sandbox, writer) = threaded(engine, &clock, scarce());
        if seed == 2 {
            settled(&sandbox);
        }
        stock(&sandbox.stock, &setup(clock.clone(), seed), &stock_fixture()).await.unwrap();
        if seed == 1 {
            let setup = setup(clock.clone(), seed);
            payment(&sandbox.payment, &setup, &payment_fixture()).await.unwrap();
        }
        settled(&sandbox);
        writer.stop().unwrap();
    }
}

/// Serves a sandbox on a free port until the runtime ends; returns a client.
async fn remote(sandbox: &Sandbox, clock: &Clock) -> http::Provider {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = serve::sandbox(sandbox, clock.clone(), None);
    tokio::spawn(axum::serve(listener, router).into_future());
    let options = http::Options::new(format!("http://{address}"));
    http::Provider::connect(&options, clock.clone()).unwrap()
}

async fn over_http(faults: impl FnOnce(&Faults)) {
    let clock = Clock::system();
    let (sandbox, _writer) = threaded(memory::Engine::new(), &clock, scarce());
    faults(&sandbox.faults);
    let provider = remote(&sandbox, &clock).await;
    suites(&provider, &provider, &setup(clock, 1)).await.unwrap();
    settled(&sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_over_http() {
    over_http(|_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_over_http_on_a_bad_day() {
    over_http(|faults| faults.set_all(bad_day())).await;
}
