//! An attempt, and perhaps a second one beside it.

use steadfast_time::Monotonic;

use super::attempt::{Place, Tried, Which};
use super::counters::count;
use super::{Attempt, Inner};
use crate::deadline::Context;
use crate::event::Decision;
use crate::hedge::{Around, Plan, race};
use crate::{Classify, Share};

impl Inner {
    /// Whether the call that begins is to get a second attempt.
    #[inline]
    pub(super) fn plan(&self, now: Monotonic, repeatable: bool, context: Context) -> Option<Plan> {
        self.hedger.as_ref().map(|hedger| hedger.plan(now, repeatable, context))
    }

    /// Learns from an attempt that was not to be hedged.
    pub(super) fn unhedged<T, E>(&self, plan: &Plan, tried: &Tried<T, E>) {
        let Some(hedger) = self.hedger.as_ref().filter(|_| !tried.class().is_failure()) else {
            return;
        };
        let now = self.clock.monotonic();
        hedger.answered(now, plan);
        if let Some(withheld) = plan.withheld(now) {
            self.events.emit(now, || Decision::HedgeWithheld(withheld));
        }
    }

    /// An attempt, and a second one beside it if it is slow.
    pub(super) async fn race<T, E, C, F, Fut>(
        &self,
        plan: Plan,
        place: Place<'_>,
        which: Which,
        context: Context,
        classify: &C,
        call: &F,
    ) -> Tried<T, E>
    where
        C: Classify<T, E>,
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Some(hedger) = &self.hedger else {
            return self.attempt(plan.started(), place, which, context, classify, call).await;
        };
        let error_budget =
            |now| self.objective.as_ref().map_or(Share::ALL, |objective| objective.left(now));
        let take = |now| self.budget.as_ref().map_or(Ok(()), |budget| budget.take(now));
        let means = (error_budget, take);
        let around = Around { hedger, clock: &self.clock, events: &self.events, means: &means };
        let first = self.attempt(plan.started(), place, which, context, classify, call);
        let second = async {
            count(&self.counters.hedges);
            let (now, which) = (self.clock.monotonic(), Which { hedge: true, ..which });
            let context = Context { repeated: true, ..context };
            // It takes a free place, or none.
            let tried = match self.enter(now, context) {
                Ok(place) => self.attempt(now, place, which, context, classify, call).await,
                Err(refusal) => self.refused(now, refusal),
            };
            if !tried.class().is_failure() {
                count(&self.counters.hedges_won);
            }
            tried
        };
        race(around, plan, first, Some(second), Tried::class).await
    }
}
