//! What an operation of the ledgers costs on the memory engine, beside a bare write of the same
//! shape: `cargo bench -p steadfast-providers`.
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::time::Duration;

use futures::future::{join_all, poll_immediate};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Call, Payment as _, Stock as _};
use steadfast_journal::{
    Append, Expected, Guard, Journal, NewEvent, StreamId, Version, Write, Writer, memory,
};
use steadfast_providers::sandbox::{Options, Sandbox};
use steadfast_time::{Clock, Uuid};

/// Calls in flight, and so writes per commit.
const AT_ONCE: u128 = 128;

/// Runs calls in rounds of [`AT_ONCE`] and prints the time per call, the engine included.
async fn measure<T, F: Future<Output = T>>(
    name: &str,
    orders: u128,
    (clock, writer): (&Clock, &mut Writer),
    ask: impl Fn(u128) -> F,
) {
    let start = clock.monotonic();
    for round in 0..orders / AT_ONCE {
        let mut calls = Box::pin(join_all((round * AT_ONCE..).take(AT_ONCE as usize).map(&ask)));
        while poll_immediate(&mut calls).await.is_none() {
            writer.run_once().unwrap();
            // Lets the runtime refill the budget that each poll of its primitives draws on.
            tokio::task::yield_now().await;
        }
    }
    let each = (clock.monotonic() - start).as_nanos() / (orders / AT_ONCE * AT_ONCE);
    println!("{name:<24}{each:>7} ns");
}

fn main() {
    // `cargo test` runs this once, briefly.
    let orders = if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { AT_ONCE };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::system();
        let (journal, mut writer) = Journal::new(memory::Engine::new(), clock.clone());
        let (sandbox, bare) =
            (Sandbox::open(journal.clone(), journal.clone(), &clock, Options::default()), &journal);
        let Sandbox { stock, payment, .. } = &sandbox;
        let order = |number: u128| OrderId(Uuid::from_u128(number));
        let call = |number: u128| {
            let deadline = clock.monotonic() + Duration::from_secs(60);
            Call::first(format!("{number:032x}/reserve"), deadline)
        };
        let items = [Item { sku: "bento".to_owned(), quantity: 2 }];
        let amount = Money { currency: "KRW".to_owned(), minor: 18_000 };
        let (call, items, amount, clock) = (&call, &items, &amount, &clock);

        measure("reserve", orders, (clock, &mut writer), |n| async move {
            stock.reserve(&call(n), order(n), items).await.unwrap()
        })
        .await;
        measure("reserve, repeated", orders, (clock, &mut writer), |n| async move {
            stock.reserve(&call(n), order(n), items).await.unwrap()
        })
        .await;
        measure("authorize", orders, (clock, &mut writer), |n| async move {
            payment.authorize(&call(n), order(n), amount).await.unwrap()
        })
        .await;
        measure("capture", orders, (clock, &mut writer), |n| async move {
            payment.capture(&call(n), order(n)).await.unwrap()
        })
        .await;
        measure("release", orders, (clock, &mut writer), |n| async move {
            stock.release(&call(n), order(n)).await.unwrap();
        })
        .await;
        measure("bare event and counter", orders, (clock, &mut writer), |n| async move {
            let payload = format!(r#"{{"key":"{n:032x}/reserve","pieces":{{"bento":2}}}}"#);
            let event = NewEvent { kind: "bare".into(), schema: 1, payload: payload.into() };
            let append = Append {
                stream: StreamId::of("bare", Uuid::from_u128(n)),
                expected: Expected::Exactly(Version::NONE),
                events: vec![event],
            };
            let guard = Guard { counter: "bare".to_owned(), delta: -2, bounds: i64::MIN..=0 };
            let write = Write::at(clock.now());
            bare.commit(Write { appends: vec![append], guards: vec![guard], ..write })
                .await
                .unwrap()
        })
        .await;
    });
}
