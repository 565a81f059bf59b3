//! A worker: a naive program that updates a document under a lock.
//!
//! Lock, read, wait, write what was read and one operation of its own, unlock. It looks at its guard
//! once, when it has it, and not again: no program looks at its lock between two instructions, and
//! that is where it may be stopped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use futures::future::{Either, select};
use serde_json::{Value, json};
use steadfast_coordination::redlock::{Redlock, Unfenced};
use steadfast_coordination::{Client, Coordinator, Error, Guard, Name, Patience};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Ids};

use super::journal::{Journal, What};
use super::settings::{self, Settings};
use super::storage::{Answer, Ask, Grant, Operation, Storage};
use super::{MESSAGE_BYTES, STORAGE};
use crate::history::Recorder;
use crate::sim::Net;

/// Between two attempts to get the lock from a server that refuses.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Workers ask anew for the lock after so long, whoever has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the storage may take to answer before a worker gives up: what became of a write is then
/// not known. A way there and back takes a few milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Operations of one worker are below this.
const OPERATIONS_EACH: Operation = 1_000_000_000;

/// What all workers share.
pub(super) struct Shared {
    pub settings: Settings,
    pub net: Net,
    pub storage: Arc<Storage>,
    pub recorder: Recorder,
    pub journal: Journal,
    /// The lock's name.
    pub lock: Name,
    /// Turns at a lock that does not number them.
    pub turns: Cell<Grant>,
    /// Whether it is enough: a round that has begun is finished.
    pub stop: Cell<bool>,
}

/// Where a worker gets the lock.
#[derive(Clone)]
pub(super) enum Service {
    /// From a coordinator, with a token.
    Coordinator(Arc<dyn Coordinator>),
    /// From a majority, without.
    Redlock(Redlock),
}

/// A worker, over all its lives.
pub(super) struct Worker {
    number: u32,
    shared: Rc<Shared>,
    service: Service,
    clock: Clock,
    rng: RefCell<Rng>,
    /// The process in the history: another one in each life, and after each doubtful operation.
    process: Cell<u64>,
    operations: Cell<Operation>,
}

/// A lock of either kind, as a naive program sees it.
enum Locker {
    Fenced(Client),
    Redlock(Redlock),
}

enum Held {
    Guard(Guard),
    Unfenced(Unfenced),
}

/// Notes that the worker is gone when it is killed.
struct Life<'a>(&'a Worker);

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.0.note(What::Gone);
        self.0.leave_process();
    }
}

impl Worker {
    pub fn new(
        number: u32,
        shared: Rc<Shared>,
        service: Service,
        clock: Clock,
        rng: Rng,
    ) -> Rc<Self> {
        let process = Cell::new(u64::from(number));
        let (rng, operations) = (RefCell::new(rng), Cell::new(0));
        Rc::new(Self { number, shared, service, clock, rng, process, operations })
    }

    fn note(&self, what: What) {
        self.shared.journal.note(self.number, what);
    }

    /// Whoever has left an operation open does not use its process again.
    fn leave_process(&self) {
        self.process.set(self.process.get() + u64::from(self.shared.settings.workers));
    }

    /// One life, until it is enough or the worker is killed.
    pub async fn live(self: Rc<Self>) {
        let _life = Life(&self);
        match &self.service {
            Service::Redlock(redlock) => {
                let seed = self.rng.borrow_mut().u64(..);
                self.work(&Locker::Redlock(redlock.clone().seeded(seed))).await;
            }
            Service::Coordinator(coordinator) => {
                let options = settings::options(self.shared.settings.lease);
                let client = Client::new(Arc::clone(coordinator), self.clock.clone(), options);
                // The settings were checked when they were read.
                let Ok((client, keeper)) = client else { return };
                let ids = Ids::seeded(self.rng.borrow_mut().u64(..));
                let client =
                    client.with_ids(Arc::new(ids)).with_owner(&settings::worker(self.number));
                let locker = Locker::Fenced(client.clone());
                let work = async {
                    self.work(&locker).await;
                    client.shutdown().await;
                };
                // The keeper ends with the shutdown, or goes with the life.
                match select(work.boxed_local(), keeper.run().boxed_local()).await {
                    Either::Left(((), _)) => {}
                    Either::Right(((), work)) => work.await,
                }
            }
        }
    }

    async fn work(&self, locker: &Locker) {
        while !self.shared.stop.get() {
            self.note(What::Asks);
            match self.lock(locker).await {
                Ok(held) => self.update(held).await,
                // The coordinator is away, or others were before it for too long.
                Err(_) => self.clock.sleep(AGAIN_AFTER).await,
            }
        }
    }

