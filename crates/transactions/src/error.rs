//! What can go wrong when a saga is handled.

use steadfast_journal::StorageError;

use crate::event::HistoryError;
use crate::participant::EffectError;
use crate::{Id, Status};

/// Why an input was not taken in.
///
/// In every case the input can be given again: nothing was recorded, or (after
/// [`steadfast_journal::Error::Storage`]) it will be recognised as late.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such saga. A signal may have overtaken the start; give it again later.
    #[error("there is no saga {id}")]
    NotFound {
        /// Which.
        id: Id,
    },
    /// The input is about a step that the definition does not have.
    #[error("{definition:?} has no step {step:?}")]
    NoSuchStep {
        /// The definition.
        definition: &'static str,
        /// The step.
        step: String,
    },
    /// A signal was sent to a step that is a call.
    #[error("step {step:?} of {definition:?} is a call; only a wait takes a signal")]
    NotAWait {
        /// The definition.
        definition: &'static str,
        /// The step.
        step: String,
    },
    /// What the operator wants is not possible where the saga stands.
    #[error("saga {id} is {status}{}; it cannot {what} now", at(step.as_deref()))]
    NotPossible {
        /// Which.
        id: Id,
        /// Where it stands.
        status: Status,
        /// The step that it is at.
        step: Option<String>,
        /// What was wanted.
        what: &'static str,
    },
    /// The saga's stream cannot be understood.
    #[error("the history of saga {id}: {source}")]
    History {
        /// Which.
        id: Id,
        /// What does not fit.
        #[source]
        source: HistoryError,
    },
    /// A record of the list cannot be read.
    #[error("the list of sagas has a damaged entry {key:?}")]
    List {
        /// Its key.
        key: String,
    },
    /// The domain could not put its effects together.
    #[error("the effects of saga {id}: {source}")]
    Effects {
        /// Which.
        id: Id,
        /// What the domain reported.
        #[source]
        source: EffectError,
    },
    /// Others kept writing first.
    #[error("saga {id} was decided {rounds} times, and somebody else wrote first each time")]
    Contended {
        /// Which.
        id: Id,
        /// How often.
        rounds: u32,
    },
    /// The write was refused or failed.
    #[error(transparent)]
    Journal(#[from] steadfast_journal::Error),
    /// Reading failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The events have no JSON form, which is a defect.
    #[error("the events of saga {id} cannot be written: {source}")]
    Encoding {
        /// Which.
        id: Id,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
}

fn at(step: Option<&str>) -> String {
    step.map(|step| format!(" at {step:?}")).unwrap_or_default()
}
