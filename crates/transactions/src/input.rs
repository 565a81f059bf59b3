//! What can be said to a saga, and what its participants can answer.

use std::borrow::Cow;
use std::time::Duration;

use crate::Json;
use crate::event::StepName;

/// Something that a saga is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin, if you have not begun; otherwise go on.
    Start {
        /// What the participants need to know, handed to every call.
        data: Json,
    },
    /// Go on: the message that the domain wrote with the last step has come back.
    Continue,
    /// What a wait is waiting for has happened, or will not. A signal may come before its step
    /// is reached; one that comes twice or too late changes nothing.
    Signal {
        /// The step, a wait.
        step: StepName,
        /// Which of the two.
        signal: Signal,
    },
    /// Undo everything, unless the pivot has succeeded.
    Cancel {
        /// Why.
        reason: String,
    },
    /// The saga's timer has fired.
    Due,
    /// An operator steps in.
    Operator(Operator),
}

/// The end of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It has happened.
    Done(Json),
    /// It will not happen.
    Refused {
        /// A stable code for programs.
        code: Cow<'static, str>,
        /// A sentence for people.
        reason: String,
    },
}

/// What an operator can do about a saga that does not get on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Make the next attempt now.
    Retry {
        /// Who says so.
        by: String,
    },
    /// Go on without this compensation, or, after the pivot, without this step.
    Skip {
        /// The step that the saga is at.
        step: StepName,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// Say whether the step's effect stands.
    Resolve {
        /// The step that the saga is at.
        step: StepName,
        /// Who says so.
        by: String,
        /// How it was found out.
        reason: String,
        /// What was found out.
        finding: Finding,
    },
}

/// What an operator found out about a step: whether its effect stands, whichever way the saga is
/// going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It stands, and this is what the step would have returned. A saga on its way back cannot
    /// take that for an answer.
    Done(Json),
    /// It does not stand and will not: the step was never done, or has been undone. A saga past
    /// its pivot cannot take that for an answer.
    NotDone,
}

/// What came of asking a participant.
///
/// The last two are the heart of the matter. *No answer* is not *no*: after a timeout, a broken
/// connection or an internal error the work may have been done, and only [`Outcome::Unknown`]
/// keeps the saga from treating it as undone. [`Outcome::Unavailable`] is for when the request
/// surely had no effect: the connection was refused, the answer was 429. [`Outcome::Held`] is for
/// when there was no request at all, because a policy on our side would not have it: it says
/// nothing about whoever was to be asked, so it does not count against anybody's patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, now or by an earlier request under the same key.
    Done(Json),
    /// Not done, and asking again under the same key will not change that.
    Refused {
        /// A stable code for programs.
        code: Cow<'static, str>,
        /// A sentence for people.
        reason: String,
    },
    /// It may have been done.
    Unknown {
        /// What is known.
        reason: String,
    },
    /// Nobody was asked: the circuit was open, the budget spent, the bulkhead full.
    Held {
        /// Which policy, and why.
        reason: String,
        /// When it may let the request through, if it knows.
        retry_after: Option<Duration>,
    },
    /// It was surely not done, but may be another time.
    Unavailable {
        /// Why.
        reason: String,
        /// How long to wait at least, when whoever turned it away said so: a `Retry-After`.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// Done, with nothing to say about it.
    #[must_use]
    pub fn done() -> Self {
        Self::Done(Json::null())
    }

    /// Not done, for good.
    #[must_use]
    pub fn refused(code: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), reason: reason.into() }
    }

    /// Perhaps done.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// Not done this time.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: None }
    }

    /// Not done this time, and no use to try before then.
    #[must_use]
    pub fn unavailable_for(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: Some(retry_after) }
    }

    /// How long whoever turned the request away wants to be left alone.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Held { retry_after, .. } => *retry_after,
            Self::Done(_) | Self::Refused { .. } | Self::Unknown { .. } => None,
        }
    }
}
