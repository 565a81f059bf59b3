//! The way in, for many threads.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use steadfast_time::{Clock, Monotonic};

use super::{Options, Priority, Queue, Reason, Refused, Thrown};
use crate::bulkhead::Ticket;
use crate::bulkhead::places::{Discipline, Places, Turn, Waiting};
use crate::deadline::Deadline;
use crate::limit::{self, Changed, Estimator, Sample};
use crate::limits::PLACES_MAX;
use crate::{Invalid, Refusal};

/// How much may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Concurrency {
    /// So many pieces of work.
    Fixed(u32),
    /// As many as have been done without becoming slow.
    Adaptive(limit::Options),
}

/// So much at once, and a [`Queue`] in front of it. Share it by reference or in an [`Arc`].
#[derive(Debug)]
pub struct Gate {
    places: Places<Line>,
    /// `None`: a fixed limit.
    estimator: Option<Estimator>,
}

impl Gate {
    /// With nothing under way. `rng` is for an adaptive limit: see [`limit::Limit::new`].
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        concurrency: &Concurrency,
        options: &Options,
        clock: Clock,
        rng: Rng,
    ) -> Result<Self, Invalid> {
        let line = Line(Queue::new(options)?);
        let (limit, estimator) = match concurrency {
            Concurrency::Fixed(limit) if (1..=PLACES_MAX).contains(limit) => (*limit, None),
            Concurrency::Fixed(limit) => {
                let allowed = format!("from 1 to {PLACES_MAX}");
                return Err(Invalid::new("concurrency", limit, allowed));
            }
            Concurrency::Adaptive(options) => {
                let machine = limit::Machine::new(options, rng)
                    .map_err(|invalid| invalid.within("concurrency"))?;
                (machine.limit(), Some(Estimator::new(machine)))
            }
        };
        Ok(Self { places: Places::new(limit, line, clock), estimator })
    }

    /// Goes in, when there is a place, before the deadline. Dropping the future leaves the queue,
    /// and gives a place on that it had been given.
    pub const fn enter(&self, priority: Priority, deadline: Option<Deadline>) -> Enter<&Self> {
        Enter { gate: Some(self), turn: Turn::new(Wish { priority, deadline }) }
    }

    /// The same, for as long as it is needed.
    pub fn enter_owned(self: &Arc<Self>, priority: Priority, deadline: Option<Deadline>) -> Enter {
        let turn = Turn::new(Wish { priority, deadline });
        Enter { gate: Some(Arc::clone(self)), turn }
    }

    /// Goes in if there is a place and nobody waits for it.
    #[must_use]
    #[inline]
    pub fn try_enter_owned(self: &Arc<Self>) -> Option<Permit> {
        let in_flight = self.places.try_take().ok()?;
        Some(Permit { gate: Arc::clone(self), in_flight })
    }

    /// The same, by reference.
    #[must_use]
    #[inline]
    pub fn try_enter(&self) -> Option<Permit<&Self>> {
        let in_flight = self.places.try_take().ok()?;
        Some(Permit { gate: self, in_flight })
    }

    /// What is under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.places.word().at_work()
    }

    /// What waits.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.places.word().waiting()
    }

    /// How much may be under way at once.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.places.word().limit()
    }

    /// Whether how much may be under way is found out by watching: then permits want to be told
    /// how long the work took.
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        self.estimator.is_some()
    }

    /// Whether it serves the newest first.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.places.ask(|line| line.0.is_overloaded())
    }

    /// The clock by which it waits.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        self.places.clock()
    }

    fn sample(&self, now: Monotonic, sample: &Sample) -> Option<Changed> {
        let estimator = self.estimator.as_ref()?;
        let changed = estimator.sample(now, sample);
        if estimator.limit() != self.limit() {
            self.places.set_limit(|| estimator.limit());
        }
        changed
    }
}

/// A place behind a [`Gate`], given back on drop. If the gate is adaptive, say what became of the
/// work; dropping it says nothing.
#[derive(Debug)]
#[must_use = "the place is given back at once"]
pub struct Permit<G: Deref<Target = Gate> = Arc<Gate>> {
    gate: G,
    in_flight: u32,
}

