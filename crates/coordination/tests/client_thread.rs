//! A client on a thread of its own is not held up by the application's runtime.
#![cfg(feature = "thread")]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use steadfast_coordination::Options;
use steadfast_coordination::client::thread::{StartError, start};
use steadfast_coordination::client::{Client, Guard, Patience};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::{Coordinator, Error, Name};
use steadfast_time::Clock;

fn options() -> Options {
    Options { length: Duration::from_millis(600), ..Options::default() }
}

/// Keeps this thread, and the runtime on it, from doing anything else.
fn block(length: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    assert_eq!(receiver.recv_timeout(length), Err(mpsc::RecvTimeoutError::Timeout));
}

async fn held_after_a_blockage(client: &Client) -> (Guard, bool) {
    let lock = client.lock(&Name::new("zone/1").unwrap());
    let guard = lock.acquire(Patience::Forever).await.unwrap();
    block(Duration::from_millis(1_500));
    let held = guard.check().is_ok();
    (guard, held)
}

#[tokio::test]
async fn a_runtime_that_is_blocked_for_longer_than_the_lease_does_not_lose_it() {
    let clock = Clock::system();
    let memory = Memory::new(clock.clone());
    let engine: Arc<dyn Coordinator> = Arc::new(memory.clone());
    let connected = || async move { Ok(engine) };
    let client = start("coordination", clock.clone(), options(), connected).await.unwrap();
    let (guard, held) = held_after_a_blockage(&client).await;
    assert!(held);
    assert!(guard.release().await.is_ok());
    let zone = Name::new("zone/2").unwrap();
    let guard = client.lock(&zone).try_acquire().await.unwrap();
    client.shutdown().await;
    assert!(guard.check().is_err());
    assert_eq!(memory.queues(None).await.unwrap(), []);
    assert!(matches!(client.coordinator().load(&zone).await, Err(Error::Closed)));

    // The broken twin: the keeper is one task among the application's.
    let (client, keeper) = Client::new(Arc::new(memory), clock, options()).unwrap();
    tokio::spawn(keeper.run());
    let (_guard, held) = held_after_a_blockage(&client).await;
    assert!(!held);
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told() {
    let clock = Clock::system();
    let refused = || async {
        let (address, reason) = ("here".into(), "wrong password".into());
        Err(Error::Refused { engine: "none", address, reason })
    };
    let refused = start("coordination", clock.clone(), options(), refused).await.unwrap_err();
    assert_eq!(refused.to_string(), "none at here refuses: wrong password");
    let short = Options { length: Duration::ZERO, ..options() };
    let invalid = start("coordination", clock, short, || async { Err(Error::Closed) }).await;
    assert!(matches!(invalid, Err(StartError::Options(_))));
}
