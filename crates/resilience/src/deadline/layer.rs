//! Takes a request's deadline from its headers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use steadfast_time::Clock;
use tower_service::Service as TowerService;

use super::wire::{self, Malformed};
use super::{Context, Deadline, Scoped};
use crate::Invalid;
use crate::figures::Brief;
use crate::limits::DEADLINE_MAX;

/// How much time requests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// What a request gets that says nothing. 450 ms: the 100 ms of the sources' gateway and the
    /// 350 ms of their order service. `None` (in a configuration `"off"`): no deadline then.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length_or_off"))]
    pub absent: Option<Duration>,
    /// What a request gets at most; whoever asks for more gets this. 30 s: nobody keeps a
    /// connection and a place busy for longer.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { absent: Some(Duration::from_millis(450)), max: Duration::from_secs(30) }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// A length is nothing, the longest is beyond [`DEADLINE_MAX`], or the usual one is above it.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { absent, max } = *self;
        if max.is_zero() || max > DEADLINE_MAX {
            let allowed = format!("above 0 s, at most {}", Brief(DEADLINE_MAX));
            return Err(Invalid::new("max", Brief(max), allowed));
        }
        match absent {
            Some(absent) if absent.is_zero() || absent > max => {
                let allowed = format!("above 0 s, at most max = {}", Brief(max));
                Err(Invalid::new("absent", Brief(absent), allowed))
            }
            _ => Ok(()),
        }
    }
}

/// Says what is answered to a request whose header says no length of time. Implemented by
/// closures.
pub trait Answer<R> {
    /// The answer.
    fn answer(&self, malformed: &Malformed) -> Response<R>;
}

impl<R, F: Fn(&Malformed) -> Response<R>> Answer<R> for F {
    fn answer(&self, malformed: &Malformed) -> Response<R> {
        self(malformed)
    }
}

/// 400 with an empty body. A gRPC client takes it for `INTERNAL`, as gRPC has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BadRequest;

impl<R: Default> Answer<R> for BadRequest {
    fn answer(&self, _: &Malformed) -> Response<R> {
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }
}

/// Runs a server's requests in a [`Context`] with the deadline that their headers name (see
/// [`wire::read`]): whatever the request calls from there on sees it, and every policy in this
/// crate heeds it.
///
/// The deadline is made known, not enforced: put [`crate::timeout::Layer`] inside to give up what
/// is late, and [`Outgoing`](super::Outgoing) around the clients that the request uses to pass on
/// what is left. A header that says no length of time is the caller's mistake, and is answered
/// (400 unless [`Layer::malformed`] says otherwise) instead of being taken for silence: a caller
/// who believes that he has set a deadline should learn that he has not.
#[derive(Clone, Debug)]
pub struct Layer<A = BadRequest> {
    clock: Clock,
    options: Options,
    answer: A,
}

impl Layer {
    /// With these lengths.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: Options, clock: Clock) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { clock, options, answer: BadRequest })
    }
}

impl<A> Layer<A> {
    /// The same with another answer to a header that says no length of time.
    pub fn malformed<B>(self, answer: B) -> Layer<B> {
        let Self { clock, options, .. } = self;
        Layer { clock, options, answer }
    }
}

impl<S, A: Clone> tower_layer::Layer<S> for Layer<A> {
    type Service = Service<S, A>;

    fn layer(&self, inner: S) -> Service<S, A> {
        Service { inner, layer: self.clone() }
    }
}

/// A service whose requests know their deadline.
#[derive(Clone, Debug)]
pub struct Service<S, A = BadRequest> {
    inner: S,
    layer: Layer<A>,
}

impl<S, A, B, R> TowerService<Request<B>> for Service<S, A>
where
    S: TowerService<Request<B>, Response = Response<R>>,
    A: Answer<R>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Calling<S::Future, R>;

    fn poll_ready(&mut self, wakeup: &mut Wakeup<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(wakeup)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Layer { clock, options, answer } = &self.layer;
        let now = clock.monotonic();
        let step = match wire::read(request.headers(), now, options.max) {
            Ok(named) => {
                let usual = || options.absent.map(|absent| Deadline::within(now, absent));
                let context = Context::current();
                let context = match named.or_else(usual) {
                    Some(deadline) => context.tightened(deadline),
                    None => context,
                };
                // Some services decide when they are called, others when they are polled.
                let answer = context.sync_scope(|| self.inner.call(request));
                Step::Called { answer: context.scope(answer) }
            }
            Err(malformed) => Step::Malformed { answer: Some(answer.answer(&malformed)) },
        };
        Calling { step }
    }
}

pin_project! {
    /// A request that knows its deadline, or the answer to one that names none.
    pub struct Calling<F, R> {
        #[pin]
        step: Step<F, R>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, R> {
        Called { #[pin] answer: Scoped<F> },
        Malformed { answer: Option<Response<R>> },
    }
}

impl<F, R, E> Future for Calling<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, wakeup: &mut Wakeup<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProjection::Called { answer } => answer.poll(wakeup),
            StepProjection::Malformed { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Polled again after it was ready: nothing is left to say.
                None => Poll::Pending,
            },
        }
    }
}

impl<F, R> fmt::Debug for Calling<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}
