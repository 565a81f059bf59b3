//! Retries as a `tower` layer.
//!
//! Acts in `call`; `poll_ready` is the inner service's. A request is copied only if it may be
//! repeated at all, and nothing is allocated unless a retry waits. Each repeated attempt runs in a
//! [`Context`] that says so, and so layers further down hold back.
//!
//! The error is the inner service's own: a retry that is withheld gives back the last outcome, and
//! why there was no other is an [event](crate::event).
//!
//! Dropping the future at any point drops the attempt or the pause under way, and no other
//! follows. What was taken from the budget stays taken ([`crate::budget`] says why).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use steadfast_time::{Clock, Sleep};

use super::{Machine, Repeat, Retry};
use crate::Classify;
use crate::deadline::{Context, Scoped};
use crate::event::{Decision, Events};

/// Makes a service retry.
#[derive(Debug)]
pub struct Layer<P, C> {
    shared: Arc<Shared<P, C>>,
}

#[derive(Debug)]
struct Shared<P, C> {
    retry: Arc<Retry>,
    repeat: P,
    classify: C,
    clock: Clock,
    events: Events,
}

impl<P, C> Layer<P, C> {
    /// Retries what `classify` calls transient and `repeat` allows to be repeated.
    pub fn new(retry: Arc<Retry>, repeat: P, classify: C, clock: Clock, events: Events) -> Self {
        Self { shared: Arc::new(Shared { retry, repeat, classify, clock, events }) }
    }
}

impl<P, C> Clone for Layer<P, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P, C, S> tower_layer::Layer<S> for Layer<P, C> {
    type Service = Service<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Service { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service that retries.
#[derive(Debug)]
pub struct Service<S, P, C> {
    inner: S,
    shared: Arc<Shared<P, C>>,
}

impl<S: Clone, P, C> Clone for Service<S, P, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S, P, C, Request> tower_service::Service<Request> for Service<S, P, C>
where
    S: tower_service::Service<Request> + Clone,
    P: Repeat<Request>,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Response<S, Request, P, C>;

    fn poll_ready(&mut self, wakeup: &mut Wakeup<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(wakeup)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let repeatable = shared.repeat.repeatable(&request);
        let now = shared.clock.monotonic();
        let call = shared.retry.begin(now, repeatable, Context::current());
        let again = call.may_repeat().then(|| shared.repeat.again(&request));
        // The service that was polled ready makes this call; the copy takes its place.
        let (first, again) = match again {
            None => (self.inner.call(request), None),
            Some(copy) => {
                let inner = self.inner.clone();
                let mut ready = std::mem::replace(&mut self.inner, inner);
                (ready.call(request), Some(Again { inner: ready, request: copy }))
            }
        };
        Response { state: State::First { attempt: first }, call, again, shared }
    }
}

/// What another attempt is made with.
struct Again<S, Request> {
    inner: S,
    request: Request,
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        First { #[pin] attempt: F },
        Later { #[pin] attempt: Scoped<F> },
        Waiting { pause: Sleep },
        Ready,
    }
}

pin_project! {
    /// A call that is repeated where that is allowed and may help.
    pub struct Response<S, Request, P, C>
    where
        S: tower_service::Service<Request>,
    {
        #[pin]
        state: State<S::Future>,
        call: Machine,
        again: Option<Again<S, Request>>,
        shared: Arc<Shared<P, C>>,
    }
}

impl<S, Request, P, C> std::fmt::Debug for Response<S, Request, P, C>
where
    S: tower_service::Service<Request>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("call", &self.call).finish_non_exhaustive()
    }
}

impl<S, Request, P, C> Future for Response<S, Request, P, C>
where
    S: tower_service::Service<Request>,
    P: Repeat<Request>,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, wakeup: &mut Wakeup<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Shared { retry, repeat, classify, clock, events } = &**this.shared;
        loop {
            let outcome = match this.state.as_mut().project() {
                StateProjection::First { attempt } => ready!(attempt.poll(wakeup)),
                StateProjection::Later { attempt } => ready!(attempt.poll(wakeup)),
                StateProjection::Waiting { pause } => {
                    ready!(pause.as_mut().poll(wakeup));
                    this.state.set(State::Ready);
                    continue;
                }
                StateProjection::Ready => {
                    let context = this.call.context();
                    if let Some(Again { inner, .. }) = this.again {
                        ready!(context.sync_scope(|| inner.poll_ready(wakeup)))?;
                    }
                    let Some(Again { mut inner, request }) = this.again.take() else {
                        unreachable!("a retry was decided on for a call that cannot be repeated")
                    };
                    let copy = this.call.may_repeat().then(|| repeat.again(&request));
                    let attempt = context.sync_scope(|| inner.call(request));
                    *this.again = copy.map(|request| Again { inner, request });
                    this.state.set(State::Later { attempt: context.scope(attempt) });
                    continue;
                }
            };
            let class = classify.classify(&outcome);
            if !class.is_failure() {
                retry.answered(class);
                return Poll::Ready(outcome);
            }
            let now = clock.monotonic();
            match retry.failed(this.call, now, class, Duration::ZERO) {
                Ok(retrying) => {
                    events.emit(now, || Decision::Retrying(retrying));
                    let pause = clock.sleep_until(now + retrying.after);
                    this.state.set(State::Waiting { pause });
                }
                Err(withheld) => {
                    events.emit(now, || Decision::RetryWithheld(withheld));
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}
