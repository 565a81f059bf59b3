//! What an operator sees and does.
//!
//! Nothing here is a back door: an operator's word is an input like any other, recorded with the
//! name of whoever gave it and decided by the same state machine.

use serde::Serialize;
use steadfast_journal::Version;
use steadfast_time::Timestamp;

use crate::attention::{self, Attention, Page};
use crate::event::{self, StepName};
use crate::limits::HISTORY_ENTRIES_MAX;
use crate::{
    Error, Event, Finding, Handled, Id, Input, Operator, Orchestrator, Participant, State, Step,
};

/// A saga with its history.
#[derive(Clone, Debug)]
pub struct Report {
    /// The saga as it is.
    pub state: State,
    /// The version of its stream.
    pub version: Version,
    /// What happened to it, oldest first; of a very long history the newest
    /// [`HISTORY_ENTRIES_MAX`] entries.
    pub history: Vec<Entry>,
}

/// What one input brought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its place in the history.
    pub version: Version,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub events: Vec<Event>,
}

impl<P: Participant> Orchestrator<P> {
    /// A page of the sagas that stand at `attention`; see [`attention::list`].
    ///
    /// # Errors
    /// Reading failed.
    pub fn list(
        &self,
        attention: Attention,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Page, Error> {
        attention::list(self.journal().store(), attention, after, limit)
    }

    /// A saga with its history, read from the journal; nothing when there is none.
    ///
    /// # Errors
    /// Reading failed, or the history cannot be understood.
    pub fn show(&self, id: Id) -> Result<Option<Report>, Error> {
        let Some(kept) = self.load(id)? else {
            return Ok(None);
        };
        let skipped = kept.version.0.saturating_sub(HISTORY_ENTRIES_MAX as u64);
        let store = self.journal().store();
        let records = store.stream(&kept.stream, Version(skipped), HISTORY_ENTRIES_MAX)?;
        let history = records
            .iter()
            .map(|record| {
                let events = event::decode(self.definition(), record)
                    .map_err(|source| Error::History { id, source })?;
                Ok(Entry { version: record.version, at: record.at, events })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Some(Report { state: kept.state, version: kept.version, history }))
    }

    /// Makes the next attempt now.
    ///
    /// # Errors
    /// [`Error::NotPossible`] when nothing is to be tried again.
    pub async fn retry(&self, id: Id, by: impl Into<String>) -> Result<Handled, Error> {
        self.operate(id, "be retried", Operator::Retry { by: by.into() }).await
    }

    /// Lets the saga go on without the compensation that it is at or, after the pivot, without
    /// the step that it is at.
    ///
    /// # Errors
    /// [`Error::NotPossible`] when it is not at that step, or on the way to the pivot.
    pub async fn skip(
        &self,
        id: Id,
        step: impl Into<StepName>,
        by: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Handled, Error> {
        let (step, by, reason) = (step.into(), by.into(), reason.into());
        self.operate(id, "skip this step", Operator::Skip { step, by, reason }).await
    }

    /// Records whether the effect of the step that the saga is at stands; see [`Finding`].
    ///
    /// # Errors
    /// [`Error::NotPossible`] when it is not at that step, or cannot take that for an answer.
    pub async fn resolve(
        &self,
        id: Id,
        step: impl Into<StepName>,
        by: impl Into<String>,
        reason: impl Into<String>,
        finding: Finding,
    ) -> Result<Handled, Error> {
        let (step, by, reason) = (step.into(), by.into(), reason.into());
        let operator = Operator::Resolve { step, by, reason, finding };
        self.operate(id, "be resolved like this", operator).await
    }

    async fn operate(
        &self,
        id: Id,
        what: &'static str,
        operator: Operator,
    ) -> Result<Handled, Error> {
        let handled = self.handle(id, Input::Operator(operator), None).await?;
        if handled.recorded > 0 {
            return Ok(handled);
        }
        let kept = self.load(id)?;
        let step = kept.as_ref().and_then(|kept| kept.state.step()).map(Step::name);
        let step = step.map(str::to_owned);
        Err(Error::NotPossible { id, status: handled.status, step, what })
    }
}
