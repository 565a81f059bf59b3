//! A client whose renewals no other work can hold up.
//!
//! A task of an asynchronous runtime runs when the others let it. One of them that blocks, for the
//! length of a big file or a slow computation, stops the renewals with it, and the session is lost
//! though nothing is wrong. So [`start`] gives the engine's connection and the [`Keeper`] an
//! operating system thread with a runtime of its own.
//!
//! What the application asks of the engine is sent over to that thread and done there; the
//! application's own runtime only waits for the answer.
//!
//! # Limits
//! A process that is stopped as a whole stops this thread, too: that is what
//! [`Stalls`](super::Stalls) and, in the end, the fencing token are for. The clock must be one that
//! works on every runtime, as [`Clock::system`] does; a simulated one does not.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Client, Keeper};
use crate::options::{Invalid, Options};
use crate::port::{
    Capabilities, Coordinator, Error, Listing, Name, Opened, Place, Register, Request, SessionId,
};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The options do not fit each other.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// There is no thread for it.
    #[error("no thread could be started for the coordinator's client: {0}")]
    Thread(#[from] std::io::Error),
    /// The engine could not be reached, or does not serve us.
    #[error(transparent)]
    Connect(#[from] Error),
}

/// Starts a thread, connects to an engine there, and keeps the client's session there.
///
/// The thread ends after [`Client::shutdown`], and when the last handle of the client is gone.
/// `name` is the thread's, as debuggers show it.
///
/// # Errors
/// See [`StartError`]. Dropped while it connects, it leaves nothing behind.
pub async fn start<F, C>(
    name: &str,
    clock: Clock,
    options: Options,
    connect: F,
) -> Result<Client, StartError>
where
    F: FnOnce() -> C + Send + 'static,
    C: Future<Output = Result<Arc<dyn Coordinator>, Error>>,
{
    options.check()?;
    let (sender, receiver) = oneshot::channel();
    // Detached: it ends with the client.
    drop(std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(sender.send(Err(error.into()))),
        };
        let prepare = prepare(runtime.handle().clone(), clock, options, connect);
        match runtime.block_on(prepare) {
            Ok((client, keeper)) => {
                // Should nobody take it, it is the last handle, and the keeper ends at once.
                drop(sender.send(Ok(client)));
                runtime.block_on(keeper.run());
            }
            Err(error) => drop(sender.send(Err(error))),
        }
    })?);
    receiver.await.unwrap_or_else(|_| {
        let reason = "its thread ended while it connected";
        Err(StartError::Thread(std::io::Error::other(reason)))
    })
}

async fn prepare<F, C>(
    runtime: Handle,
    clock: Clock,
    options: Options,
    connect: F,
) -> Result<(Client, Keeper), StartError>
where
    F: FnOnce() -> C,
    C: Future<Output = Result<Arc<dyn Coordinator>, Error>>,
{
    let engine = connect().await?;
    let there = Arc::new(There { runtime, engine });
    Ok(Client::new(there, clock, options)?)
}

/// An engine on another runtime.
struct There {
    runtime: Handle,
    engine: Arc<dyn Coordinator>,
}

/// Work on another runtime; given up when this is dropped.
struct Work<T>(JoinHandle<T>);

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl There {
    fn run<'a, T, W>(
        &self,
        work: impl FnOnce(Arc<dyn Coordinator>) -> W,
    ) -> BoxFuture<'a, Answer<T>>
    where
        T: Send + 'static,
        W: Future<Output = Answer<T>> + Send + 'static,
    {
        let (runtime, work) = (self.runtime.clone(), work(Arc::clone(&self.engine)));
        Box::pin(async move {
            let mut work = Work(runtime.spawn(work));
            match (&mut work.0).await {
                Ok(answer) => answer,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime has ended, as it does with its client.
                Err(_) => Err(Error::Closed),
            }
        })
    }
}

type Answer<T> = Result<T, Error>;

impl Coordinator for There {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Answer<Opened>> {
        self.run(move |engine| async move { engine.open(length).await })
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Answer<()>> {
        self.run(move |engine| async move { engine.renew(session).await })
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Answer<()>> {
        self.run(move |engine| async move { engine.close(session).await })
    }

    fn enter<'a>(&'a self, queue: &'a Name, request: Request<'a>) -> BoxFuture<'a, Answer<Place>> {
        let Request { session, id, mode, value, wait } = request;
        let (queue, value) = (queue.clone(), value.to_vec());
        self.run(move |engine| async move {
            let request = Request { session, id, mode, value: &value, wait };
            engine.enter(&queue, request).await
        })
    }

    fn place<'a>(&'a self, queue: &'a Name, token: FencingToken) -> BoxFuture<'a, Answer<Place>> {
        let queue = queue.clone();
        self.run(move |engine| async move { engine.place(&queue, token).await })
    }

    fn gone<'a>(&'a self, queue: &'a Name, token: FencingToken) -> BoxFuture<'a, Answer<()>> {
        let queue = queue.clone();
        self.run(move |engine| async move { engine.gone(&queue, token).await })
    }

    fn leave<'a>(&'a self, queue: &'a Name, token: FencingToken) -> BoxFuture<'a, Answer<()>> {
        let queue = queue.clone();
        self.run(move |engine| async move { engine.leave(&queue, token).await })
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Answer<()>> {
        let (queue, value) = (queue.clone(), value.to_vec());
        self.run(move |engine| async move { engine.set(&queue, token, &value).await })
    }

    fn list<'a>(&'a self, queue: &'a Name, since: Option<u64>) -> BoxFuture<'a, Answer<Listing>> {
        let queue = queue.clone();
        self.run(move |engine| async move { engine.list(&queue, since).await })
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Answer<Vec<Name>>> {
        let after = after.cloned();
        self.run(move |engine| async move { engine.queues(after.as_ref()).await })
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Answer<Option<Register>>> {
        let register = register.clone();
        self.run(move |engine| async move { engine.load(&register).await })
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Answer<u64>> {
        let (register, value) = (register.clone(), value.to_vec());
        self.run(move |engine| async move { engine.store(&register, expected, &value).await })
    }
}
