//! Hedging around a `tower` service.
//!
//! The error is the inner service's own: hedging makes none.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_time::Clock;
use tower_service::Service as TowerService;

use super::{Around, Hedger, Means, Race};
use crate::Classify;
use crate::deadline::{Context, Scoped};
use crate::event::Events;
use crate::retry::Repeat;

/// All that the calls of one dependency share. One reference count for all of it.
struct Inside<M, P, C> {
    hedger: Arc<Hedger>,
    means: M,
    repeat: P,
    classify: C,
    clock: Clock,
    events: Events,
}

/// Gives slow calls a second attempt. The second runs in a [`Context`] that says that its caller
/// repeats itself, and on a clone of the service: put it around something that shares its state
/// among clones and chooses anew for each call, such as a connection pool or a balancer.
pub struct Layer<M, P, C> {
    inside: Arc<Inside<M, P, C>>,
}

impl<M, P, C> Layer<M, P, C> {
    /// `means` is what hedges are paid from, `repeat` says which requests may be made twice,
    /// `classify` which outcomes are answers, and `events` hears of hedges and why there were
    /// none.
    pub fn new(
        hedger: Arc<Hedger>,
        means: M,
        repeat: P,
        classify: C,
        clock: Clock,
        events: Events,
    ) -> Self {
        Self { inside: Arc::new(Inside { hedger, means, repeat, classify, clock, events }) }
    }
}

impl<M, P, C> Clone for Layer<M, P, C> {
    fn clone(&self) -> Self {
        Self { inside: Arc::clone(&self.inside) }
    }
}

impl<M, P, C> fmt::Debug for Layer<M, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("events", &self.inside.events).finish_non_exhaustive()
    }
}

impl<S, M, P, C> tower_layer::Layer<S> for Layer<M, P, C> {
    type Service = Service<S, M, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Service { inner, inside: Arc::clone(&self.inside) }
    }
}

/// A service whose slow calls get a second attempt.
pub struct Service<S, M, P, C> {
    inner: S,
    inside: Arc<Inside<M, P, C>>,
}

impl<S: Clone, M, P, C> Clone for Service<S, M, P, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), inside: Arc::clone(&self.inside) }
    }
}

impl<S: fmt::Debug, M, P, C> fmt::Debug for Service<S, M, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, inside } = self;
        let mut debug = f.debug_struct("Service");
        debug.field("inner", inner).field("events", &inside.events).finish_non_exhaustive()
    }
}

impl<S, M, P, C, Request> TowerService<Request> for Service<S, M, P, C>
where
    S: TowerService<Request> + Clone,
    M: Means,
    P: Repeat<Request>,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Calling<S, Request, M, P, C>;

    fn poll_ready(&mut self, wakeup: &mut Wakeup<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(wakeup)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Inside { hedger, repeat, clock, .. } = &*self.inside;
        let now = clock.monotonic();
        let context = Context::current();
        let plan = hedger.plan(now, repeat.repeatable(&request).is_allowed(), context);
        let second = plan.may_hedge().then(|| Second::Ready {
            service: self.inner.clone(),
            request: Some(repeat.again(&request)),
            context: Context { repeated: true, ..context },
        });
        let race = Race::new(plan, self.inner.call(request), second);
        Calling { race, inside: Arc::clone(&self.inside) }
    }
}

pin_project! {
    /// The second attempt: does nothing until it is polled, then waits for a clone of the service
    /// to be ready and calls it.
    #[project = SecondProjection]
    enum Second<S, Request>
    where
        S: TowerService<Request>,
    {
        Ready { service: S, request: Option<Request>, context: Context },
        Called { #[pin] answer: Scoped<S::Future> },
    }
}

impl<S, Request> Future for Second<S, Request>
where
    S: TowerService<Request>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, wakeup: &mut Wakeup<'_>) -> Poll<Self::Output> {
        loop {
            let answer = match self.as_mut().project() {
                SecondProjection::Called { answer } => return answer.poll(wakeup),
                SecondProjection::Ready { service, request, context } => {
                    ready!(context.sync_scope(|| service.poll_ready(wakeup)))?;
                    // Polled again after an error: nothing is left to do.
                    let Some(request) = request.take() else { return Poll::Pending };
                    context.scope(context.sync_scope(|| service.call(request)))
                }
            };
            self.set(Self::Called { answer });
        }
    }
}

pin_project! {
    /// A call that may get a second attempt. Dropped before the answer came, both attempts and
    /// the timer are gone; a hedge that was issued stays counted.
    pub struct Calling<S, Request, M, P, C>
    where
        S: TowerService<Request>,
    {
        #[pin]
        race: Race<S::Future, Second<S, Request>>,
        inside: Arc<Inside<M, P, C>>,
    }
}

impl<S, Request, M, P, C> Future for Calling<S, Request, M, P, C>
where
    S: TowerService<Request>,
    M: Means,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, wakeup: &mut Wakeup<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Inside { hedger, means, classify, clock, events, .. } = &**this.inside;
        let around = Around { hedger, clock, events, means };
        this.race.poll(wakeup, &around, |outcome| classify.classify(outcome))
    }
}

impl<S, Request, M, P, C> fmt::Debug for Calling<S, Request, M, P, C>
where
    S: TowerService<Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("race", &self.race).finish_non_exhaustive()
    }
}
