//! What a consumer does with a message.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use steadfast_journal::{
    Error as JournalError, Journal, Message, MessageRef, Processed, Refusal, Write,
};

use crate::Envelope;

/// Gives a message its effect.
///
/// Called for one message of a key at a time, in the order of their sequence numbers. It may be
/// called again for the same message: after a failure, after a crash, and when it was too slow.
/// The effect happens once all the same if it is committed together with [`Delivery::mark`],
/// which [`Delivery::commit`] does.
pub trait Handler: Send + Sync + 'static {
    /// Handles a message.
    fn handle(&self, delivery: &Delivery) -> impl Future<Output = Result<Handled, Failure>> + Send;
}

/// What has been done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Its effect is durable, and its mark with it.
    Committed,
    /// It needs no effect. The consumer writes the mark, many at once.
    Ignored,
    /// The journal said that the effect had happened before.
    Duplicate,
}

/// Why a message was not handled. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may work next time: tried again with a growing pause, a bounded number of times, then
    /// the key is parked.
    #[error("{0}")]
    Transient(String),
    /// It will never work: the key is parked at once.
    #[error("{0}")]
    Poison(String),
    /// Nothing is wrong with the message; it cannot be taken now (overload, a shutdown). Tried
    /// again with a growing pause for as long as it takes, and never held against the message.
    #[error("{0}")]
    Unavailable(String),
}

/// How a failed commit bears on the message: [`JournalError::Overloaded`], a closed journal and
/// failed storage say nothing about it, a write over a limit will stay so, and a refusal
/// may come out differently after another look at the state.
impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let text = error.to_string();
        match error {
            JournalError::Refused(_) => Self::Transient(text),
            JournalError::TooLarge { .. } => Self::Poison(text),
            JournalError::Overloaded { .. } | JournalError::Closed | JournalError::Storage(_) => {
                Self::Unavailable(text)
            }
        }
    }
}

impl From<steadfast_journal::StorageError> for Failure {
    fn from(error: steadfast_journal::StorageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A message as it is given to a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(crate) envelope: Envelope,
    pub(crate) consumer: Cow<'static, str>,
    /// `<topic>/<aggregate_id>`.
    pub(crate) key: Arc<str>,
    pub(crate) attempt: u32,
}

impl Delivery {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.envelope
    }

    /// What stays in order: `<topic>/<aggregate_id>`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How often this message has been tried before by this process.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The inbox mark. Put it into the [`Write`] that has the effect.
    #[must_use]
    pub fn mark(&self) -> Processed {
        Processed { consumer: self.consumer.clone(), message: self.reference() }
    }

    fn reference(&self) -> MessageRef {
        match self.envelope.sequence {
            0 => MessageRef::Id(self.envelope.id),
            sequence => MessageRef::Sequence { key: self.key.as_ref().to_owned(), sequence },
        }
    }

    /// Commits the effect together with the mark.
    ///
    /// # Errors
    /// As [`Failure::from`] reads the journal's error. That the message has been processed before
    /// is none: it is [`Handled::Duplicate`].
    pub async fn commit(&self, journal: &Journal, mut write: Write) -> Result<Handled, Failure> {
        write.processed.push(self.mark());
        match journal.commit(write).await {
            Ok(_) => Ok(Handled::Committed),
            Err(error) if self.is_mine(&error) => Ok(Handled::Duplicate),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the journal has refused exactly this message's mark.
    #[must_use]
    pub fn is_mine(&self, error: &JournalError) -> bool {
        match error.refusal() {
            Some(Refusal::AlreadyProcessed { consumer, message }) => {
                *consumer == *self.consumer && *message == self.reference()
            }
            _ => false,
        }
    }
}
