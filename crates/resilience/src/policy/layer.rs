//! The whole policy around a `tower` service.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tower_service::Service as TowerService;

use super::Policy;
use crate::retry::{Repeat, Repeatable};
use crate::{Classify, Error};

/// Puts a whole [`Policy`] around a service: an HTTP client, a gRPC channel, anything that is
/// `Clone`.
///
/// `repeat` says which requests may be made twice, whatever
/// [`Builder::repeatable`](super::Builder::repeatable) says: [`ByMethod`](crate::retry::ByMethod)
/// for HTTP, [`AllMarked`](crate::retry::AllMarked) or [`ByRule`](crate::retry::ByRule) for
/// others, and [`NoneMarked`](crate::retry::NoneMarked) for requests that cannot be copied. A
/// request is copied only where it may have to be repeated, once for each attempt. `classify`
/// judges outcomes.
///
/// Each attempt is made on a clone of the service that is waited for until it is ready, in a
/// [`deadline::Context`](crate::deadline::Context) with the attempt's own deadline. To pass that
/// on, put [`deadline::Outgoing`](crate::deadline::Outgoing) (feature `http`) inside this one.
///
/// Here a call costs one allocation and some 60 ns more than with [`Policy::call`]
/// (`benches/policy.rs`, 2 virtual cores): a `tower` service has to name the type of its future,
/// and that of a policy has no name.
pub struct Layer<P, C> {
    inside: Arc<Inside<P, C>>,
}

/// All that the calls of one dependency share. One reference count for all of it.
struct Inside<P, C> {
    policy: Policy,
    repeat: P,
    classify: C,
}

impl<P, C> Layer<P, C> {
    /// The same policy around everything that this layer wraps.
    pub fn new(policy: Policy, repeat: P, classify: C) -> Self {
        Self { inside: Arc::new(Inside { policy, repeat, classify }) }
    }
}

impl<P, C> Clone for Layer<P, C> {
    fn clone(&self) -> Self {
        Self { inside: Arc::clone(&self.inside) }
    }
}

impl<P, C> fmt::Debug for Layer<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("policy", &self.inside.policy).finish_non_exhaustive()
    }
}

impl<S, P, C> tower_layer::Layer<S> for Layer<P, C> {
    type Service = Service<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Service { inner, inside: Arc::clone(&self.inside) }
    }
}

/// A service behind a policy.
pub struct Service<S, P, C> {
    inner: S,
    inside: Arc<Inside<P, C>>,
}

impl<S, P, C> Service<S, P, C> {
    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inside.policy
    }
}

impl<S: Clone, P, C> Clone for Service<S, P, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), inside: Arc::clone(&self.inside) }
    }
}

impl<S: fmt::Debug, P, C> fmt::Debug for Service<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, inside } = self;
        let mut debug = f.debug_struct("Service");
        debug.field("inner", inner).field("policy", &inside.policy).finish_non_exhaustive()
    }
}

/// A call through a policy. Dropped at any point, it gives back what it holds.
pub type Calling<T, E> = Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>;

impl<S, P, C, Request> TowerService<Request> for Service<S, P, C>
where
    S: TowerService<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    P: Repeat<Request> + Send + Sync + 'static,
    C: Classify<S::Response, S::Error> + Send + Sync + 'static,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Calling<S::Response, S::Error>;

    fn poll_ready(&mut self, wakeup: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(wakeup).map_err(Error::Call)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Inside { policy, repeat, .. } = &*self.inside;
        let marked = repeat.repeatable(&request).is_allowed();
        // The service that was polled ready makes the first attempt; the copy takes its place.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let copies = marked && policy.repeats();
        let supply = Mutex::new(Supply { copies, of: Some((ready, request)) });
        let inside = Arc::clone(&self.inside);
        Box::pin(async move {
            let Inside { policy, repeat, classify } = &*inside;
            let repeatable = if marked { Repeatable::Marked } else { Repeatable::No };
            let classify = |outcome: &Result<_, _>| classify.classify(outcome);
            let attempt = |_| {
                let taken = supply.lock().unwrap_or_else(PoisonError::into_inner).take(repeat);
                async move {
                    let Some((mut service, request)) = taken else {
                        unreachable!("a second attempt of a call that is made once")
                    };
                    poll_fn(|wakeup| service.poll_ready(wakeup)).await?;
                    service.call(request).await
                }
            };
            policy.request().repeatable(repeatable).classify(classify).call(attempt).await
        })
    }
}

/// What attempts are made with. Behind a lock only because two of them may run at once, and so
/// that services and requests need not be `Sync`.
struct Supply<S, Request> {
    /// Whether there may be another attempt.
    copies: bool,
    of: Option<(S, Request)>,
}

impl<S: Clone, Request> Supply<S, Request> {
    /// For one attempt.
    fn take(&mut self, repeat: &impl Repeat<Request>) -> Option<(S, Request)> {
        if !self.copies {
            return self.of.take();
        }
        let (service, request) = self.of.as_mut()?;
        // The first gets the one that was polled ready.
        let clone = service.clone();
        Some((mem::replace(service, clone), repeat.again(request)))
    }
}
