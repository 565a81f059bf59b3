//! The engine within one process, for tests and simulations.
//!
//! Code that holds locks must be tried against crashes, lost answers and expired sessions, a
//! million times and the same way each time. [`Memory`] is the [`Machine`] behind a mutex: every
//! call is served at once, time is the [`Clock`]'s, and there are no tasks or threads of its own.
//! On a [`Disk`] it has the crash semantics of a real server; behind a [`Net`] its clients meet
//! lost, late and cut-off messages.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use steadfast_coordination::engine::memory::{Disk, Memory};
//! use steadfast_coordination::port::{Coordinator, Mode, Name, Request};
//! use steadfast_time::{Uuid, sim::Simulation};
//!
//! let mut sim = Simulation::new(7);
//! let (disk, clock) = (Disk::new(), sim.clock());
//! let (first, second) = sim.block_on(async move {
//!     let zone = Name::new("zone/7").unwrap();
//!     let mut tokens = Vec::new();
//!     for _ in 0..2 {
//!         let server = Memory::open(&disk, clock.clone()); // dropped without a word: a crash
//!         let session = server.open(Duration::from_secs(2)).await.unwrap().session;
//!         let id = Uuid::from_u128(tokens.len() as u128);
//!         let request = Request { session, id, mode: Mode::Exclusive, value: b"", wait: true };
//!         tokens.push(server.enter(&zone, request).await.unwrap());
//!     }
//!     (tokens[0], tokens[1])
//! });
//! assert_eq!(first.ahead, None);
//! assert_eq!(second.ahead, Some(first.token)); // it is still there
//! ```
//!
//! # How time passes
//!
//! Nothing runs by itself: sessions end when a call finds that they are due, or when somebody who
//! waits is woken by the clock at the next session's end. Nobody can tell the difference.
//!
//! # Limits
//! Without a disk everything is lost with the last clone. A disk is in memory, too.

mod disk;
mod net;
#[cfg(test)]
mod tests;
mod waits;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, select};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};

pub use disk::{Disk, Fault};
pub use net::{Carrier, Cut, Faults, Link, Net};

use self::waits::{Awaited, Waits, Wake, Woken};
use super::machine::{Change, Command, Machine, MachineTime, Output, Query};
use crate::limits::{LENGTH_MAX, LENGTH_MIN};
use crate::port::{
    Answer, Capabilities, Coordinator, Error, Listing, Name, Notification, Opened, Place, Register,
    Request, SessionId,
};

const ENGINE: &str = "memory";

/// The engine. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Machine time at the start of this server, and the clock's.
    base: MachineTime,
    started: Monotonic,
    /// The disk, and the number under which it was opened.
    disk: Option<(Disk, u64)>,
    core: Mutex<Core>,
}

#[derive(Debug, Default)]
struct Core {
    machine: Machine,
    waits: Waits,
    changes: Vec<Change>,
    /// Why it serves nobody any more.
    stopped: Option<Arc<str>>,
}

impl Memory {
    /// A server that forgets everything when its last clone is dropped.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::start(Machine::new(), None, clock)
    }

    /// The same, for a storage that has seen tokens before: all of this server's are above it.
    #[must_use]
    pub fn starting_after(token: FencingToken, clock: Clock) -> Self {
        Self::start(Machine::starting_after(token.get()), None, clock)
    }

    /// A server on a disk, as it starts after a crash: it goes on from what is durable, and every
    /// session has its whole length before it. A server that had opened the disk before and still
    /// runs is shut out.
    #[must_use]
    pub fn open(disk: &Disk, clock: Clock) -> Self {
        let (machine, opened) = disk.open();
        let memory = Self::start(machine, Some((disk.clone(), opened)), clock);
        // Nobody can have set a fault or opened the disk again since, or it stops at once.
        drop(memory.apply(Command::Restart));
        memory
    }

    fn start(machine: Machine, disk: Option<(Disk, u64)>, clock: Clock) -> Self {
        let (base, started) = (machine.now(), clock.monotonic());
        let core = Mutex::new(Core { machine, ..Core::default() });
        Self { shared: Arc::new(Shared { clock, base, started, disk, core }) }
    }

    /// Stops the server: every call and every wait ends in [`Error::Unavailable`] from now on. What
    /// is on its disk can be opened again.
    pub fn stop(&self) {
        let mut core = self.core();
        let woken = core.stop("it was stopped".into());
        drop(core);
        drop(woken);
    }

    /// How many calls of [`Coordinator::gone`] and [`Coordinator::list`] are waiting now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core().waits.len()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> MachineTime {
        self.shared.base + (self.shared.clock.monotonic() - self.shared.started)
    }

    fn apply(&self, command: Command) -> Result<Output, Error> {
        let at = self.time();
        let mut core = self.core();
        let (answer, woken) = core.log(self.shared.disk.as_ref(), at, command);
        // Whoever is woken may drop its last handle on this server, so no lock is held.
        drop(core);
        drop(woken);
        answer
    }

    fn query(&self, query: &Query) -> Result<Output, Error> {
        loop {
            let at = self.time();
            let core = self.core();
            core.check()?;
            let answer = core.machine.query(at, query);
            drop(core);
            match answer {
                Ok(answer) => return Ok(answer?),
                Err(_) => self.apply(Command::Expire)?,
            };
        }
    }

    /// Waits until `over` says so of the machine; asks again after changes and expiries.
    async fn until(
        &self,
        what: Awaited,
        over: impl Fn(&Machine) -> bool + Send,
    ) -> Result<(), Error> {
        while let Some((wait, woken, next)) = self.wait(&what, &over)? {
            match next {
                None => drop(woken.await),
                Some(deadline) => {
                    let moment = self.shared.started + (deadline - self.shared.base);
                    drop(select(woken, self.shared.clock.sleep_until(moment)).await);
                }
            }
            drop(wait);
        }
        Ok(())
    }

    /// Begins to wait, unless it is over: answers also when to ask again at the latest.
    fn wait(
        &self,
        what: &Awaited,
        over: impl Fn(&Machine) -> bool,
    ) -> Result<Option<(Wait<'_>, Woken, Option<MachineTime>)>, Error> {
        let at = self.time();
        if self.core().machine.is_due(at) {
            self.apply(Command::Expire)?;
        }
        let mut core = self.core();
        core.check()?;
        if over(&core.machine) {
            return Ok(None);
        }
        let next = core.machine.next_deadline();
        let (key, woken) = core.waits.add(what.clone());
        Ok(Some((Wait { memory: self, key }, woken, next)))
    }
}

