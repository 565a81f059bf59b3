//! The host that grants the lock with the coordination crate's own engine, and the ways to it.
//!
//! The server is [`Memory`] on a [`Disk`]: killed, it comes back with its entries and tokens, and
//! every session has its whole length before it. A [`Way`] is what a worker's client takes for the
//! engine: each call is a message over the stage's network, so all faults of the stage apply to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use steadfast_coordination::engine::memory::{Disk, Memory};
use steadfast_coordination::port::{
    Capabilities, Coordinator, Error, Listing, Name, Opened, Place, Register, Request, SessionId,
};
use steadfast_fencing::FencingToken;

use super::journal::{Journal, What};
use super::{COORDINATOR, MESSAGE_BYTES};
use crate::sim::{Host, Net};

/// The server that runs at the moment, if one does.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat(Arc<Mutex<Option<Memory>>>);

impl Seat {
    fn server(&self) -> Option<Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, server: Option<Memory>) {
        let before =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), server);
        drop(before);
    }
}

/// Empties the seat when the host is killed.
struct Seated(Seat);

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.put(None);
    }
}

/// Runs a server on a host, now and after each restart.
pub(super) fn serve(host: &Host) -> Seat {
    let seat = Seat::default();
    let (disk, clock, taken) = (Disk::new(), host.clock(), seat.clone());
    host.boot(move || {
        let (disk, clock, seat) = (disk.clone(), clock.clone(), taken.clone());
        async move {
            seat.put(Some(Memory::open(&disk, clock)));
            let _seated = Seated(seat);
            std::future::pending::<()>().await;
        }
        .boxed_local()
    });
    seat
}

/// A worker's way to the coordinator.
pub(super) struct Way {
    net: Net,
    seat: Seat,
    journal: Journal,
    worker: u32,
    host: String,
}

impl Way {
    pub fn new(net: Net, seat: Seat, journal: Journal, worker: u32) -> Self {
        Self { net, seat, journal, worker, host: super::settings::worker(worker) }
    }

    /// Sends a request and waits for its answer, for ever if either is lost: callers have deadlines.
    fn call<T: Send + 'static>(
        &self,
        work: impl Fn(Memory) -> BoxFuture<'static, Result<T, Error>> + Send + Sync + 'static,
    ) -> BoxFuture<'_, Result<T, Error>> {
        let (seat, work) = (self.seat.clone(), Arc::new(work));
        let served = move || {
            let (seat, work) = (seat.clone(), Arc::clone(&work));
            async move {
                match seat.server() {
                    Some(server) => work(server).await,
                    None => Err(unavailable("it has not started yet")),
                }
            }
            .boxed()
        };
        async move {
            let answer = self.net.call(&self.host, COORDINATOR, MESSAGE_BYTES, served).await;
            answer.unwrap_or_else(|refused| Err(unavailable(&refused.to_string())))
        }
        .boxed()
    }
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { engine: "memory", address: COORDINATOR.into(), reason: reason.into() }
}

impl Coordinator for Way {
    fn capabilities(&self) -> Capabilities {
        Memory::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        let (journal, worker) = (self.journal.clone(), self.worker);
        self.call(move |server| {
            let journal = journal.clone();
            async move {
                let opened = server.open(length).await?;
                journal.note(worker, What::Opened(opened.session.0));
                Ok(opened)
            }
            .boxed()
        })
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        let (journal, worker) = (self.journal.clone(), self.worker);
        self.call(move |server| {
            let journal = journal.clone();
            async move {
                server.renew(session).await?;
                journal.note(worker, What::Renewed(session.0));
                Ok(())
            }
            .boxed()
        })
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.call(move |server| async move { server.close(session).await }.boxed())
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        let Request { session, id, mode, value, wait } = request;
        let (queue, value): (_, Arc<[u8]>) = (queue.clone(), value.into());
        self.call(move |server| {
            let (queue, value) = (queue.clone(), Arc::clone(&value));
            async move {
                let request = Request { session, id, mode, value: &value, wait };
                server.enter(&queue, request).await
            }
            .boxed()
        })
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        let queue = queue.clone();
        self.call(move |server| {
            let queue = queue.clone();
            async move { server.place(&queue, token).await }.boxed()
        })
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        self.call(move |server| {
            let queue = queue.clone();
            async move { server.gone(&queue, token).await }.boxed()
        })
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        self.call(move |server| {
            let queue = queue.clone();
            async move { server.leave(&queue, token).await }.boxed()
        })
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (queue, value): (_, Arc<[u8]>) = (queue.clone(), value.into());
        self.call(move |server| {
            let (queue, value) = (queue.clone(), Arc::clone(&value));
            async move { server.set(&queue, token, &value).await }.boxed()
        })
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        let queue = queue.clone();
        self.call(move |server| {
            let queue = queue.clone();
            async move { server.list(&queue, since).await }.boxed()
        })
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        let after = after.cloned();
        self.call(move |server| {
            let after = after.clone();
            async move { server.queues(after.as_ref()).await }.boxed()
        })
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        let register = register.clone();
        self.call(move |server| {
            let register = register.clone();
            async move { server.load(&register).await }.boxed()
        })
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        let (register, value): (_, Arc<[u8]>) = (register.clone(), value.into());
        self.call(move |server| {
            let (register, value) = (register.clone(), Arc::clone(&value));
            async move { server.store(&register, expected, &value).await }.boxed()
        })
    }
}
