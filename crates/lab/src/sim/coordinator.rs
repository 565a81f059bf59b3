//! A coordination server on a host, and the ways of others to it.
//!
//! The server is the coordination crate's own [`Memory`] engine on a [`Disk`]: killed, it comes back with
//! its entries and tokens, and every session has its whole length before it. A [`Way`] is what a client
//! takes for the engine: each call is a message over the stage's network, so all faults of the stage
//! apply to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, pending, select};
use steadfast_coordination::engine::memory::{Disk, Memory};
use steadfast_coordination::port::{
    Capabilities, Coordinator, Error, Listing, Name, Opened, Place, Register, Request, SessionId,
};
use steadfast_fencing::FencingToken;
use tokio::sync::watch;

use super::{Host, Net};

/// The size of a message, for links of limited bandwidth: a name, a token, a short value.
const BYTES: usize = 200;

/// The server's process, while it runs.
#[derive(Clone)]
pub(crate) struct Server {
    host: Arc<str>,
    running: Arc<Mutex<Option<Memory>>>,
}

impl Server {
    /// Starts a server on its host, over a disk that survives it.
    pub(crate) fn start(host: &Host) -> Self {
        let server = Self { host: host.name().into(), running: Arc::default() };
        let (disk, clock, running) = (Disk::new(), host.clock(), server.clone());
        host.boot(move || {
            let (disk, clock, running) = (disk.clone(), clock.clone(), running.clone());
            async move {
                *running.lock() = Some(Memory::open(&disk, clock));
                let _running = Running(running);
                pending::<()>().await;
            }
            .boxed_local()
        });
        server
    }

    fn lock(&self) -> MutexGuard<'_, Option<Memory>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One life of the server's process: whoever waits there is cut off when it ends.
struct Running(Server);

impl Drop for Running {
    fn drop(&mut self) {
        let memory = self.0.lock().take();
        if let Some(memory) = memory {
            memory.stop();
        }
    }
}

/// What the server has done for a session, seen where it was done: the answer may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    Opened(SessionId),
    Renewed(SessionId),
}

/// Somebody who looks at the server.
type Eye = Arc<dyn Fn(Granted) + Send + Sync>;

/// A host's way to the server. A lost message is silence; its caller has a deadline.
pub(crate) struct Way {
    net: Net,
    from: String,
    server: Server,
    eye: Eye,
}

impl Way {
    pub(crate) fn new(net: Net, from: &str, server: Server) -> Self {
        Self { net, from: from.to_owned(), server, eye: Arc::new(|_| ()) }
    }

    /// The same, and somebody is told of what the server grants on this way.
    pub(crate) fn seen_by(self, eye: impl Fn(Granted) + Send + Sync + 'static) -> Self {
        Self { eye: Arc::new(eye), ..self }
    }

    fn call<'a, T: Send + 'static>(
        &'a self,
        ask: impl Fn(Memory) -> BoxFuture<'static, Result<T, Error>> + Send + Sync + 'static,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let server = self.server.clone();
        let work = move || {
            let memory = server.lock().clone();
            match memory {
                Some(memory) => ask(memory),
                None => {
                    let error = unavailable(&server.host, "it has not started yet");
                    futures::future::ready(Err(error)).boxed()
                }
            }
        };
        let host = &self.server.host;
        async move {
            let answer = self.net.call(&self.from, host, BYTES, work).await;
            answer.unwrap_or_else(|refused| Err(unavailable(host, &refused.to_string())))
        }
        .boxed()
    }

    /// A call that waits at the server until there is news. It is given up there when it is given
    /// up here, as when a connection is closed.
    fn wait<'a, T: Send + 'static>(
        &'a self,
        ask: impl Fn(Memory) -> BoxFuture<'static, Result<T, Error>> + Send + Sync + 'static,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let (here, there) = watch::channel(());
        let host = Arc::clone(&self.server.host);
        let call = self.call(move |memory| {
            let (asked, mut connection) = (ask(memory), there.clone());
            let host = Arc::clone(&host);
            async move {
                let closed = async move { while connection.changed().await.is_ok() {} };
                match select(asked, std::pin::pin!(closed)).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => Err(unavailable(&host, "given up")),
                }
            }
            .boxed()
        });
        async move {
            let answer = call.await;
            drop(here);
            answer
        }
        .boxed()
    }
}

fn unavailable(host: &str, reason: &str) -> Error {
    let engine = Memory::CAPABILITIES.engine;
    Error::Unavailable { engine, address: host.into(), reason: reason.into() }
}

impl Coordinator for Way {
    fn capabilities(&self) -> Capabilities {
        Memory::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        let eye = Arc::clone(&self.eye);
        self.call(move |server| {
            let eye = Arc::clone(&eye);
            async move {
                let opened = server.open(length).await?;
                eye(Granted::Opened(opened.session));
                Ok(opened)
            }
            .boxed()
        })
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        let eye = Arc::clone(&self.eye);
        self.call(move |server| {
            let eye = Arc::clone(&eye);
            async move {
                server.renew(session).await?;
                eye(Granted::Renewed(session));
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
        let (queue, value) = (queue.clone(), value.to_vec());
        self.call(move |server| {
            let (queue, value) = (queue.clone(), value.clone());
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
        self.wait(move |server| {
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
        let (queue, value) = (queue.clone(), value.to_vec());
        self.call(move |server| {
            let (queue, value) = (queue.clone(), value.clone());
            async move { server.set(&queue, token, &value).await }.boxed()
        })
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        let queue = queue.clone();
        self.wait(move |server| {
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
        let (register, value) = (register.clone(), value.to_vec());
        self.call(move |server| {
            let (register, value) = (register.clone(), value.clone());
            async move { server.store(&register, expected, &value).await }.boxed()
        })
    }
}
