//! A client: operations in an open loop, each written down.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fastrand::Rng;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use steadfast_coordination::Name;
use steadfast_coordination::quorum::{self, Options, Quorum, ReadRepair, Register, Replica};
use steadfast_time::{Clock, Monotonic};

use super::loose::{Loose, Undone};
use super::{Setup, number};
use crate::history::Recorder;

/// What all clients of a trial share.
pub(super) struct Shared {
    pub(super) setup: Setup,
    pub(super) names: Vec<Name>,
    pub(super) recorder: Recorder,
    pub(super) truth: Clock,
    /// When the last operation may begin.
    pub(super) end: Monotonic,
    /// Numbers of processes that have their answer, and may ask again.
    free: RefCell<BTreeSet<u64>>,
    processes: Cell<u64>,
    writers: Cell<u64>,
    values: Cell<u64>,
}

/// A register of either kind.
enum Way {
    Quorum(Register),
    Loose(Loose),
}

/// How an operation ended that is not done.
enum Failure {
    /// Nothing was changed.
    Nothing(String),
    /// Nobody knows.
    Unknown(String),
}

fn next(cell: &Cell<u64>) -> u64 {
    cell.set(cell.get() + 1);
    cell.get()
}

impl Shared {
    pub(super) fn new(
        setup: &Setup,
        names: Vec<Name>,
        recorder: Recorder,
        truth: Clock,
        end: Duration,
    ) -> Self {
        let (processes, writers, values) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let (setup, end) = (setup.clone(), Monotonic::from_start(end));
        let free = RefCell::default();
        Self { setup, names, recorder, truth, end, free, processes, writers, values }
    }

    /// A process without an open operation.
    fn process(&self) -> u64 {
        self.free.borrow_mut().pop_first().unwrap_or_else(|| next(&self.processes) - 1)
    }

    /// A register for a writer that nobody has been before.
    fn way(&self, replicas: Vec<Arc<dyn Replica>>, clock: Clock) -> Result<Way, quorum::Error> {
        let numbers = self.setup.numbers;
        let writer = NonZeroU64::MIN.saturating_add(next(&self.writers) - 1);
        let timeout = self.setup.timeout;
        let Ok(quorum) = Quorum::try_from(numbers) else {
            let counter = AtomicU64::new(0);
            return Ok(Way::Loose(Loose { replicas, numbers, writer, clock, timeout, counter }));
        };
        let read_repair =
            if self.setup.read_repair { ReadRepair::BeforeAnswer } else { ReadRepair::Never };
        let options = Options { read_repair, timeout };
        Register::new(replicas, quorum, writer, clock, options).map(Way::Quorum)
    }

    /// One operation from its beginning to its end.
    async fn operation(&self, way: &Way, key: usize, writes: bool) {
        let Some(name) = self.names.get(key) else { return };
        let process = self.process();
        let failure = if writes {
            let value = next(&self.values);
            let pending = self.recorder.invoke_on(process, name.to_string(), "write", value.into());
            match way.write(name, value).await {
                Ok(()) => {
                    pending.ok(value.into());
                    None
                }
                Err(failure) => Some((pending, value.into(), failure)),
            }
        } else {
            let nothing = serde_json::Value::Null;
            let pending =
                self.recorder.invoke_on(process, name.to_string(), "read", nothing.clone());
            match way.read(name).await {
                Ok(value) => {
                    pending.ok(number(&value));
                    None
                }
                // A read changes no value, whatever came of it.
                Err(Failure::Nothing(why) | Failure::Unknown(why)) => {
                    Some((pending, nothing, Failure::Nothing(why)))
                }
            }
        };
        match failure {
            None => {}
            Some((pending, value, Failure::Nothing(why))) => pending.fail(value, why),
            Some((pending, value, Failure::Unknown(why))) => {
                pending.info(value, why);
                // Its operation may take effect at any time: it asks nothing more.
                return;
            }
        }
        self.free.borrow_mut().insert(process);
    }
}

impl Way {
    async fn read(&self, name: &Name) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Quorum(register) => match register.read(name).await {
                Ok(tagged) => Ok(tagged.value),
                Err(error) => Err(Failure::Nothing(error.to_string())),
            },
            Self::Loose(register) => match register.read(name).await {
                Ok(tagged) => Ok(tagged.value),
                Err(few) => Err(Failure::Nothing(few.to_string())),
            },
        }
    }

    async fn write(&self, name: &Name, value: u64) -> Result<(), Failure> {
        let value = value.to_be_bytes().to_vec();
        match self {
            Self::Quorum(register) => match register.write(name, value).await {
                Ok(_) => Ok(()),
                Err(error @ quorum::Error::Unknown { .. }) => {
                    Err(Failure::Unknown(error.to_string()))
                }
                Err(error) => Err(Failure::Nothing(error.to_string())),
            },
            Self::Loose(register) => match register.write(name, value).await {
                Ok(()) => Ok(()),
                Err(Undone::Nothing(few)) => Err(Failure::Nothing(few.to_string())),
                Err(Undone::Unknown(few)) => Err(Failure::Unknown(few.to_string())),
            },
        }
    }
}

/// What a client's host runs: operations at random moments, answered or not. Started again after a
/// kill it is another writer.
pub(super) fn program(
    shared: Rc<Shared>,
    replicas: Vec<Arc<dyn Replica>>,
    clock: Clock,
    rng: Rc<RefCell<Rng>>,
) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        // The set-up was checked before the first client began.
        let Ok(way) = shared.way(replicas, clock.clone()) else { return };
        let mean = f64::from(shared.setup.clients) / shared.setup.rate;
        let mut under_way = FuturesUnordered::new();
        let mut at = clock.monotonic();
        loop {
            let (wait, key, writes) = {
                let mut rng = rng.borrow_mut();
                let wait = -mean * (1.0 - rng.f64()).ln();
                let key = rng.u64(..shared.setup.keys);
                (wait, key, rng.f64() < shared.setup.writes)
            };
            at = at + Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX);
            let mut turn = clock.sleep_until(at);
            // Until its turn has come, those that are under way go on.
            loop {
                futures::select_biased! {
                    () = futures::FutureExt::fuse(&mut turn) => break,
                    () = under_way.select_next_some() => {}
                }
            }
            if shared.truth.monotonic() >= shared.end {
                break;
            }
            let key = usize::try_from(key).unwrap_or(usize::MAX);
            under_way.push(shared.operation(&way, key, writes));
        }
        while under_way.next().await.is_some() {}
    })
}
