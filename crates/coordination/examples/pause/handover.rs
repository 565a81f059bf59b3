//! How long it takes until the next holder is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use steadfast_coordination::{Client, Name, Patience};
use steadfast_time::Monotonic;
use tokio::task::JoinSet;

use super::options::Options;
use super::rig::crew::Process;
use super::rig::engine::{self, Engine, Kind};
use super::rig::hub::{Hub, Told};
use super::rig::role::{Again, Role};
use super::rig::scratch::Scratch;
use super::rig::wire::{Job, Task, What};
use super::rig::{Fence, Outcome, clock};
use super::spread::Spread;

/// How many wait when a lock is released.
const WAITING: usize = 32;
/// How often all of them get their turn.
const ROUNDS: usize = 8;
/// What nothing here takes.
const NEVER: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Handover {
    engine: Kind,
    ttl_ms: u128,
    after_kill: Spread,
    after_release: Spread,
    /// Turns that were not in the order of arrival.
    out_of_order: usize,
}

/// Measures and reports both.
pub async fn measure(
    options: &Options,
    engine: &Engine,
    again: &Again,
    out: &Scratch,
) -> Outcome<bool> {
    if engine.kind == Kind::Redlock {
        return Err("redlock does not tell those who wait".into());
    }
    let killed = killed(options, engine, Task::Hold, again, out).await?;
    let (released, out_of_order) = released(options, engine).await?;
    let report = Handover {
        engine: engine.kind,
        ttl_ms: options.length.as_millis(),
        after_kill: Spread::of(killed),
        after_release: Spread::of(released),
        out_of_order,
    };
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("engine                  {}, sessions of {:?}", report.engine, options.length);
        println!("after a holder's kill   {}", report.after_kill);
        println!("after a release to {WAITING}   {}", report.after_release);
        println!("out of order            {out_of_order}");
    }
    Ok(out_of_order == 0)
}

/// Kills whoever has it, over and over; how long it took each time until the next one had it. There
/// is always one that waits.
pub async fn killed(
    options: &Options,
    engine: &Engine,
    task: Task,
    again: &Again,
    out: &Scratch,
) -> Outcome<Vec<Duration>> {
    let sockets = tempfile::Builder::new().prefix("pause-").tempdir()?;
    let hub = Hub::listen(sockets.path(), Fence::None)?;
    let lock = format!("handover/{:016x}", fastrand::u64(..));
    let start = |number: u32| {
        let job = Job {
            hub: hub.path().to_owned(),
            number,
            engine: engine.clone(),
            lock: lock.clone(),
            length: options.length,
            patience: NEVER * 10,
            task,
            seed: 0,
        };
        let log = out.path().join("holders.log");
        Process::start(again, &Role::Worker(job), &log)
    };
    let held = async |number: u32| {
        let holds = |told: &Told| {
            let holds = told.worker == number && matches!(told.what, What::Held { .. });
            holds.then_some(told.at)
        };
        let held = hub.report(0, NEVER, holds).await;
        held.ok_or(format!("worker {number} does not get it; see {}", out.path().display()))
    };
    let ready = async |number: u32| {
        let is_ready =
            |told: &Told| (told.worker == number && matches!(told.what, What::Ready)).then_some(());
        hub.report(0, NEVER, is_ready).await.ok_or("a worker does not start")
    };
    let clock = clock::machine();
    let mut took = Vec::new();
    let mut holder = start(0)?;
    held(0).await?;
    for number in 1..=u32::try_from(options.kills)? {
        let next = start(number)?;
        ready(number).await?;
        // It is in the queue by then, and the renewals of the two are at any point.
        let third = options.length.as_secs_f64() / 3.0;
        clock.sleep(Duration::from_secs_f64(0.2 + third * fastrand::f64())).await;
        let killed = clock.monotonic();
        holder.kill()?;
        took.push(Monotonic::from_nanos(held(number).await?) - killed);
        holder = next;
    }
    Ok(took)
}

/// Who got it, in order, and when it was let go and taken.
#[derive(Default)]
struct Turns {
    order: Vec<usize>,
    let_go: Option<Monotonic>,
    took: Vec<Duration>,
}

/// How long from each release until the next one has it, and how many turns were out of order. Each
/// that waits has a connection and a session of its own.
async fn released(options: &Options, engine: &Engine) -> Outcome<(Vec<Duration>, usize)> {
    let (clock, mut clients) = (clock::machine(), Vec::new());
    for _ in 0..=WAITING {
        let there = engine.connect(clock.clone()).await?;
        let options = engine::options(options.length);
        let (client, keeper) = Client::new(there, clock.clone(), options)?;
        tokio::spawn(keeper.run());
        clients.push(client);
    }
    let (mut took, mut out_of_order) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let name = Name::new(format!("handover/{:016x}", fastrand::u64(..)))?;
        let turns = Arc::<Mutex<Turns>>::default();
        let first = clients[0].lock(&name).acquire(Patience::Forever).await?;
        let mut waiting = JoinSet::new();
        for (number, client) in clients.iter().enumerate().skip(1) {
            let (lock, turns) = (client.lock(&name), Arc::clone(&turns));
            let ticking = clock.clone();
            waiting.spawn(async move {
                let guard = lock.acquire(Patience::Forever).await?;
                {
                    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                    let now = ticking.monotonic();
                    let let_go = turns.let_go.replace(now);
                    turns.took.extend(let_go.map(|let_go| now - let_go));
                    turns.order.push(number);
                    turns.let_go = Some(ticking.monotonic());
                }
                guard.release().await
            });
            // In line, before the next one comes.
            let in_line = async {
                loop {
                    let listing = client.coordinator().list(&name, None).await?;
                    if listing.entries.len() > number {
                        return Outcome::Ok(());
                    }
                    clock.sleep(Duration::from_millis(1)).await;
                }
            };
            clock.timeout(NEVER, in_line).await??;
        }
        turns.lock().unwrap_or_else(PoisonError::into_inner).let_go = Some(clock.monotonic());
        first.release().await?;
        while let Some(waited) = waiting.join_next().await {
            waited??;
        }
        let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        took.append(&mut turns.took);
        out_of_order += turns.order.windows(2).filter(|pair| pair[0] > pair[1]).count();
    }
    for client in &clients {
        client.shutdown().await;
    }
    Ok((took, out_of_order))
}