    async fn lock(&self, locker: &Locker) -> Result<Held, Error> {
        let Shared { lock, settings, .. } = &*self.shared;
        match locker {
            Locker::Fenced(client) => {
                let end = self.clock.monotonic() + PATIENCE;
                let guard = client.lock(lock).acquire(Patience::Until(end)).await?;
                Ok(Held::Guard(guard))
            }
            Locker::Redlock(redlock) => {
                Ok(Held::Unfenced(redlock.lock(lock, settings.lease, PATIENCE).await?))
            }
        }
    }

    /// Read, wait, write: and no look at the guard after the first.
    async fn update(&self, held: Held) {
        let token = held.token();
        let grant = token.map_or_else(|| self.turn(), FencingToken::get);
        self.note(What::Holds(grant));
        if held.is_believed()
            && !self.shared.stop.get()
            && let Some(value) = self.read(grant, token).await
        {
            let (least, most) = self.shared.settings.work;
            let share = self.rng.borrow_mut().f64();
            self.clock.sleep(least + most.saturating_sub(least).mul_f64(share)).await;
            self.write(grant, token, value).await;
        }
        self.note(What::LetsGo);
        held.unlock().await;
    }

    /// The next turn at a lock that does not number them.
    fn turn(&self) -> Grant {
        self.shared.turns.set(self.shared.turns.get() + 1);
        self.shared.turns.get()
    }

    /// Asks the storage; none when it does not answer.
    async fn ask(&self, grant: Grant, token: Option<FencingToken>, ask: Ask) -> Option<Answer> {
        let Shared { storage, journal, .. } = &*self.shared;
        let (storage, journal) = (Arc::clone(storage), journal.clone());
        let number = self.number;
        let work = move || {
            let (storage, journal, ask) = (Arc::clone(&storage), journal.clone(), ask.clone());
            async move {
                let served = storage.serve(grant, token, &ask);
                if served.is_stale_write {
                    journal.note(number, What::WritesStale);
                }
                if matches!(served.answer, Answer::Stale(_)) {
                    journal.note(number, What::Refused);
                }
                served.answer
            }
            .boxed()
        };
        let from = settings::worker(self.number);
        let answer = self.shared.net.call(&from, STORAGE, MESSAGE_BYTES, work);
        // A storage that is not there has done nothing, but neither has it said so.
        self.clock.timeout(ANSWER_MAX, answer).await.ok()?.ok()
    }

    async fn read(&self, grant: Grant, token: Option<FencingToken>) -> Option<Vec<Operation>> {
        let pending = self.shared.recorder.invoke(self.process.get(), "read", Value::Null);
        match self.ask(grant, token, Ask::Read).await {
            Some(Answer::Value(value)) => {
                pending.ok(json!(value.last()));
                return Some(value);
            }
            Some(Answer::Stale(_)) => pending.fail(Value::Null, "stale token"),
            // A read has no effect, answered or not.
            Some(Answer::Written) | None => pending.fail(Value::Null, "no answer"),
        }
        None
    }

    async fn write(&self, grant: Grant, token: Option<FencingToken>, mut value: Vec<Operation>) {
        self.operations.set(self.operations.get() + 1);
        let from = value.last().copied();
        let to = Operation::from(self.number) * OPERATIONS_EACH + self.operations.get();
        value.push(to);
        let change = json!([from, to]);
        let pending = self.shared.recorder.invoke(self.process.get(), "cas", change.clone());
        match self.ask(grant, token, Ask::Write(value)).await {
            Some(Answer::Written) => {
                pending.ok(change);
                self.note(What::Acknowledged(to));
            }
            Some(Answer::Stale(_)) => pending.fail(change, "stale token"),
            Some(Answer::Value(_)) | None => {
                pending.info(change, "no answer");
                self.leave_process();
            }
        }
    }
}

impl Held {
    fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Guard(guard) => Some(guard.token()),
            Self::Unfenced(_) => None,
        }
    }

    /// Whether the holder, if it looked, would think that it is one.
    fn is_believed(&self) -> bool {
        match self {
            Self::Guard(guard) => guard.check().is_ok(),
            Self::Unfenced(lock) => lock.is_believed(),
        }
    }

    /// Gives it back. What was lost before, or cannot be told to the server now, is not the worker's
    /// concern.
    async fn unlock(self) {
        match self {
            Self::Guard(guard) => drop(guard.release().await),
            Self::Unfenced(lock) => drop(lock.unlock().await),
        }
    }
}
