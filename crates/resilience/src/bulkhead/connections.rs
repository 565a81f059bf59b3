//! A bound on a hyper client's open connections.
//!
//! `hyper_util`'s client pools connections, but opens as many as there are requests at once. Each
//! one costs both sides a socket and memory, and a server that is slow is hit with more of them
//! just then. [`Connector`] wraps any connector: a connection holds a place of a [`Bulkhead`] from
//! before it is opened until it is closed, idle ones included.
//!
//! **When to use it:** around the connector of a client that talks to one dependency. A request
//! that finds all connections busy waits for the first that is idle or closed, at most for
//! [`Options::wait`](super::Options::wait). **When not:** around one client for many hosts: idle
//! connections to one would keep the others waiting.
//!
//! **Limits:** hyper's pool gives a request whatever comes first, a new connection or an idle one,
//! and lets the other attempt go on in the background. Such an attempt keeps its place in the
//! bulkhead's queue until its wait is over, so under load the queue fills with attempts that nobody
//! needs. Bound the calls before the client as well (a [`Bulkhead`] with as many places), and this
//! one hardly ever has to queue.
//!
//! ```
//! use std::sync::Arc;
//! use hyper_util::client::legacy::{Client, connect::HttpConnector};
//! use hyper_util::rt::TokioExecutor;
//! use steadfast_resilience::bulkhead::{Bulkhead, Options, connections::Connector};
//! use steadfast_time::Clock;
//!
//! let connections = Arc::new(Bulkhead::new(&Options::default(), Clock::system())?);
//! let connector = Connector::new(HttpConnector::new(), Arc::clone(&connections));
//! let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
//! # drop(client);
//! assert_eq!(connections.in_use(), 0);
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

use std::error::Error;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Bulkhead, Permit, Refused};

/// What hyper wants as a connector's error.
type BoxError = Box<dyn Error + Send + Sync>;

/// A connector whose connections hold a place each.
#[derive(Clone, Debug)]
pub struct Connector<C> {
    inner: C,
    bulkhead: Arc<Bulkhead>,
}

impl<C> Connector<C> {
    /// Around a connector; clones share the places.
    #[must_use]
    pub const fn new(inner: C, bulkhead: Arc<Bulkhead>) -> Self {
        Self { inner, bulkhead }
    }
}

/// The refusal in a client's error, if that is why no connection was opened: hyper wraps it.
#[must_use]
pub fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<BoxError>,
{
    type Response = Limited<C::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let acquire = self.bulkhead.acquire_owned(None);
        Box::pin(async move {
            let permit = acquire.await?;
            let io = inner.call(uri).await.map_err(Into::into)?;
            Ok(Limited { io, permit })
        })
    }
}

pin_project! {
    /// A connection that holds a place.
    #[derive(Debug)]
    pub struct Limited<I> {
        #[pin]
        io: I,
        permit: Permit,
    }
}

impl<I> Limited<I> {
    /// The connection itself.
    pub const fn get_ref(&self) -> &I {
        &self.io
    }
}

impl<I: Connection> Connection for Limited<I> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<I: Read> Read for Limited<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(context, buffer)
    }
}

impl<I: Write> Write for Limited<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(context, bytes)
    }
}
