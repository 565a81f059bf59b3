//! A worker: a naive program that updates a register under a lock.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use steadfast_coordination::{Error, Name, Patience};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::engine::{Held, Locker};
use super::history::{Line, Type};
use super::storage::{Answer, Ask, Operation};
use super::wire::{Hello, Job, Report, Task, Waits, What};
use super::{Outcome, clock};

/// Between two attempts to get the lock from a server that refuses.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long a worker may take to give everything back in the end.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Operations of one worker are below this.
const OPERATIONS_EACH: Operation = 1_000_000_000;

/// Sends reports in order.
struct Reports {
    clock: Clock,
    to: OwnedWriteHalf,
}

impl Reports {
    fn now(&self) -> u64 {
        self.clock.monotonic().as_nanos()
    }

    async fn tell(&mut self, what: What) -> Outcome<()> {
        let at = self.now();
        send(&mut self.to, &Report { at, what }).await
    }
}

async fn send(to: &mut OwnedWriteHalf, what: &impl Serialize) -> Outcome<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(to.write_all(&line).await?)
}

/// The storage, from here.
struct Remote {
    from: Lines<BufReader<OwnedReadHalf>>,
    to: OwnedWriteHalf,
}

impl Remote {
    async fn ask(&mut self, ask: &Ask) -> Outcome<Answer> {
        send(&mut self.to, ask).await?;
        let answer = self.from.next_line().await?.ok_or("the storage has gone")?;
        Ok(serde_json::from_str(&answer)?)
    }
}

async fn dial(job: &Job, hello: Hello) -> Outcome<(OwnedReadHalf, OwnedWriteHalf)> {
    let (from, mut to) = UnixStream::connect(&job.hub).await?.into_split();
    send(&mut to, &hello).await?;
    Ok((from, to))
}

/// Works until the hub says that it is enough, or has gone.
pub async fn work(job: Job) -> Outcome<()> {
    let worker = job.number;
    let (mut ends, to) = dial(&job, Hello::Reports { worker }).await?;
    let mut reports = Reports { clock: clock::machine(), to };
    let stop = Arc::new(Notify::new());
    let stopper = Arc::clone(&stop);
    tokio::spawn(async move {
        // Nothing comes but the end.
        let _ = tokio::io::AsyncReadExt::read(&mut ends, &mut [0]).await;
        stopper.notify_one();
    });
    match job.task {
        Task::Update { waits } => {
            let (from, to) = dial(&job, Hello::Storage { worker }).await?;
            let storage = Remote { from: BufReader::new(from).lines(), to };
            let owner = format!("worker {worker}");
            let locker = Locker::new(&job.engine, &job.lock, job.length, &owner).await?;
            let random = fastrand::Rng::with_seed(job.seed);
            let mut updater = Updater { job, reports, storage, random, done: 0 };
            updater.reports.tell(What::Ready).await?;
            updater.run(&locker, waits, &stop).await?;
            let _ = updater.reports.clock.timeout(FAREWELL_MAX, locker.close()).await;
            updater.reports.tell(What::Ended).await
        }
        Task::Hold => {
            let locker = Locker::new(&job.engine, &job.lock, job.length, "holder").await?;
            reports.tell(What::Ready).await?;
            let held = locker.lock(reports.clock.monotonic() + job.patience).await?;
            reports.tell(What::Held { token: held.token() }).await?;
            stop.notified().await;
            held.unlock().await;
            Ok(())
        }
        Task::Lead => {
            let client = job.engine.client(job.length, "candidate").await?;
            reports.tell(What::Ready).await?;
            let election = client.election(&Name::new(job.lock)?);
            let leader = election.campaign(b"candidate", Patience::Forever).await?;
            reports.tell(What::Held { token: Some(leader.token()) }).await?;
            stop.notified().await;
            leader.resign().await?;
            Ok(())
        }
    }
}

struct Updater {
    job: Job,
    reports: Reports,
    storage: Remote,
    random: fastrand::Rng,
    done: Operation,
}

impl Updater {
    async fn run(&mut self, locker: &Locker, waits: Waits, stop: &Notify) -> Outcome<()> {
        loop {
            // A round that has begun is finished, so that its operations are answered.
            let mut round = std::pin::pin!(self.round(locker, waits));
            let is_over = tokio::select! {
                biased;
                () = stop.notified() => { round.as_mut().await?; true }
                ended = &mut round => { ended?; false }
            };
            if is_over {
                return Ok(());
            }
        }
    }

    async fn round(&mut self, locker: &Locker, waits: Waits) -> Outcome<()> {
        let end = self.reports.clock.monotonic() + self.job.patience;
        match locker.lock(end).await {
            Ok(held) => self.update(held, waits).await,
            Err(error) => {
                let late = self.reports.clock.monotonic() - end;
                let in_time = matches!(error, Error::Timeout { .. });
                let error = error.to_string();
                self.reports.tell(What::Refused { error, in_time, late }).await?;
                self.reports.clock.sleep(AGAIN_AFTER).await;
                Ok(())
            }
        }
    }

    /// Read, wait, write: and no look at the guard after the first.
    async fn update(&mut self, held: Held, waits: Waits) -> Outcome<()> {
        let token = held.token();
        self.reports.tell(What::Held { token }).await?;
        if held.is_believed()
            && let Some(value) = self.read(token).await?
        {
            let wait = waits.pick(&mut self.random);
            self.reports.tell(What::HasRead { wait }).await?;
            self.reports.clock.sleep(wait).await;
            let believed = held.is_believed();
            let taken = self.write(token, value).await?;
            self.reports.tell(What::Wrote { taken, believed }).await?;
        }
        self.reports.tell(What::LetsGo).await?;
        held.unlock().await;
        Ok(())
    }

    async fn record(&mut self, line: impl FnOnce(u32, u64) -> Line) -> Outcome<()> {
        let line = line(self.job.number, self.reports.now());
        self.reports.tell(What::History(line)).await
    }

    async fn read(&mut self, token: Option<FencingToken>) -> Outcome<Option<Vec<Operation>>> {
        self.record(|me, now| Line::read(me, Type::Invoke, None, now)).await?;
        match self.storage.ask(&Ask::Read { token }).await? {
            Answer::Value(value) => {
                let seen = value.last().copied();
                self.record(|me, now| Line::read(me, Type::Ok, seen, now)).await?;
                Ok(Some(value))
            }
            answer => {
                let stale = |me, now| Line::read(me, Type::Fail, None, now).because("stale token");
                self.record(stale).await?;
                expect_stale(&answer)?;
                Ok(None)
            }
        }
    }

    async fn write(
        &mut self,
        token: Option<FencingToken>,
        mut value: Vec<Operation>,
    ) -> Outcome<bool> {
        self.done += 1;
        let from = value.last().copied();
        let to = Operation::from(self.job.number) * OPERATIONS_EACH + self.done;
        value.push(to);
        self.record(|me, now| Line::cas(me, Type::Invoke, from, to, now)).await?;
        let answer = self.storage.ask(&Ask::Write { token, value }).await?;
        if answer == Answer::Written {
            self.record(|me, now| Line::cas(me, Type::Ok, from, to, now)).await?;
            return Ok(true);
        }
        let stale = |me, now| Line::cas(me, Type::Fail, from, to, now).because("stale token");
        self.record(stale).await?;
        expect_stale(&answer)?;
        Ok(false)
    }
}

fn expect_stale(answer: &Answer) -> Outcome<()> {
    match answer {
        Answer::Stale { .. } => Ok(()),
        other => Err(format!("the storage answers {other:?}, which is no answer to that").into()),
    }
}
