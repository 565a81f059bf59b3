//! What happens to a saga, as it is recorded in its stream.
//!
//! One input leads to one record in the stream `saga/<id>`, which holds everything that the
//! input brought about, in order: a saga whose first call succeeds is `started`, `succeeded` in
//! one record. So the version of the stream counts inputs, a saga costs no more records than it
//! takes inputs, and one record is the unit that was committed whole.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_journal::NewEvent;
use steadfast_time::Timestamp;

use crate::limits::TEXT_BYTES_MAX;
use crate::{Definition, Json};

/// The name of a step, borrowed from its definition or read from a stream.
pub type StepName = Cow<'static, str>;

/// The shape of the payload; see [`NewEvent::schema`].
const SCHEMA: u16 = 1;

/// Something that happened to a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Started {
        /// The name of its definition.
        saga: Cow<'static, str>,
        /// What the domain gave it.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        data: Json,
    },
    /// A step has been done.
    Succeeded {
        /// The step.
        step: StepName,
        /// What its participant returned.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
    },
    /// A step has not been done and will not be; the saga is undone.
    Refused {
        /// The step.
        step: StepName,
        /// A stable code for programs.
        code: Cow<'static, str>,
        /// A sentence for people.
        reason: String,
    },
    /// A step may have been done. It is asked for again under the same key.
    Unknown {
        /// The step.
        step: StepName,
        /// How many attempts there have been.
        attempt: u32,
        /// When the next one is due.
        retry_at: Timestamp,
        /// What is known.
        reason: String,
    },
    /// A step has surely not been done this time; it is tried again.
    Deferred {
        /// The step.
        step: StepName,
        /// How many attempts there have been.
        attempt: u32,
        /// When the next one is due.
        retry_at: Timestamp,
        /// Why it was not done.
        reason: String,
    },
    /// Nobody was asked: a policy of ours turned the attempt away, and it is made later. It does
    /// not count as one.
    Held {
        /// The step, or the one that is being undone.
        step: StepName,
        /// How often in a row.
        times: u32,
        /// When it is to be made.
        retry_at: Timestamp,
        /// Which policy, and why.
        reason: String,
    },
    /// A step could not be done in as many attempts as it has; the saga is undone.
    GaveUp {
        /// The step.
        step: StepName,
        /// Why it was not done the last time.
        reason: String,
    },
    /// A step waits for its signal.
    Waiting {
        /// The step.
        step: StepName,
        /// When the wait ends without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The signal did not come in time; the saga is undone.
    TimedOut {
        /// The step.
        step: StepName,
    },
    /// A wait after the pivot has gone wrong: there is no way back, and no way on without the
    /// signal or an operator.
    Stalled {
        /// The step.
        step: StepName,
        /// What went wrong.
        reason: String,
    },
    /// Somebody wants the saga undone.
    CancelRequested {
        /// Why.
        reason: String,
    },
    /// What a step had done has been undone.
    Undone {
        /// The step.
        step: StepName,
    },
    /// What a step had done is not undone, or not surely; it is tried again.
    UndoFailed {
        /// The step.
        step: StepName,
        /// How many attempts there have been.
        attempt: u32,
        /// When the next one is due.
        retry_at: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// An operator wants the next attempt made now.
    RetryRequested {
        /// Who.
        by: String,
    },
    /// An operator let the saga go on without a step or a compensation.
    Skipped {
        /// The step.
        step: StepName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An operator found out what had happened. What that was follows as an event of its own.
    Resolved {
        /// The step.
        step: StepName,
        /// Who.
        by: String,
        /// How it was found out.
        reason: String,
    },
    /// The timer stood at the wrong time, as when another process had read an old state.
    Rescheduled {},
    /// All steps have been done.
    Completed {},
    /// Everything that had been done has been undone.
    Compensated {},
}

impl Event {
    /// What happened, in one word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Succeeded { .. } => "succeeded",
            Self::Refused { .. } => "refused",
            Self::Unknown { .. } => "unknown",
            Self::Deferred { .. } => "deferred",
            Self::Held { .. } => "held",
            Self::GaveUp { .. } => "gave_up",
            Self::Waiting { .. } => "waiting",
            Self::TimedOut { .. } => "timed_out",
            Self::Stalled { .. } => "stalled",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo_failed",
            Self::RetryRequested { .. } => "retry_requested",
            Self::Skipped { .. } => "skipped",
            Self::Resolved { .. } => "resolved",
            Self::Rescheduled {} => "rescheduled",
            Self::Completed {} => "completed",
            Self::Compensated {} => "compensated",
        }
    }

    /// The step that it is about, when it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Succeeded { step, .. }
            | Self::Refused { step, .. }
            | Self::Unknown { step, .. }
            | Self::Deferred { step, .. }
            | Self::Held { step, .. }
            | Self::GaveUp { step, .. }
            | Self::Waiting { step, .. }
            | Self::TimedOut { step }
            | Self::Stalled { step, .. }
            | Self::Undone { step }
            | Self::UndoFailed { step, .. }
            | Self::Skipped { step, .. }
            | Self::Resolved { step, .. } => Some(step),
            Self::Started { .. }
            | Self::CancelRequested { .. }
            | Self::RetryRequested { .. }
            | Self::Rescheduled {}
            | Self::Completed {}
            | Self::Compensated {} => None,
        }
    }
}

