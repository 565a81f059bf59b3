//! What is asked of the server and what it answers, within the process and over the socket alike.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;
use tokio::sync::oneshot;

use super::peer::Peer;
use crate::engine::machine::{Command, Output, Query, Refusal};
use crate::limits::{EMBEDDED_REQUESTS_MAX, EMBEDDED_WAITS_MAX};
use crate::port::{Error, Name};

/// Something that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// A change, to be logged.
    Command(Command),
    /// A question.
    Query(Query),
    /// To be told when an entry is gone.
    Gone { queue: Name, token: FencingToken },
    /// To be told when a queue has another version.
    Changed { queue: Name, since: u64 },
    /// Never mind: the wait of that number has nobody who waits. Has no answer.
    Cancel(u64),
}

impl Ask {
    /// Whether clients may ask for this.
    pub(super) const fn is_for_clients(&self) -> bool {
        !matches!(self, Self::Command(Command::Restart | Command::Expire))
    }

    /// Whether its answer may take for ever.
    pub(super) const fn is_wait(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Changed { .. })
    }
}

/// What there is too much of at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Excess {
    Requests,
    Waits,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    Met(Output),
    Refused(Refusal),
    Full(Excess),
    /// The server takes nothing any more. What was asked may have been done or not.
    Stopped(Reason),
}

/// Why nothing is taken any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Reason(pub(super) Arc<str>);

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Self(reason.into())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0.as_ref().to_owned()
    }
}

impl Reply {
    pub(super) fn stopped(reason: &Arc<str>) -> Self {
        Self::Stopped(Reason(Arc::clone(reason)))
    }
}

impl Reply {
    /// As the port has it; `unavailable` makes the error of a server that has stopped.
    pub(super) fn into_result(
        self,
        unavailable: impl FnOnce(Arc<str>) -> Error,
    ) -> Result<Output, Error> {
        match self {
            Self::Met(output) => Ok(output),
            Self::Refused(refusal) => Err(refusal.into()),
            Self::Full(Excess::Requests) => {
                Err(Error::Full { what: "requests waiting", limit: EMBEDDED_REQUESTS_MAX })
            }
            Self::Full(Excess::Waits) => {
                Err(Error::Full { what: "waits", limit: EMBEDDED_WAITS_MAX })
            }
            Self::Stopped(Reason(reason)) => Err(unavailable(reason)),
        }
    }
}

/// Who asked: a peer (zero is this process) and the number of the request there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    pub(super) peer: u64,
    pub(super) request: u64,
}

/// The peer that is this process.
pub(super) const LOCAL: u64 = 0;

/// Where an answer goes.
#[derive(Debug)]
pub(super) enum ReplyTo {
    /// A task of this process.
    Task(oneshot::Sender<Reply>),
    /// A connection.
    Peer(Arc<Peer>),
}

/// Something that is asked, by whom.
#[derive(Debug)]
pub(super) enum Job {
    Ask {
        ask: Ask,
        origin: Origin,
        to: ReplyTo,
    },
    /// Never mind one wait.
    Cancel(Origin),
    /// Never mind any wait of a peer.
    CancelAll {
        peer: u64,
    },
}
