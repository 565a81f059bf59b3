//! A worker: a naive program that updates a register under a lock.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use steadfast_coordination::{Error, Name, Patience};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::super::storage::{Answer, Ask, Operation};
use super::locker::{Held, Locker};
use super::register::Request;
use super::wire::{Hello, Job, Phase, Report, Task, Waits, What};
use crate::history::{Event, Kind};
use crate::real::{Failure, clock};

/// What this is called as a role.
pub(crate) const PART: &str = "lock/worker";

/// Between two attempts to get the lock from a server that refuses.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long a worker tries to reach the engine.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// How long a worker may take to give everything back in the end.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Operations of one worker are below this.
const OPERATIONS_EACH: Operation = 1_000_000_000;

/// Why a write or a read of a late holder is refused.
const STALE: &str = "stale token";

/// Sends reports in order.
struct Reports {
    clock: Clock,
    to: OwnedWriteHalf,
}

impl Reports {
    fn now(&self) -> u64 {
        self.clock.monotonic().as_nanos()
    }

    async fn tell(&mut self, what: What) -> Result<(), Failure> {
        let at = self.now();
        send(&mut self.to, &Report { at, what }).await
    }
}

async fn send(to: &mut OwnedWriteHalf, what: &impl Serialize) -> Result<(), Failure> {
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
    async fn ask(&mut self, token: Option<FencingToken>, ask: Ask) -> Result<Answer, Failure> {
        send(&mut self.to, &Request { token, ask }).await?;
        let answer = self.from.next_line().await?.ok_or("the storage has gone")?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// What the hub says, as it says it; that it has gone is the end, too.
struct Orders(watch::Receiver<Phase>);

impl Orders {
    fn hear(mut from: Lines<BufReader<OwnedReadHalf>>) -> Self {
        let (sender, receiver) = watch::channel(Phase::Gathering);
        tokio::spawn(async move {
            while let Ok(Some(line)) = from.next_line().await {
                let Ok(phase) = serde_json::from_str(&line) else { break };
                sender.send_replace(phase);
            }
            sender.send_replace(Phase::Ending);
        });
        Self(receiver)
    }

    async fn wait_for(&mut self, phase: Phase) {
        // The sender says the last word before it goes.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }

    fn is_over(&self) -> bool {
        *self.0.borrow() == Phase::Ending
    }
}

async fn dial(job: &Job, hello: Hello) -> Result<(OwnedReadHalf, OwnedWriteHalf), Failure> {
    let (from, mut to) = UnixStream::connect(&job.hub).await?.into_split();
    send(&mut to, &hello).await?;
    Ok((from, to))
}

/// A way to the lock. A worker that is started again may find the server away for a while.
async fn connected(job: &Job, owner: &str, clock: &Clock) -> Result<Locker, Failure> {
    let end = clock.monotonic() + CONNECT_MAX;
    loop {
        match Locker::new(&job.engine, &job.lock, job.length, owner).await {
            Err(error) if clock.monotonic() >= end => return Err(error),
            Err(_) => clock.sleep(AGAIN_AFTER).await,
            locker => return locker,
        }
    }
}

/// Works until the hub says that it is enough, or has gone.
pub(crate) async fn work(job: Value) -> Result<(), Failure> {
    let job: Job = serde_json::from_value(job)?;
    let worker = job.worker;
    let (from, to) = dial(&job, Hello::Reports { worker }).await?;
    let mut reports = Reports { clock: clock::machine(), to };
    let mut orders = Orders::hear(BufReader::new(from).lines());
    match job.task {
        Task::Update { waits, rest } => {
            let (from, to) = dial(&job, Hello::Storage { worker }).await?;
            let storage = Remote { from: BufReader::new(from).lines(), to };
            let owner = format!("worker {worker}");
            let locker = connected(&job, &owner, &reports.clock).await?;
            let random = fastrand::Rng::with_seed(job.seed);
            let mut updater = Updater { job, reports, storage, random, done: 0 };
            updater.reports.tell(What::Ready).await?;
            updater.run(&locker, waits, rest, &mut orders).await?;
            let _ = updater.reports.clock.timeout(FAREWELL_MAX, locker.close()).await;
            updater.reports.tell(What::Ended).await
        }
        Task::Hold => {
            let locker = Locker::new(&job.engine, &job.lock, job.length, "holder").await?;
            reports.tell(What::Ready).await?;
            orders.wait_for(Phase::Working).await;
            let asked = reports.clock.monotonic();
            let held = locker.lock(asked + job.patience).await?;
            let waited = reports.clock.monotonic() - asked;
            reports.tell(What::Held { token: held.token(), waited }).await?;
            orders.wait_for(Phase::Ending).await;
            held.unlock().await;
            Ok(())
        }
        Task::Lead => {
            let client = job.engine.client(job.length, "candidate").await?;
            reports.tell(What::Ready).await?;
            orders.wait_for(Phase::Working).await;
            let asked = reports.clock.monotonic();
            let election = client.election(&Name::new(job.lock)?);
            let leader = election.campaign(b"candidate", Patience::Forever).await?;
            let waited = reports.clock.monotonic() - asked;
            reports.tell(What::Held { token: Some(leader.token()), waited }).await?;
            orders.wait_for(Phase::Ending).await;
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
    async fn run(
        &mut self,
        locker: &Locker,
        waits: Waits,
        rest: Duration,
        orders: &mut Orders,
    ) -> Result<(), Failure> {
        orders.wait_for(Phase::Working).await;
        // An update that has begun is finished, so that its operations are answered.
        while !orders.is_over() {
            self.round(locker, waits, orders).await?;
            if !rest.is_zero() {
                let rest = self.reports.clock.sleep(rest.mul_f64(2.0 * self.random.f64()));
                tokio::select! {
                    biased;
                    () = orders.wait_for(Phase::Ending) => {}
                    () = rest => {}
                }
            }
        }
        Ok(())
    }

    async fn round(
        &mut self,
        locker: &Locker,
        waits: Waits,
        orders: &mut Orders,
    ) -> Result<(), Failure> {
        let asked = self.reports.clock.monotonic();
        let end = asked + self.job.patience;
        let locked = tokio::select! {
            biased;
            locked = locker.lock(end) => locked,
            // Whoever waits, waits no more.
            () = orders.wait_for(Phase::Ending) => return Ok(()),
        };
        match locked {
            Ok(held) => {
                let waited = self.reports.clock.monotonic() - asked;
                self.update(held, waited, waits).await
            }
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
    async fn update(&mut self, held: Held, waited: Duration, waits: Waits) -> Result<(), Failure> {
        let token = held.token();
        self.reports.tell(What::Held { token, waited }).await?;
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

    async fn record(
        &mut self,
        kind: Kind,
        f: &'static str,
        value: Value,
        error: Option<&'static str>,
    ) -> Result<(), Failure> {
        let (process, time) = (self.job.worker, self.reports.now());
        let error = error.map(Cow::Borrowed);
        let event = Event { process, kind, f: f.into(), key: None, value, time, error };
        send(&mut self.reports.to, &Report { at: time, what: What::History(event) }).await
    }

    /// What the register is; none when the token is stale.
    async fn read(
        &mut self,
        token: Option<FencingToken>,
    ) -> Result<Option<Vec<Operation>>, Failure> {
        self.record(Kind::Invoke, "read", Value::Null, None).await?;
        match self.storage.ask(token, Ask::Read).await? {
            Answer::Value(value) => {
                self.record(Kind::Ok, "read", json!(value.last()), None).await?;
                Ok(Some(value))
            }
            answer => {
                self.record(Kind::Fail, "read", Value::Null, Some(STALE)).await?;
                expect_stale(&answer)?;
                Ok(None)
            }
        }
    }

    /// Whether the storage took it.
    async fn write(
        &mut self,
        token: Option<FencingToken>,
        mut value: Vec<Operation>,
    ) -> Result<bool, Failure> {
        self.done += 1;
        let to = self.job.worker * OPERATIONS_EACH + self.done;
        let change = json!([value.last(), to]);
        value.push(to);
        self.record(Kind::Invoke, "cas", change.clone(), None).await?;
        let answer = self.storage.ask(token, Ask::Write(value)).await?;
        if answer == Answer::Written {
            self.record(Kind::Ok, "cas", change, None).await?;
            return Ok(true);
        }
        self.record(Kind::Fail, "cas", change, Some(STALE)).await?;
        expect_stale(&answer)?;
        Ok(false)
    }
}

fn expect_stale(answer: &Answer) -> Result<(), Failure> {
    match answer {
        Answer::Stale { .. } => Ok(()),
        other => Err(format!("the storage answers {other:?}, which is no answer to that").into()),
    }
}
