//! The gate in front of a service.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_time::Monotonic;

use super::{Enter, Gate, Permit, Priority};
use crate::event::{Decision, Events};
use crate::{Class, Classify, Error, Refusal, deadline};

/// Puts a [`Gate`] in front of a service.
///
/// `priority` says how important a request is, `Fn(&Request) -> Priority`. `classify` judges
/// outcomes for an adaptive gate: a success and a refusal on business grounds are answers, whose
/// time counts; what failed in a passing way is a drop; the rest says nothing about capacity. A
/// fixed gate does not ask it.
#[derive(Debug)]
pub struct Layer<P, C> {
    shared: Arc<Shared<P, C>>,
}

#[derive(Debug)]
struct Shared<P, C> {
    gate: Arc<Gate>,
    events: Events,
    priority: P,
    classify: C,
}

impl<P, C> Layer<P, C> {
    /// With this gate; `events` hears of refusals and of moves of its limit.
    #[must_use]
    pub fn new(gate: Arc<Gate>, events: Events, priority: P, classify: C) -> Self {
        Self { shared: Arc::new(Shared { gate, events, priority, classify }) }
    }
}

impl<P, C> Clone for Layer<P, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P, C> tower_layer::Layer<S> for Layer<P, C> {
    type Service = Service<S, P, C>;

    fn layer(&self, inner: S) -> Service<S, P, C> {
        Service { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service with a [`Gate`] in front of it. A call waits inside its own future, until the deadline
/// of the [`deadline::Context`] in which it was made: the gate has to know of everybody who waits,
/// or it could not choose.
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

impl<S, R, P, C> tower_service::Service<R> for Service<S, P, C>
where
    S: tower_service::Service<R> + Clone,
    P: Fn(&R) -> Priority,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Call<S, R, P, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Error::Call)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let gate = &shared.gate;
        let deadline = deadline::Context::current().deadline;
        let in_time = deadline.is_none_or(|it| !it.has_passed(gate.clock().monotonic()));
        let state = if in_time && let Some(permit) = gate.try_enter_owned() {
            let place = Some((permit, shared.begin()));
            State::Calling { call: self.inner.call(request), place }
        } else {
            let enter = gate.enter_owned((shared.priority)(&request), deadline);
            // The one that is ready is kept, and called when its turn comes.
            let clone = self.inner.clone();
            let call = Some((mem::replace(&mut self.inner, clone), request));
            State::Waiting { enter, call }
        };
        Call { shared, state }
    }
}

impl<P, C> Shared<P, C> {
    /// When the work began, if anybody wants to know.
    fn begin(&self) -> Option<Monotonic> {
        self.gate.is_adaptive().then(|| self.gate.clock().monotonic())
    }

    fn end<T, E>(&self, permit: Permit, began: Option<Monotonic>, outcome: &Result<T, E>)
    where
        C: Classify<T, E>,
    {
        let Some(began) = began else { return };
        let now = self.gate.clock().monotonic();
        let changed = match self.classify.classify(outcome) {
            Class::Success | Class::Refusal => permit.success(now, now - began),
            Class::Transient { .. } => permit.dropped(now, now - began),
            Class::Permanent => None,
        };
        if let Some(changed) = changed {
            self.events.emit(now, || Decision::Limit(changed));
        }
    }

    fn refused<E>(&self, refusal: Refusal) -> Error<E> {
        let now = self.gate.clock().monotonic();
        self.events.emit(now, || Decision::Refused(refusal.clone()));
        Error::Refused { name: Arc::clone(self.events.name()), refusal }
    }
}

pin_project! {
    /// A call through a gate. Dropping it leaves the queue, or gives the place back.
    pub struct Call<S: tower_service::Service<R>, R, P, C> {
        shared: Arc<Shared<P, C>>,
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = Stage]
    enum State<S: tower_service::Service<R>, R> {
        Waiting { enter: Enter, call: Option<(S, R)> },
        Calling { #[pin] call: S::Future, place: Option<(Permit, Option<Monotonic>)> },
    }
}

impl<S, R, P, C> Future for Call<S, R, P, C>
where
    S: tower_service::Service<R>,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, Error<S::Error>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                Stage::Waiting { enter, call } => {
                    let permit = match ready!(Pin::new(enter).poll(context)) {
                        Ok(permit) => permit,
                        Err(refusal) => return Poll::Ready(Err(this.shared.refused(refusal))),
                    };
                    let Some((mut inner, request)) = call.take() else {
                        unreachable!("a call is made once")
                    };
                    let place = Some((permit, this.shared.begin()));
                    let call = inner.call(request);
                    this.state.set(State::Calling { call, place });
                }
                Stage::Calling { call, place } => {
                    let outcome = ready!(call.poll(context));
                    if let Some((permit, began)) = place.take() {
                        this.shared.end(permit, began, &outcome);
                    }
                    return Poll::Ready(outcome.map_err(Error::Call));
                }
            }
        }
    }
}

impl<S: tower_service::Service<R>, R, P, C> fmt::Debug for Call<S, R, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
