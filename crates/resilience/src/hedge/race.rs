//! Two attempts side by side.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use steadfast_time::{Clock, Sleep};

use super::{Hedged, Hedger, Means, Plan, Won};
use crate::Class;
use crate::event::{Decision, Events};

/// What a race needs around it.
#[derive(Debug)]
pub struct Around<'a, M> {
    /// Whether there is a second attempt.
    pub hedger: &'a Hedger,
    /// When.
    pub clock: &'a Clock,
    /// Who hears of it.
    pub events: &'a Events,
    /// What it is paid from.
    pub means: &'a M,
}

pin_project! {
    /// A call that may get a second attempt. `F` is the first, which is under way; `G` is the
    /// second, which must do nothing until it is polled, as futures should.
    ///
    /// **Who wins.** The first *answer*: a success or a refusal. The other attempt is dropped at
    /// once. An attempt that *fails* while the other is under way is dropped, and the other
    /// decides alone, whatever comes of it; if that fails too, its failure is the outcome. A first
    /// attempt that fails before the second began is the outcome: a hedge is against slowness, and
    /// what to do about failures is for retries to say.
    pub struct Race<F, G> {
        #[pin]
        first: Option<F>,
        #[pin]
        second: Option<G>,
        under_way: bool,
        timer: Option<Sleep>,
        plan: Plan,
    }
}

impl<F, G> Race<F, G>
where
    F: Future,
    G: Future<Output = F::Output>,
{
    /// A first attempt, and what may become a second one. `None`, or a plan that says no, means
    /// none.
    pub fn new(plan: Plan, first: F, second: Option<G>) -> Self {
        let second = second.filter(|_| plan.may_hedge());
        Self { first: Some(first), second, under_way: false, timer: None, plan }
    }

    /// Goes on with the attempts. `classify` judges their outcomes. After it has been ready it
    /// stays pending.
    pub fn poll<M: Means>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        around: &Around<'_, M>,
        classify: impl Fn(&F::Output) -> Class,
    ) -> Poll<F::Output> {
        let Around { hedger, clock, events, means } = *around;
        let mut this = self.project();
        if let Some(first) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(outcome) = first.poll(context)
        {
            this.first.set(None);
            let failed = classify(&outcome).is_failure();
            if !failed {
                let now = clock.monotonic();
                hedger.answered(now, this.plan);
                if *this.under_way && this.second.is_some() {
                    events.emit(now, || Decision::HedgeWon(Won::First));
                } else if let Some(withheld) = this.plan.withheld(now) {
                    events.emit(now, || Decision::HedgeWithheld(withheld));
                }
            }
            if !(failed && *this.under_way && this.second.is_some()) {
                this.second.set(None);
                *this.timer = None;
                return Poll::Ready(outcome);
            }
        }
        if !*this.under_way && this.first.is_some() && this.second.is_some() {
            let Ok(delay) = this.plan.after() else { return Poll::Pending };
            let at = this.plan.started() + delay;
            let timer = this.timer.get_or_insert_with(|| clock.sleep_until(at));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            *this.timer = None;
            let now = clock.monotonic();
            match hedger.issue(now, this.plan, means) {
                Ok(()) => {
                    *this.under_way = true;
                    let after = now - this.plan.started();
                    events.emit(now, || Decision::Hedged(Hedged { after }));
                }
                Err(withheld) => {
                    this.second.set(None);
                    events.emit(now, || Decision::HedgeWithheld(withheld));
                }
            }
        }
        if *this.under_way
            && let Some(second) = this.second.as_mut().as_pin_mut()
            && let Poll::Ready(outcome) = second.poll(context)
        {
            this.second.set(None);
            if classify(&outcome).is_failure() {
                // The first may still be answered.
                return if this.first.is_some() { Poll::Pending } else { Poll::Ready(outcome) };
            }
            let now = clock.monotonic();
            if this.first.is_some() {
                hedger.overtaken(now, this.plan);
                this.first.set(None);
            }
            events.emit(now, || Decision::HedgeWon(Won::Second));
            return Poll::Ready(outcome);
        }
        Poll::Pending
    }
}

impl<F, G> fmt::Debug for Race<F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, under_way, .. } = self;
        let mut debug = f.debug_struct("Race");
        debug.field("plan", plan).field("under_way", under_way).finish_non_exhaustive()
    }
}

/// Makes a call that may get a second attempt: see [`Race`].
pub async fn race<F, G, M>(
    around: Around<'_, M>,
    plan: Plan,
    first: F,
    second: Option<G>,
    classify: impl Fn(&F::Output) -> Class,
) -> F::Output
where
    F: Future,
    G: Future<Output = F::Output>,
    M: Means,
{
    let mut race = pin!(Race::new(plan, first, second));
    poll_fn(|context| race.as_mut().poll(context, &around, &classify)).await
}
