//! How long it takes until the next holder, or the next leader, is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use steadfast_coordination::{Client, Name, Patience};
use steadfast_time::Monotonic;
use tokio::task::JoinSet;

use super::super::storage::Fence;
use super::hub::{Hub, Told};
use super::run::name_of;
use super::wire::{Job, Task, What};
use super::worker::PART;
use crate::real::engine::{self, Engine};
use crate::real::{Failure, Role, Spread, Stage, clock};

/// What nothing here takes.
const NEVER: Duration = Duration::from_secs(60);

/// What became of turns that were waited for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Handover {
    /// From each release until the next one has it.
    pub after_release: Spread,
    /// Turns that were not in the order of arrival.
    pub out_of_order: usize,
}

/// Kills whoever has it, so many times; how long it took each time until the next one had it. There
/// is always one that waits. With [`Task::Hold`] that is a lock, with [`Task::Lead`] an election.
///
/// # Errors
/// When a worker does not start, or does not get it within a minute.
pub async fn killed(
    stage: &Stage,
    engine: &Engine,
    length: Duration,
    task: Task,
    kills: u64,
) -> Result<Vec<Duration>, Failure> {
    let folder = stage.folder()?;
    let hub = Hub::listen(folder.path(), Fence::None)?;
    hub.begin();
    let lock = format!("handover/{:016x}", fastrand::u64(..));
    let start = |worker: u64| {
        let job = Job {
            hub: hub.path().to_owned(),
            worker,
            engine: engine.clone(),
            lock: lock.clone(),
            length,
            patience: NEVER * 10,
            task,
            seed: 0,
        };
        stage.start(&name_of(worker), &Role::new(PART, &job)?)
    };
    let failed = |worker: u64, what: &str| {
        let name = name_of(worker);
        format!("{name} {what}{}", stage.complaint(&name))
    };
    let held = async |worker: u64| {
        let holds = |told: &Told| {
            let holds = told.worker == worker && matches!(told.what, What::Held { .. });
            holds.then_some(told.at)
        };
        let held = hub.report(0, NEVER, holds).await;
        held.ok_or_else(|| failed(worker, "does not get it"))
    };
    let ready = async |worker: u64| {
        let is_ready =
            |told: &Told| (told.worker == worker && matches!(told.what, What::Ready)).then_some(());
        let ready = hub.report(0, NEVER, is_ready).await;
        ready.ok_or_else(|| failed(worker, "does not start"))
    };
    let clock = clock::machine();
    let mut took = Vec::new();
    let mut holder = start(1)?;
    held(1).await?;
    for worker in 2..=kills + 1 {
        let next = start(worker)?;
        ready(worker).await?;
        // It is in the queue by then, and the renewals of the two are at any point.
        let third = length.as_secs_f64() / 3.0;
        clock.sleep(Duration::from_secs_f64(0.2 + third * fastrand::f64())).await;
        let killed = clock.monotonic();
        holder.kill()?;
        took.push(Monotonic::from_nanos(held(worker).await?) - killed);
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

/// How long from each release until the next one has it, and how many turns were out of order, when
/// so many wait, so many times. Each that waits has a connection and a session of its own.
///
/// # Errors
/// When the engine does not do its part within a minute.
pub async fn released(
    engine: &Engine,
    length: Duration,
    waiting: usize,
    rounds: usize,
) -> Result<Handover, Failure> {
    let (clock, mut clients) = (clock::machine(), Vec::new());
    for _ in 0..=waiting {
        let there = engine.connect(clock.clone()).await?;
        let (client, keeper) = Client::new(there, clock.clone(), engine::options(length))?;
        tokio::spawn(keeper.run());
        clients.push(client);
    }
    let (mut took, mut out_of_order) = (Vec::new(), 0);
    for _ in 0..rounds {
        let mut turns = in_turn(&clients).await?;
        took.append(&mut turns.took);
        out_of_order += turns.order.windows(2).filter(|pair| pair[0] > pair[1]).count();
    }
    for client in &clients {
        client.shutdown().await;
    }
    Ok(Handover { after_release: Spread::of(took), out_of_order })
}

/// The first has it, the others come one after the other, and each gets its turn.
async fn in_turn(clients: &[Client]) -> Result<Turns, Failure> {
    let Some((holder, others)) = clients.split_first() else { return Ok(Turns::default()) };
    let clock = holder.clock();
    let name = Name::new(format!("handover/{:016x}", fastrand::u64(..)))?;
    let turns = Arc::<Mutex<Turns>>::default();
    let first = holder.lock(&name).acquire(Patience::Forever).await?;
    let mut waiting = JoinSet::new();
    for (number, client) in others.iter().enumerate() {
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
        // In line, before the next one comes: the holder is in it, too.
        let in_line = async {
            while client.coordinator().list(&name, None).await?.entries.len() < number + 2 {
                clock.sleep(Duration::from_millis(1)).await;
            }
            Ok::<(), Failure>(())
        };
        clock.timeout(NEVER, in_line).await??;
    }
    turns.lock().unwrap_or_else(PoisonError::into_inner).let_go = Some(clock.monotonic());
    first.release().await?;
    while let Some(waited) = waiting.join_next().await {
        waited??;
    }
    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut turns))
}
