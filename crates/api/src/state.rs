//! What the routes stand on.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use steadfast_dispatch::service::Services;
use steadfast_resilience::shed::Priority;
use steadfast_time::Clock;

use crate::extract::headers;
use crate::gateway::{Admitted, Gateway};
use crate::lifecycle::Lifecycle;
use crate::limits::{DEADLINE_DEFAULT, DEADLINE_MAX, TRACK_KEEP_ALIVE};
use crate::problem::Problem;

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
    gateway: Option<Gateway>,
}

impl Api {
    /// The public face of some services. Tracking streams end when `lifecycle` drains.
    #[must_use]
    pub fn new(services: Services, clock: Clock, lifecycle: Lifecycle, options: Options) -> Self {
        let gateway = None;
        Self { inner: Arc::new(Inner { services, clock, lifecycle, options, gateway }) }
    }

    /// The same behind a gateway; without one every request is let in, and reads are made where
    /// they are asked for.
    #[must_use]
    pub fn behind(self, gateway: Gateway) -> Self {
        let Inner { services, clock, lifecycle, options, .. } = &*self.inner;
        let (services, clock) = (services.clone(), clock.clone());
        let (lifecycle, options) = (lifecycle.clone(), options.clone());
        let gateway = Some(gateway);
        Self { inner: Arc::new(Inner { services, clock, lifecycle, options, gateway }) }
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

    /// Lets a request in, with the time that its headers give it. Called once the body is there:
    /// a client that sends slowly keeps nobody out.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        priority: Priority,
    ) -> Result<Admitted, Problem> {
        let Options { deadline, deadline_max, .. } = *self.options();
        let allowed = headers::time_allowed(headers, deadline, deadline_max)?;
        let gateway = self.inner.gateway.as_ref();
        Admitted::new(gateway, self.clock(), priority, allowed, deadline).await
    }
}
