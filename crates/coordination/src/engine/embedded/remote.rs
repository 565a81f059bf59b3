//! The client of a [`Server`](super::Server).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};

use super::ENGINE;
use super::address;
use super::ask::Ask;
use super::calls::{Service, coordinator, fits};
use super::link::{Failure, Handle, Link, Unanswered};
use crate::engine::machine::{Command, Output, Query};
use crate::limits::EMBEDDED_UNSENT_BYTES_MAX;
use crate::port::{Error, Name, Place, SessionId};

/// After a failure to connect, nobody tries again for so long. Long enough that a thousand callers
/// are one attempt, short enough that nobody notices when the server is back.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A client of an embedded engine in another process. It has one connection, which all callers
/// share, and makes a new one when it is asked something after that broke. Requests that were on
/// their way then end in [`Error::Unavailable`].
///
/// The connection is a task on the tokio runtime on which it was made.
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
    address: Arc<str>,
    clock: Clock,
    link: Mutex<Option<Arc<Handle>>>,
    /// Held while connecting: when that failed last, and how.
    connecting: tokio::sync::Mutex<Option<(Monotonic, Error)>>,
}

impl Remote {
    /// A client for an address like `unix:///run/steadfast/coordination.sock`, without connecting:
    /// the first request does.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not an address.
    pub fn new(address: &str, clock: Clock) -> Result<Self, Error> {
        let path = address::parse(address).map_err(|error| Error::Refused {
            engine: ENGINE,
            address: address.into(),
            reason: error.to_string().into(),
        })?;
        let (link, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { path, address: address.into(), clock, link, connecting })
    }

    /// As [`Remote::new`], and connects at once, so that a wrong address is noticed here.
    ///
    /// # Errors
    /// [`Error::Refused`] when something else is there; [`Error::Unavailable`] when nothing is.
    pub async fn connect(address: &str, clock: Clock) -> Result<Self, Error> {
        let remote = Self::new(address, clock)?;
        remote.link().await?;
        Ok(remote)
    }

    /// Where the server is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn current(&self) -> Option<Arc<Handle>> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().filter(|link| !link.is_broken()).cloned()
    }

    /// The connection; a new one if the last one broke.
    async fn link(&self) -> Result<Arc<Handle>, Error> {
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let mut failed = self.connecting.lock().await;
        if let Some(link) = self.current() {
            return Ok(link);
        }
        if let Some((when, error)) = &*failed
            && self.clock.monotonic() - *when < AGAIN_AFTER
        {
            return Err(error.clone());
        }
        match Link::connect(&self.path, &self.clock).await {
            Ok(link) => {
                let link = Arc::new(link);
                *failed = None;
                *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&link));
                Ok(link)
            }
            Err(failure) => {
                let address = Arc::clone(&self.address);
                let error = match failure {
                    Failure::Unavailable(reason) => self.unavailable(reason),
                    Failure::Refused(reason) => Error::Refused { engine: ENGINE, address, reason },
                };
                *failed = Some((self.clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }

    fn unavailable(&self, reason: Arc<str>) -> Error {
        Error::Unavailable { engine: ENGINE, address: Arc::clone(&self.address), reason }
    }
}

impl Service for Remote {
    async fn ask(&self, ask: Ask) -> Result<Output, Error> {
        let link = self.link().await?;
        match link.ask(&ask).await {
            Ok(reply) => reply.into_result(|reason| self.unavailable(reason)),
            Err(Unanswered::Broken(reason)) => Err(self.unavailable(reason)),
            Err(Unanswered::Full) => {
                let (what, limit) = ("bytes of requests not sent", EMBEDDED_UNSENT_BYTES_MAX);
                Err(Error::Full { what, limit })
            }
        }
    }

    fn confused(&self) -> Error {
        self.unavailable("it gave an answer to another question".into())
    }
}

coordinator!(Remote);