impl<G: Deref<Target = Gate>> Permit<G> {
    /// It was done, and took `rtt`. Says so when the limit has moved noticeably.
    pub fn success(self, now: Monotonic, rtt: Duration) -> Option<Changed> {
        let sample = Sample { rtt, in_flight: self.in_flight, dropped: false };
        self.gate.sample(now, &sample)
    }

    /// It timed out, or was turned away further down for lack of capacity, after `rtt`. Says so
    /// when the limit has moved noticeably.
    pub fn dropped(self, now: Monotonic, rtt: Duration) -> Option<Changed> {
        let sample = Sample { rtt, in_flight: self.in_flight, dropped: true };
        self.gate.sample(now, &sample)
    }

    /// Nothing can be learned from it.
    pub fn ignored(self) {}
}

impl<G: Deref<Target = Gate>> Drop for Permit<G> {
    #[inline]
    fn drop(&mut self) {
        self.gate.places.give_back();
    }
}

/// Waits to go in: [`Gate::enter`].
#[must_use = "futures do nothing unless polled"]
pub struct Enter<G: Deref<Target = Gate> = Arc<Gate>> {
    /// Until it is done.
    gate: Option<G>,
    turn: Turn<Line>,
}

impl<G: Deref<Target = Gate> + Unpin> Future for Enter<G> {
    type Output = Result<Permit<G>, Refusal>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { gate: slot, turn } = self.get_mut();
        let Some(gate) = slot.take() else { unreachable!("polled after it was done") };
        match turn.poll(&gate.places, context) {
            Poll::Ready(Ok(in_flight)) => Poll::Ready(Ok(Permit { gate, in_flight })),
            Poll::Ready(Err(refused)) => Poll::Ready(Err(Refusal::Shed(refused))),
            Poll::Pending => {
                *slot = Some(gate);
                Poll::Pending
            }
        }
    }
}

impl<G: Deref<Target = Gate>> Drop for Enter<G> {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            self.turn.abandon(&gate.places);
        }
    }
}

impl<G: Deref<Target = Gate>> std::fmt::Debug for Enter<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enter").field("done", &self.gate.is_none()).finish_non_exhaustive()
    }
}

/// What somebody wants who comes.
#[derive(Clone, Copy, Debug)]
struct Wish {
    priority: Priority,
    deadline: Option<Deadline>,
}

/// The queue decides who is next.
struct Line(Queue<()>);

impl Discipline for Line {
    type Wish = Wish;
    type Refused = Refused;

    fn deadline(wish: &Wish) -> Option<Deadline> {
        wish.deadline
    }

    fn join(
        &mut self,
        now: Monotonic,
        _: u32,
        wish: &Wish,
        gone: &mut dyn FnMut(Ticket, Refused),
    ) -> Result<Waiting, Refused> {
        let Wish { priority, deadline } = *wish;
        let gone = |thrown: Thrown<()>| gone(thrown.ticket, thrown.refused);
        match self.0.push(now, (), priority, deadline, gone) {
            Ok(ticket) => {
                let patience = now + self.0.options().interval;
                let until = deadline.map_or(patience, |it| it.moment().min(patience));
                Ok(Waiting { ticket, until })
            }
            Err(((), refused)) => Err(refused),
        }
    }

    fn next(&mut self, now: Monotonic, gone: &mut dyn FnMut(Ticket, Refused)) -> Option<Ticket> {
        self.0.pop(now, |thrown| gone(thrown.ticket, thrown.refused)).map(|taken| taken.ticket)
    }

    fn leave(&mut self, ticket: Ticket, now: Monotonic) -> bool {
        self.0.cancel(now, ticket).is_some()
    }

    fn give_up(&mut self, ticket: Ticket, now: Monotonic) -> Option<Refused> {
        self.0.give_up(ticket, now).map(|thrown| thrown.refused)
    }

    fn late(&self, wish: &Wish, waited: Duration, _: u32) -> Refused {
        self.0.refused(Reason::Deadline, wish.priority, waited)
    }

    fn spare(&mut self) {
        self.0.spare();
    }
}