/// A stream does not hold the history of a saga of this definition.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A record cannot be read.
    #[error("record {version} cannot be read: {source}")]
    Unreadable {
        /// Its version.
        version: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A record was written by a newer version of this crate.
    #[error("record {version} has schema {schema}; this version reads {SCHEMA}")]
    Newer {
        /// Its version.
        version: u64,
        /// Its schema.
        schema: u16,
    },
    /// The saga runs by another definition.
    #[error("the saga is a {found:?}, not a {expected:?}")]
    OtherDefinition {
        /// The name that its history starts with.
        found: String,
        /// The name that was expected.
        expected: &'static str,
    },
    /// The history does not begin with its beginning.
    #[error("record {version} comes before the saga's start")]
    NoStart {
        /// The version of the record.
        version: u64,
    },
    /// The definition has lost a step that the saga has been through.
    #[error("record {version} is about step {step:?}, which {definition:?} does not have")]
    NoSuchStep {
        /// The version of the record.
        version: u64,
        /// The step.
        step: String,
        /// The definition.
        definition: &'static str,
    },
}

/// The record for what one input brought about. Its kind is that of the last event: where the
/// saga has got to.
pub(crate) fn encode(events: &[Event]) -> Result<NewEvent, serde_json::Error> {
    let mut payload = Vec::with_capacity(128);
    serde_json::to_writer(&mut payload, events)?;
    let kind = events.last().map_or("", Event::kind);
    Ok(NewEvent { kind: Cow::Borrowed(kind), schema: SCHEMA, payload: Bytes::from(payload) })
}

/// The events of one record.
pub(crate) fn decode(
    definition: &Definition,
    recorded: &steadfast_journal::Event,
) -> Result<Vec<Event>, HistoryError> {
    let version = recorded.version.0;
    if recorded.schema > SCHEMA {
        return Err(HistoryError::Newer { version, schema: recorded.schema });
    }
    let events: Vec<Event> = serde_json::from_slice(&recorded.payload)
        .map_err(|source| HistoryError::Unreadable { version, source })?;
    for event in &events {
        match event {
            Event::Started { saga, .. } if saga != definition.name() => {
                let (found, expected) = (saga.clone().into_owned(), definition.name());
                return Err(HistoryError::OtherDefinition { found, expected });
            }
            _ => {}
        }
        if let Some(step) = event.step().filter(|step| definition.index(step).is_none()) {
            let (step, definition) = (step.to_owned(), definition.name());
            return Err(HistoryError::NoSuchStep { version, step, definition });
        }
    }
    Ok(events)
}

/// Cuts a text that comes from outside to what is kept of it.
pub(crate) fn clip(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small_and_named_after_where_the_saga_has_got_to() {
        let succeeded = Event::Succeeded { step: "hold".into(), output: Json::null() };
        let started = Event::Started { saga: "trip".into(), data: Json::null() };
        let record = encode(&[started, succeeded]).unwrap();
        assert_eq!((&*record.kind, record.schema), ("succeeded", 1));
        let text = r#"[{"started":{"saga":"trip"}},{"succeeded":{"step":"hold"}}]"#;
        assert_eq!(record.payload, text.as_bytes());
    }

    #[test]
    fn the_kind_is_the_name_in_the_payload() {
        for event in [Event::Completed {}, Event::TimedOut { step: "a".into() }] {
            let json = serde_json::to_value(&event).unwrap();
            assert!(json.get(event.kind()).is_some(), "{json}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = clip("é".repeat(TEXT_BYTES_MAX));
        assert_eq!(text.len(), TEXT_BYTES_MAX);
        assert_eq!(clip("é".repeat(3)), "ééé");
        assert_eq!(clip(format!("x{}", "é".repeat(TEXT_BYTES_MAX))).len(), TEXT_BYTES_MAX - 1);
    }
}
