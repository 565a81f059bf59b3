//! Waiting for a place, as something that can be polled.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use steadfast_time::{Monotonic, Sleep};

use super::{Discipline, Joined, Places, Settled};
use crate::bulkhead::Ticket;

/// One caller's way to a place. Whoever drops it before it is done calls [`Turn::abandon`].
pub(crate) struct Turn<D: Discipline> {
    wish: D::Wish,
    state: State,
}

enum State {
    New,
    Waiting { ticket: Ticket, since: Monotonic, timer: Sleep },
    Done,
}

impl<D: Discipline> Turn<D> {
    pub(crate) const fn new(wish: D::Wish) -> Self {
        Self { wish, state: State::New }
    }

    /// Completes with a place (and how many are at work then) or with the reason why there is
    /// none.
    pub(crate) fn poll(
        &mut self,
        places: &Places<D>,
        context: &mut Context<'_>,
    ) -> Poll<Settled<D::Refused>> {
        let outcome = match &mut self.state {
            State::New => match self.begin(places, context) {
                Some(outcome) => outcome,
                None => return self.poll(places, context),
            },
            State::Waiting { ticket, since, timer } => {
                let outcome = match places.settled(*ticket, context.waker()) {
                    Some(outcome) => outcome,
                    None => {
                        ready!(timer.as_mut().poll(context));
                        places.give_up(*ticket)
                    }
                };
                let since = *since;
                outcome.and_then(|at_work| self.in_time(places, at_work, since))
            }
            State::Done => unreachable!("polled after it was done"),
        };
        self.state = State::Done;
        Poll::Ready(outcome)
    }

    /// The first step; `None` when it waits from now on.
    fn begin(&mut self, places: &Places<D>, context: &Context<'_>) -> Option<Settled<D::Refused>> {
        if let Some(deadline) = D::deadline(&self.wish) {
            let now = places.clock.monotonic();
            if deadline.has_passed(now) {
                return Some(Err(places.late(&self.wish, Duration::ZERO)));
            }
        }
        if let Ok(at_work) = places.try_take() {
            return Some(Ok(at_work));
        }
        let since = places.clock.monotonic();
        match places.join(since, &self.wish, context.waker()) {
            Ok(Joined::Took(at_work)) => Some(Ok(at_work)),
            Ok(Joined::Waits(waiting)) => {
                let timer = places.clock.sleep_until(waiting.until);
                self.state = State::Waiting { ticket: waiting.ticket, since, timer };
                None
            }
            Err(refused) => Some(Err(refused)),
        }
    }

    /// A place that came when it was too late goes on to the next.
    fn in_time(&self, places: &Places<D>, at_work: u32, since: Monotonic) -> Settled<D::Refused> {
        let Some(deadline) = D::deadline(&self.wish) else { return Ok(at_work) };
        let now = places.clock.monotonic();
        if !deadline.has_passed(now) {
            return Ok(at_work);
        }
        places.give_back();
        Err(places.late(&self.wish, now - since))
    }

    /// The caller went away. A place that it was given goes on to the next.
    pub(crate) fn abandon(&mut self, places: &Places<D>) {
        if let State::Waiting { ticket, .. } = std::mem::replace(&mut self.state, State::Done) {
            places.abandon(ticket);
        }
    }
}
