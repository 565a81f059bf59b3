//! The breaker around a `tower` service.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_time::Clock;
use tower_service::Service as TowerService;

use super::permit::Permit;
use super::{Breaker, Transition};
use crate::event::{Decision, Events};
use crate::{Classify, Error, Refusal};

/// All that the calls of one dependency share. One reference count for all of it.
struct Handle<C>(Arc<Inside<C>>);

struct Inside<C> {
    breaker: Arc<Breaker>,
    clock: Clock,
    events: Events,
    classify: C,
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for Handle<C> {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.0.breaker
    }
}

impl<C> Handle<C> {
    fn tell(&self, changed: Option<Transition>) {
        if let Some(transition) = changed {
            self.emit(|| Decision::Breaker(transition));
        }
    }

    /// No clock is read for nobody.
    fn emit(&self, decision: impl FnOnce() -> Decision) {
        let Inside { clock, events, .. } = &*self.0;
        if events.is_heard() {
            events.emit(clock.monotonic(), decision);
        }
    }
}

impl<C> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inside { breaker, events, .. } = &*self.0;
        f.debug_struct("Handle").field("breaker", breaker).field("events", events).finish()
    }
}

/// Puts a breaker around a service.
///
/// Only what the service itself answers is judged. A call that is dropped before its answer came
/// is cancelled, and the breaker learns nothing from it; so a timeout belongs *inside*, where it
/// is an outcome like any other. Nor does it learn from a service that panics, or that fails to
/// become ready: a connection should be opened in the call, not in `poll_ready`.
pub struct Layer<C> {
    handle: Handle<C>,
}

impl<C> Layer<C> {
    /// The same breaker around everything that this layer wraps. `classify` says which outcomes
    /// count as failures, and `events` hears of refusals and changes of state.
    pub fn new(breaker: Arc<Breaker>, clock: Clock, events: Events, classify: C) -> Self {
        Self { handle: Handle(Arc::new(Inside { breaker, clock, events, classify })) }
    }
}

impl<C> Clone for Layer<C> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

impl<C> fmt::Debug for Layer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("handle", &self.handle).finish()
    }
}

impl<S, C> tower_layer::Layer<S> for Layer<C> {
    type Service = Service<S, C>;

    fn layer(&self, inner: S) -> Service<S, C> {
        Service { inner, handle: self.handle.clone() }
    }
}

/// A service behind a breaker.
pub struct Service<S, C> {
    inner: S,
    handle: Handle<C>,
}

impl<S: Clone, C> Clone for Service<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), handle: self.handle.clone() }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Service<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, handle } = self;
        f.debug_struct("Service").field("inner", inner).field("handle", handle).finish()
    }
}

impl<S, C, Request> TowerService<Request> for Service<S, C>
where
    S: TowerService<Request>,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Calling<S::Future, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Error::Call)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (granted, changed) = Permit::acquire(self.handle.clone(), &self.handle.0.clock);
        self.handle.tell(changed);
        match granted {
            Ok(permit) => {
                let answer = self.inner.call(request);
                Calling { step: Step::Called { answer, permit: Some(permit) } }
            }
            Err(refused) => {
                let refusal = Refusal::from(refused);
                self.handle.emit(|| Decision::Refused(refusal.clone()));
                let refused = Some((Arc::clone(self.handle.0.events.name()), refusal));
                Calling { step: Step::Refused { refused } }
            }
        }
    }
}

pin_project! {
    /// A call through a breaker, or its refusal. Dropped before the answer came, it is cancelled.
    pub struct Calling<F, C> {
        #[pin]
        step: Step<F, C>,
    }
}

pin_project! {
    #[project = StepProject]
    enum Step<F, C> {
        Called { #[pin] answer: F, permit: Option<Permit<Handle<C>>> },
        Refused { refused: Option<(Arc<str>, Refusal)> },
    }
}

impl<F, C, T, E> Future for Calling<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProject::Called { answer, permit } => {
                let answer = ready!(answer.poll(context));
                if let Some(permit) = permit {
                    // Before the permit is spent: if judging panics, dropping it cancels the call.
                    let failed = permit.breaker().0.classify.classify(&answer).is_failure();
                    if let Some(grant) = permit.take() {
                        let handle = permit.breaker();
                        handle.tell(handle.record(&handle.0.clock, grant, failed));
                    }
                }
                Poll::Ready(answer.map_err(Error::Call))
            }
            StepProject::Refused { refused } => {
                let Some((name, refusal)) = refused.take() else {
                    panic!("polled again after it was ready");
                };
                Poll::Ready(Err(Error::Refused { name, refusal }))
            }
        }
    }
}

impl<F, C> fmt::Debug for Calling<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}
