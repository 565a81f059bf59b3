//! The limit in front of a service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_time::{Clock, Monotonic};

use super::{Limit, Permit, Refused};
use crate::event::{Decision, Events};
use crate::{Class, Classify, Error, Refusal};

/// Puts a [`Limit`] in front of a service.
///
/// `classify` judges outcomes: a success and a refusal on business grounds are answers, whose time
/// counts; what failed in a passing way (a timeout, 429, 503) is a drop; what failed for good says
/// nothing about capacity.
#[derive(Debug)]
pub struct Layer<C> {
    shared: Arc<Shared<C>>,
}

#[derive(Debug)]
struct Shared<C> {
    limit: Arc<Limit>,
    clock: Clock,
    events: Events,
    classify: C,
}

impl<C> Layer<C> {
    /// With this limit; `events` hears of refusals and of moves of the limit.
    #[must_use]
    pub fn new(limit: Arc<Limit>, clock: Clock, events: Events, classify: C) -> Self {
        Self { shared: Arc::new(Shared { limit, clock, events, classify }) }
    }
}

impl<C> Clone for Layer<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C> Shared<C> {
    fn refused<E>(&self, refused: Refused) -> Error<E> {
        let refusal = Refusal::Limit(refused);
        self.events.emit(self.clock.monotonic(), || Decision::Refused(refusal.clone()));
        Error::Refused { name: Arc::clone(self.events.name()), refusal }
    }

    fn judge<T, E>(&self, permit: Permit, since: Monotonic, outcome: &Result<T, E>)
    where
        C: Classify<T, E>,
    {
        let now = self.clock.monotonic();
        let changed = match self.classify.classify(outcome) {
            Class::Success | Class::Refusal => permit.success(now, now - since),
            Class::Transient { .. } => permit.dropped(now, now - since),
            Class::Permanent => None,
        };
        if let Some(changed) = changed {
            self.events.emit(now, || Decision::Limit(changed));
        }
    }
}

impl<S, C> tower_layer::Layer<S> for Layer<C> {
    type Service = Service<S, C>;

    fn layer(&self, inner: S) -> Service<S, C> {
        Service { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service with a [`Limit`] in front of it.
#[derive(Debug)]
pub struct Service<S, C> {
    inner: S,
    shared: Arc<Shared<C>>,
}

impl<S: Clone, C> Clone for Service<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S, R, C> tower_service::Service<R> for Service<S, C>
where
    S: tower_service::Service<R>,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Call<S::Future, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Error::Call)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let state = match shared.limit.try_acquire_owned() {
            Ok(permit) => {
                let since = shared.clock.monotonic();
                State::Calling { call: self.inner.call(request), permit: Some((permit, since)) }
            }
            Err(refused) => State::Refused { refused },
        };
        Call { shared, state }
    }
}

pin_project! {
    /// A call through a limit. Dropping it gives the place back and teaches the limit nothing.
    pub struct Call<F, C> {
        shared: Arc<Shared<C>>,
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Stage]
    enum State<F> {
        Refused { refused: Refused },
        Calling { #[pin] call: F, permit: Option<(Permit, Monotonic)> },
    }
}

impl<F, T, E, C> Future for Call<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            Stage::Refused { refused } => Poll::Ready(Err(this.shared.refused(*refused))),
            Stage::Calling { call, permit } => {
                let outcome = ready!(call.poll(context));
                if let Some((permit, since)) = permit.take() {
                    this.shared.judge(permit, since, &outcome);
                }
                Poll::Ready(outcome.map_err(Error::Call))
            }
        }
    }
}

impl<F, C> fmt::Debug for Call<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
