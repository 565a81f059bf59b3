//! What the routes stand on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use steadfast_dispatch::Error;
use steadfast_dispatch::service::Services;
use steadfast_time::{Clock, Monotonic};

use crate::extract::headers;
use crate::lifecycle::Lifecycle;
use crate::limits::{DEADLINE_DEFAULT, DEADLINE_MAX, TRACK_KEEP_ALIVE};
use crate::problem::Problem;

const fn late() -> Error {
    Error::DeadlineExceeded { what: std::borrow::Cow::Borrowed("not done within the deadline") }
}

/// What can be set about the public face.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a request may take when it does not say.
    pub deadline: Duration,
    /// Longest deadline that a request can ask for.
    pub deadline_max: Duration,
    /// How often a tracking stream says that it is alive.
    pub track_keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: DEADLINE_DEFAULT,
            deadline_max: DEADLINE_MAX,
            track_keep_alive: TRACK_KEEP_ALIVE,
        }
    }
}

/// The services behind the public routes. Clones are the same.
#[derive(Clone, Debug)]
pub struct Api {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    services: Services,
    clock: Clock,
    lifecycle: Lifecycle,
    options: Options,
}

impl Api {
    /// The public face of some services. Tracking streams end when `lifecycle` drains.
    #[must_use]
    pub fn new(services: Services, clock: Clock, lifecycle: Lifecycle, options: Options) -> Self {
        Self { inner: Arc::new(Inner { services, clock, lifecycle, options }) }
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.inner.lifecycle
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    /// How long the request may take, by its headers.
    pub(crate) fn time_allowed(&self, headers: &HeaderMap) -> Result<Duration, Problem> {
        let Options { deadline, deadline_max, .. } = *self.options();
        headers::time_allowed(headers, deadline, deadline_max)
    }

    /// The moment by which the request must be answered, by its headers.
    pub(crate) fn deadline(&self, headers: &HeaderMap) -> Result<Monotonic, Problem> {
        Ok(self.clock().monotonic() + self.time_allowed(headers)?)
    }

    /// Waits for a service that keeps no deadline itself. What it has handed to the journal by
    /// then may still be done; all such requests can be repeated.
    pub(crate) async fn within<T>(
        &self,
        allowed: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let done = self.clock().timeout(allowed, work).await;
        Ok(done.unwrap_or_else(|_| Err(late()))?)
    }
}
