//! A listener that stays well while its clients do not.
//!
//! What a public port meets: ten thousand idle connections, heads and bodies that trickle in a
//! byte at a time, readers that never read, bodies without end. Each of these has its bound here
//! ([`Options`]), so that it costs its own connection and nobody else's. Both listeners of the
//! process are one of these each, with their own bounds: whoever fills the public one does not
//! keep the operator from the admin one.
//!
//! [`Server::bind`], then [`Server::run`] with the routes and with what says that it is time to
//! drain: then the port closes, requests at work are finished, kept-alive connections end, and
//! after [`Options::drain_timeout`] what is left is cut.
//!
//! Not here: TLS (a proxy's work, or the bearer token on a network that is trusted), HTTP/2.

mod access;
mod connection;
mod refusal;
mod stall;
mod timed;

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use steadfast_time::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

pub use access::{Access, Token, TokenError};

use crate::limits;
use connection::Shared;

/// Connections open now, by `listener`.
pub const CONNECTIONS: &str = "steadfast_http_connections";
/// Connections turned away because there were too many, by `listener`.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "steadfast_http_connections_refused_total";

/// Where to listen, who may come, and what each connection may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The listener's name in logs and metrics: `public`, `admin`.
    pub name: &'static str,
    /// Where to listen. Port 0 takes any that is free; [`Server::address`] tells which.
    pub address: SocketAddr,
    /// Who may come.
    pub access: Access,
    /// Most connections at once. Keep it some hundreds below the process's limit of open files.
    pub connections_max: usize,
    /// How long the head of a request may take, and how long a connection may idle.
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a client may refuse to read.
    pub write_timeout: Duration,
    /// How long requests at work may take to end while draining.
    pub drain_timeout: Duration,
}

impl Options {
    /// A listener with default bounds that only this machine can reach.
    #[must_use]
    pub const fn new(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            access: Access::Loopback,
            connections_max: limits::CONNECTIONS_MAX,
            head_timeout: limits::HEAD_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            write_timeout: limits::WRITE_TIMEOUT,
            drain_timeout: limits::DRAIN_TIMEOUT,
        }
    }
}

/// Why a listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others could reach it, and nothing would keep them out.
    #[error(
        "{address} can be reached from other machines: set a token for the {name} listener, or \
         allow access without one explicitly"
    )]
    Exposed {
        /// The listener.
        name: &'static str,
        /// Where it would listen.
        address: SocketAddr,
    },
    /// The operating system did not let it.
    #[error("the {name} listener cannot listen on {address}: {source}")]
    Bind {
        /// The listener.
        name: &'static str,
        /// Where it would listen.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not end in time.
    pub cut: usize,
}

/// A bound port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
    clock: Clock,
}

impl Server {
    /// Takes the port. Clients can connect from now on and are served once it runs.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bind(options: Options, clock: Clock) -> Result<Self, Error> {
        let Options { name, address, .. } = options;
        if !address.ip().is_loopback() && options.access == Access::Loopback {
            return Err(Error::Exposed { name, address });
        }
        let bind_error = |source| Error::Bind { name, address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Self { listener, address, options, clock })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` completes, then drains.
    pub async fn run(self, router: Router, drain: impl Future<Output = ()>) -> Drained {
        let Self { listener, options, clock, .. } = self;
        let (name, drain_timeout) = (options.name, options.drain_timeout);
        let (stop, stopped) = watch::channel(false);
        let mut open = Connections::new(options, clock.clone(), router, stopped);
        let mut drain = pin!(drain);
        loop {
            tokio::select! {
                biased;
                () = &mut drain => break,
                Some(ended) = open.served.join_next(), if !open.served.is_empty() => {
                    open.ended(name, ended);
                }
                Some(_) = open.refused.join_next(), if !open.refused.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => open.take(stream),
                    Err(error) if is_of_the_client(error.kind()) => {}
                    Err(error) => {
                        tracing::warn!(listener = name, %error, "cannot accept connections");
                        clock.sleep(limits::ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        stop.send_replace(true);
        open.drain(name, &clock, drain_timeout).await
    }
}

/// Whether accepting failed because of the one client that was being accepted.
const fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

struct Connections {
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    served: JoinSet<()>,
    refused: JoinSet<()>,
    gauge: metrics::Gauge,
    refusals: metrics::Counter,
}

impl Connections {
    fn new(options: Options, clock: Clock, router: Router, stopped: watch::Receiver<bool>) -> Self {
        metrics::describe_gauge!(CONNECTIONS, "Connections open now.");
        metrics::describe_counter!(CONNECTIONS_REFUSED_TOTAL, "Connections turned away.");
        let gauge = metrics::gauge!(CONNECTIONS, "listener" => options.name);
        let refusals = metrics::counter!(CONNECTIONS_REFUSED_TOTAL, "listener" => options.name);
        let shared = Arc::new(Shared { options, clock, router });
        let (served, refused) = (JoinSet::new(), JoinSet::new());
        Self { shared, stopped, served, refused, gauge, refusals }
    }

    fn take(&mut self, stream: TcpStream) {
        if self.served.len() < self.shared.options.connections_max {
            let shared = Arc::clone(&self.shared);
            self.served.spawn(connection::serve(shared, stream, self.stopped.clone()));
            self.gauge.increment(1.0);
            return;
        }
        self.refusals.increment(1);
        if self.refused.len() < limits::REFUSALS_MAX {
            let clock = self.shared.clock.clone();
            self.refused.spawn(refusal::refuse(stream, clock));
        }
    }

    fn ended(&self, name: &'static str, ended: Result<(), JoinError>) {
        self.gauge.decrement(1.0);
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(listener = name, %error, "a connection ended in a panic");
        }
    }

    async fn drain(mut self, name: &'static str, clock: &Clock, bound: Duration) -> Drained {
        let mut late = clock.sleep(bound);
        loop {
            tokio::select! {
                biased;
                ended = self.served.join_next() => match ended {
                    Some(ended) => self.ended(name, ended),
                    None => break,
                },
                () = &mut late => break,
            }
        }
        let cut = self.served.len();
        if cut > 0 {
            tracing::warn!(listener = name, cut, "connections were cut at the end of draining");
        }
        self.served.shutdown().await;
        self.refused.shutdown().await;
        self.gauge.set(0.0);
        Drained { cut }
    }
}
