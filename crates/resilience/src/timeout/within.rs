//! Work that is given up at a moment.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use steadfast_time::{Clock, Monotonic, Sleep};

use super::{Scope, TimedOut};
use crate::deadline::Deadline;

/// When a call is given up, and whose limit that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    at: Monotonic,
    reached: TimedOut,
}

impl Limit {
    /// This long from now; the first attempt's.
    #[must_use]
    pub fn new(now: Monotonic, limit: Duration, scope: Scope) -> Self {
        Self { at: now + limit, reached: TimedOut { limit, scope, attempt: 1 } }
    }

    /// The same for another attempt.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.reached.attempt = attempt;
        self
    }

    /// The same, or the caller's deadline if that comes earlier.
    #[must_use]
    pub fn before(self, now: Monotonic, deadline: Option<Deadline>) -> Self {
        match deadline {
            Some(deadline) if deadline.moment() < self.at => {
                let Self { at: _, reached: TimedOut { attempt, .. } } = self;
                Self::new(now, deadline.left(now), Scope::Deadline).attempt(attempt)
            }
            _ => self,
        }
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Monotonic {
        self.at
    }

    /// What is said when it is reached.
    #[must_use]
    pub const fn reached(&self) -> TimedOut {
        self.reached
    }
}

pin_project! {
    /// Work that is dropped when its limit is reached. The timer is made when the work first has
    /// to wait: work that is done at once costs no allocation.
    ///
    /// An answer that is there at the same moment as the limit counts as an answer.
    pub struct Within<F> {
        #[pin]
        work: Option<F>,
        timer: Option<Sleep>,
        limit: Limit,
    }
}

impl<F: Future> Within<F> {
    /// This work, until then.
    pub const fn new(work: F, limit: Limit) -> Self {
        Self { work: Some(work), timer: None, limit }
    }

    /// Goes on with the work. As a method and not as a [`Future`], so that whoever holds it need
    /// not keep a clock in each call.
    ///
    /// After it has been ready it stays pending.
    pub fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        clock: &Clock,
    ) -> Poll<Result<F::Output, TimedOut>> {
        let mut this = self.project();
        let Some(work) = this.work.as_mut().as_pin_mut() else { return Poll::Pending };
        let outcome = match work.poll(context) {
            Poll::Ready(output) => Ok(output),
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| clock.sleep_until(this.limit.at));
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Err(this.limit.reached)
            }
        };
        this.work.set(None);
        *this.timer = None;
        Poll::Ready(outcome)
    }
}

impl<F> fmt::Debug for Within<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Does some work, but gives up (and drops it) when a limit is reached.
///
/// # Errors
/// The limit was reached. What was sent may have been done.
pub async fn within<F: Future>(
    clock: &Clock,
    limit: Limit,
    work: F,
) -> Result<F::Output, TimedOut> {
    let mut within = pin!(Within::new(work, limit));
    poll_fn(|context| within.as_mut().poll(context, clock)).await
}
