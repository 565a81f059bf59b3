//! The bulkhead for many threads.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use steadfast_time::Clock;

use super::line::Line;
use super::places::{Places, Turn, Word};
use super::{Options, Reason, Refused};
use crate::Invalid;
use crate::deadline::Deadline;

/// So many places, and a short queue in front of them. Share it by reference or in an [`Arc`].
#[derive(Debug)]
pub struct Bulkhead {
    places: Places<Line>,
    options: Options,
}

impl Bulkhead {
    /// With all places free.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(options: &Options, clock: Clock) -> Result<Self, Invalid> {
        options.check()?;
        let places = Places::new(options.limit, Line::new(*options), clock);
        Ok(Self { places, options: *options })
    }

    /// A place, if one is free and nobody waits for it.
    ///
    /// # Errors
    /// [`Reason::Busy`], or [`Reason::Closed`].
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Refused> {
        match self.places.try_take() {
            Ok(_) => Ok(Permit { bulkhead: self }),
            Err(seen) => Err(self.refused(seen)),
        }
    }

    /// The same, for as long as it is needed.
    ///
    /// # Errors
    /// Those of [`Bulkhead::try_acquire`].
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<Permit, Refused> {
        match self.places.try_take() {
            Ok(_) => Ok(Permit { bulkhead: Arc::clone(self) }),
            Err(seen) => Err(self.refused(seen)),
        }
    }

    /// A place, waited for if need be: not past the deadline, not for longer than
    /// [`Options::wait`], and only if there is room in the queue. Dropping the future leaves the
    /// queue, and gives a place on that it had been given.
    pub const fn acquire(&self, deadline: Option<Deadline>) -> Acquire<&Self> {
        Acquire { bulkhead: Some(self), turn: Turn::new(deadline) }
    }

    /// The same, for as long as it is needed.
    pub fn acquire_owned(self: &Arc<Self>, deadline: Option<Deadline>) -> Acquire {
        Acquire { bulkhead: Some(Arc::clone(self)), turn: Turn::new(deadline) }
    }

    /// From now on nobody gets a place: who waits is refused, who has one keeps it.
    pub fn close(&self) {
        self.places.shut(Line::close);
    }

    /// Whether it has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.places.word().limit() == 0
    }

    /// Calls at work.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.places.word().at_work()
    }

    /// Calls that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.places.word().waiting()
    }

    /// Its settings.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The clock by which it waits.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        self.places.clock()
    }

    #[cfg(all(test, steadfast_loom))]
    pub(super) const fn places(&self) -> &Places<Line> {
        &self.places
    }

    #[cold]
    fn refused(&self, seen: Word) -> Refused {
        let reason = if seen.limit() == 0 { Reason::Closed } else { Reason::Busy };
        Refused::new(reason, &self.options, seen.at_work(), seen.waiting(), Duration::ZERO)
    }
}

/// A place in a [`Bulkhead`], given back on drop: to whoever waits longest, if somebody does.
#[derive(Debug)]
#[must_use = "the place is given back at once"]
pub struct Permit<B: Deref<Target = Bulkhead> = Arc<Bulkhead>> {
    bulkhead: B,
}

impl<B: Deref<Target = Bulkhead>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        self.bulkhead.places.give_back();
    }
}

/// Waits for a place: [`Bulkhead::acquire`].
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<B: Deref<Target = Bulkhead> = Arc<Bulkhead>> {
    /// Until it is done.
    bulkhead: Option<B>,
    turn: Turn<Line>,
}

impl<B: Deref<Target = Bulkhead> + Unpin> Future for Acquire<B> {
    type Output = Result<Permit<B>, Refused>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { bulkhead, turn } = self.get_mut();
        let Some(owner) = bulkhead.take() else { unreachable!("polled after it was done") };
        match turn.poll(&owner.places, context) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map(|_| Permit { bulkhead: owner })),
            Poll::Pending => {
                *bulkhead = Some(owner);
                Poll::Pending
            }
        }
    }
}

impl<B: Deref<Target = Bulkhead>> Drop for Acquire<B> {
    fn drop(&mut self) {
        if let Some(bulkhead) = &self.bulkhead {
            self.turn.abandon(&bulkhead.places);
        }
    }
}

impl<B: Deref<Target = Bulkhead>> std::fmt::Debug for Acquire<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acquire").field("done", &self.bulkhead.is_none()).finish_non_exhaustive()
    }
}
