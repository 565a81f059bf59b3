//! The timeout around a `tower` service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_time::{Clock, Monotonic};
use tower_service::Service as TowerService;

use super::{Limit, Processing, Scope, TimedOut, Timeout, Unreported, Within};
use crate::deadline;
use crate::event::{Decision, Events};
use crate::{Classify, Error, Refusal};

/// All that the calls of one dependency share. One reference count for all of it.
#[derive(Debug)]
struct Inside<C, P> {
    timeout: Arc<Timeout>,
    scope: Scope,
    clock: Clock,
    events: Events,
    classify: C,
    processing: P,
}

impl<C, P> Inside<C, P> {
    /// The limit of a call that begins now; or its deadline has passed.
    fn begin(&self, now: Monotonic) -> Result<Limit, deadline::Refused> {
        let deadline = deadline::Context::current().deadline;
        if let Some(deadline) = deadline {
            deadline.check(now, std::time::Duration::ZERO)?;
        }
        let limit = Limit::new(now, self.timeout.limit(now), self.scope);
        Ok(limit.before(now, deadline))
    }

    fn refuse(&self, now: Monotonic, refused: deadline::Refused) -> Refusal {
        let refusal = Refusal::from(refused);
        self.events.emit(now, || Decision::Refused(refusal.clone()));
        refusal
    }

    fn answered<T, E>(&self, started: Monotonic, outcome: &Result<T, E>)
    where
        C: Classify<T, E>,
        P: Processing<T>,
    {
        // A failure says nothing about how long an answer takes.
        if self.timeout.observes() && !self.classify.classify(outcome).is_failure() {
            let now = self.clock.monotonic();
            let processing = outcome.as_ref().ok().and_then(|it| self.processing.processing(it));
            self.timeout.observe(now, now - started, processing);
        }
    }

    fn gave_up(&self, reached: TimedOut) {
        let now = self.clock.monotonic();
        // A deadline that came first says nothing about this limit.
        if reached.scope == self.scope {
            self.timeout.timed_out(now, reached.limit);
        }
        self.events.emit(now, || Decision::TimedOut(reached));
    }
}

/// Puts a timeout around a service. The caller's deadline ([`deadline::Context`]) counts where it
/// comes earlier; when it has passed, the call is not even made.
///
/// Put one with [`Scope::Attempt`] inside the retries, and one with [`Scope::Overall`] around
/// them. An adaptive timeout around retries would adapt to their pauses.
#[derive(Debug)]
pub struct Layer<C, P = Unreported> {
    inside: Arc<Inside<C, P>>,
}

impl<C> Layer<C> {
    /// The same timeout around everything that this layer wraps. `classify` says which outcomes
    /// are answers whose time is to be observed, and `events` hears of calls that are given up.
    pub fn new(
        timeout: Arc<Timeout>,
        scope: Scope,
        clock: Clock,
        events: Events,
        classify: C,
    ) -> Self {
        let processing = Unreported;
        let inside = Inside { timeout, scope, clock, events, classify, processing };
        Self { inside: Arc::new(inside) }
    }

    /// The same, with answers that say how long they were worked on.
    #[must_use]
    pub fn reported<P>(self, processing: P) -> Layer<C, P>
    where
        C: Clone,
    {
        let Inside { timeout, scope, clock, events, classify, .. } = &*self.inside;
        let inside = Inside {
            timeout: Arc::clone(timeout),
            scope: *scope,
            clock: clock.clone(),
            events: events.clone(),
            classify: classify.clone(),
            processing,
        };
        Layer { inside: Arc::new(inside) }
    }
}

impl<C, P> Clone for Layer<C, P> {
    fn clone(&self) -> Self {
        Self { inside: Arc::clone(&self.inside) }
    }
}

impl<S, C, P> tower_layer::Layer<S> for Layer<C, P> {
    type Service = Service<S, C, P>;

    fn layer(&self, inner: S) -> Service<S, C, P> {
        Service { inner, inside: Arc::clone(&self.inside) }
    }
}

/// A service with a timeout.
#[derive(Debug)]
pub struct Service<S, C, P = Unreported> {
    inner: S,
    inside: Arc<Inside<C, P>>,
}

impl<S: Clone, C, P> Clone for Service<S, C, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), inside: Arc::clone(&self.inside) }
    }
}

impl<S, C, P, Request> TowerService<Request> for Service<S, C, P>
where
    S: TowerService<Request>,
    C: Classify<S::Response, S::Error>,
    P: Processing<S::Response>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Calling<S::Future, C, P>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Error::Call)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = self.inside.clock.monotonic();
        let step = match self.inside.begin(started) {
            Ok(limit) => Step::Called { within: Within::new(self.inner.call(request), limit) },
            Err(refused) => Step::Refused { refusal: Some(self.inside.refuse(started, refused)) },
        };
        Calling { step, started, inside: Arc::clone(&self.inside) }
    }
}

pin_project! {
    /// A call with a timeout. Dropped before the answer came, it leaves nothing behind, and
    /// nothing is learned from it.
    pub struct Calling<F, C, P> {
        #[pin]
        step: Step<F>,
        started: Monotonic,
        inside: Arc<Inside<C, P>>,
    }
}

pin_project! {
    #[project = StepProject]
    enum Step<F> {
        Called { #[pin] within: Within<F> },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F, C, P, T, E> Future for Calling<F, C, P>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
    P: Processing<T>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inside = &**this.inside;
        let name = || Arc::clone(inside.events.name());
        match this.step.project() {
            StepProject::Called { within } => match ready!(within.poll(context, &inside.clock)) {
                Ok(outcome) => {
                    inside.answered(*this.started, &outcome);
                    Poll::Ready(outcome.map_err(Error::Call))
                }
                Err(timeout) => {
                    inside.gave_up(timeout);
                    Poll::Ready(Err(Error::TimedOut { name: name(), timeout }))
                }
            },
            StepProject::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Err(Error::Refused { name: name(), refusal })),
                // Polled again after it was ready: nothing is left to say.
                None => Poll::Pending,
            },
        }
    }
}

impl<F, C, P> fmt::Debug for Calling<F, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("started", &self.started).finish_non_exhaustive()
    }
}