/// A wait that is forgotten when its future is dropped.
struct Wait<'a> {
    memory: &'a Memory,
    key: (Awaited, u64),
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let wake = self.memory.core().waits.remove(&self.key);
        drop(wake);
    }
}

impl Core {
    fn check(&self) -> Result<(), Error> {
        match &self.stopped {
            None => Ok(()),
            Some(reason) => Err(unavailable(Arc::clone(reason))),
        }
    }

    fn stop(&mut self, reason: Arc<str>) -> Vec<Wake> {
        self.stopped.get_or_insert(reason);
        self.waits.take_everybody()
    }

    /// Makes a command durable and applies it; answers also who is to be woken.
    fn log(
        &mut self,
        disk: Option<&(Disk, u64)>,
        at: MachineTime,
        command: Command,
    ) -> (Result<Output, Error>, Vec<Wake>) {
        if let Err(error) = self.check() {
            return (Err(error), Vec::new());
        }
        let written = disk.map_or(Ok(()), |(disk, opened)| disk.write(*opened, at, &command));
        if let Err(error) = written {
            let reason: Arc<str> = error.to_string().into();
            return (Err(unavailable(Arc::clone(&reason))), self.stop(reason));
        }
        let answer = self.machine.apply(at, command, &mut self.changes);
        (answer.map_err(Error::from), self.waits.take(&mut self.changes))
    }
}

fn unavailable(reason: Arc<str>) -> Error {
    Error::Unavailable { engine: ENGINE, address: ENGINE.into(), reason }
}

/// The machine gave an answer of another kind than the question: a mistake in this crate, told as
/// what it is to the caller.
fn unexpected(output: &Output) -> Error {
    debug_assert!(false, "{output:?} is the answer to another question");
    unavailable("the answer is one to another question".into())
}

impl Memory {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::Yes,
        fair: Answer::Yes,
        fenced: Answer::Yes,
        survives_restart: Answer::If("it is opened on a `Disk`"),
        survives_leader_loss: Answer::No("there is one server"),
        notification: Notification::Pushed,
        session_min: LENGTH_MIN,
        session_max: LENGTH_MAX,
        note: "within one process, for tests and simulations",
    };
}

impl Coordinator for Memory {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        Box::pin(async move {
            match self.apply(Command::Open { length })? {
                Output::Opened(session) => Ok(Opened { session, length }),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.apply(Command::Renew { session }).map(drop) })
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.apply(Command::Close { session }).map(drop) })
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        Box::pin(async move {
            match self.apply(Command::enter(queue, request))? {
                Output::Place(place) => Ok(place),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        Box::pin(async move {
            match self.query(&Query::Place { queue: queue.clone(), token })? {
                Output::Place(place) => Ok(place),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let awaited = Awaited::Gone(queue.clone(), token);
        Box::pin(self.until(awaited, move |machine| !machine.holds(queue, token)))
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        Box::pin(async move { self.apply(Command::Leave { queue, token }).map(drop) })
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (queue, value) = (queue.clone(), value.to_vec());
        Box::pin(async move { self.apply(Command::Set { queue, token, value }).map(drop) })
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        Box::pin(async move {
            if let Some(since) = since {
                let awaited = Awaited::Change(queue.clone());
                self.until(awaited, |machine| machine.version(queue) != since).await?;
            }
            match self.query(&Query::List { queue: queue.clone() })? {
                Output::Listing(listing) => Ok(listing),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        Box::pin(async move {
            match self.query(&Query::Queues { after: after.cloned() })? {
                Output::Queues(names) => Ok(names),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        Box::pin(async move {
            match self.query(&Query::Load { register: register.clone() })? {
                Output::Register(register) => Ok(register),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        let (register, value) = (register.clone(), value.to_vec());
        Box::pin(async move {
            match self.apply(Command::Store { register, expected, value })? {
                Output::Version(version) => Ok(version),
                other => Err(unexpected(&other)),
            }
        })
    }
}
