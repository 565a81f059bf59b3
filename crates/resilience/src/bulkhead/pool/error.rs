//! How a job ends that has no result.

use std::any::Any;
use std::io;

use crate::bulkhead::Refused;
use crate::{Invalid, Refusal};

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was not begun.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// It panicked. What it had done by then has been done.
    #[error("the job panicked: {0}")]
    Panicked(String),
}

impl Error {
    /// The refusal, if that is what it is.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refused) => Some(Refusal::Bulkhead(*refused)),
            Self::Panicked(_) => None,
        }
    }

    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

/// Why a pool did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its settings make no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The operating system gave no thread. Those that had started have ended again.
    #[error("no thread: {0}")]
    Thread(#[from] io::Error),
}
