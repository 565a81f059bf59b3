//! The bulkhead in front of a service.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Acquire, Bulkhead, Permit, Refused};
use crate::deadline;
use crate::event::{Decision, Events};
use crate::{Error, Refusal};

/// Puts a [`Bulkhead`] in front of a service. The same one may be in front of several: they share
/// its places then.
#[derive(Clone, Debug)]
pub struct Layer {
    bulkhead: Arc<Bulkhead>,
    events: Events,
}

impl Layer {
    /// Over this bulkhead; `events` hears of refusals.
    #[must_use]
    pub const fn new(bulkhead: Arc<Bulkhead>, events: Events) -> Self {
        Self { bulkhead, events }
    }

    fn refused<E>(&self, refused: Refused) -> Error<E> {
        let refusal = Refusal::Bulkhead(refused);
        let now = self.bulkhead.clock().monotonic();
        self.events.emit(now, || Decision::Refused(refusal.clone()));
        Error::Refused { name: Arc::clone(self.events.name()), refusal }
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Service<S>;

    fn layer(&self, inner: S) -> Service<S> {
        Service { inner, layer: self.clone() }
    }
}

/// A service with a [`Bulkhead`] in front of it. A call waits inside its own future, until the
/// deadline of the [`deadline::Context`] in which it was made, so that a full bulkhead does not
/// block whoever polls for readiness.
#[derive(Clone, Debug)]
pub struct Service<S> {
    inner: S,
    layer: Layer,
}

impl<S, R> tower_service::Service<R> for Service<S>
where
    S: tower_service::Service<R> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Call<S, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Error::Call)
    }

    fn call(&mut self, request: R) -> Call<S, R> {
        let bulkhead = &self.layer.bulkhead;
        let deadline = deadline::Context::current().deadline;
        let in_time = deadline.is_none_or(|it| !it.has_passed(bulkhead.clock().monotonic()));
        if in_time && let Ok(permit) = bulkhead.try_acquire_owned() {
            let (call, permit) = (self.inner.call(request), Some(permit));
            return Call { state: State::Calling { call, permit } };
        }
        let acquire = bulkhead.acquire_owned(deadline);
        // The one that is ready is kept, and called when its turn comes.
        let clone = self.inner.clone();
        let call = Some((mem::replace(&mut self.inner, clone), request));
        Call { state: State::Waiting { acquire, call, layer: self.layer.clone() } }
    }
}

pin_project! {
    /// A call through a bulkhead. Dropping it leaves the queue, or gives the place back.
    pub struct Call<S: tower_service::Service<R>, R> {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = Stage]
    enum State<S: tower_service::Service<R>, R> {
        Waiting { acquire: Acquire, call: Option<(S, R)>, layer: Layer },
        Calling { #[pin] call: S::Future, permit: Option<Permit> },
    }
}

impl<S: tower_service::Service<R>, R> Future for Call<S, R> {
    type Output = Result<S::Response, Error<S::Error>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                Stage::Waiting { acquire, call, layer } => {
                    let permit = match ready!(Pin::new(acquire).poll(context)) {
                        Ok(permit) => Some(permit),
                        Err(refused) => return Poll::Ready(Err(layer.refused(refused))),
                    };
                    let Some((mut inner, request)) = call.take() else {
                        unreachable!("a call is made once")
                    };
                    let call = inner.call(request);
                    state.set(State::Calling { call, permit });
                }
                Stage::Calling { call, permit } => {
                    let outcome = ready!(call.poll(context));
                    // Not only when somebody drops this: it may be kept for longer.
                    *permit = None;
                    return Poll::Ready(outcome.map_err(Error::Call));
                }
            }
        }
    }
}

impl<S: tower_service::Service<R>, R> fmt::Debug for Call<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
