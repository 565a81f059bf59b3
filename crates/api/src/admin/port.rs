//! What the admin routes stand on.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::{Code, Problem};

/// What an operator's request comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Why an operator's request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// It is not in a state for this. The text says where it stands, for the operator.
    #[error("{0}")]
    State(String),
    /// The request breaks a rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field or parameter.
        field: &'static str,
        /// What is allowed.
        rule: String,
    },
    /// It cannot be done at the moment. The text goes to the log, not to the client.
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// As a problem, with the codes of the thing that was asked for.
    pub(super) fn problem(self, missing: Code, state: Code) -> Problem {
        match self {
            Self::NotFound(_) => Problem::new(missing, self.to_string()),
            Self::State(detail) => Problem::new(state, detail),
            Self::Invalid { field, rule } => Problem::invalid(field, rule),
            Self::Unavailable(reason) => {
                tracing::error!(%reason, "an operator's request was turned away");
                Problem::new(Code::Unavailable, "this cannot be done at the moment; see the log")
            }
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries, each a JSON object.
    pub entries: Vec<Value>,
    /// Where the next page starts; `None` on the last.
    pub next_cursor: Option<String>,
}

/// Which sagas to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSagas {
    /// What they stand at, as the engine calls it: `stuck`, `retrying`, …; its default when absent.
    pub status: Option<String>,
    /// The end of the page before.
    pub cursor: Option<String>,
    /// Entries in the page, at most.
    pub limit: usize,
}

/// The sagas of a process, for an operator.
pub trait SagaAdmin: Send + Sync {
    /// A page of those that need attention.
    fn list(&self, query: ListSagas) -> Answer<'_, Page>;

    /// One, with its history.
    fn get(&self, id: String) -> Answer<'_, Value>;

    /// Makes the next attempt now. Answers with the saga as it is then.
    fn retry(&self, id: String, request: Retry) -> Answer<'_, Value>;

    /// Goes on without the step that it is at. Answers with the saga as it is then.
    fn skip(&self, id: String, request: Skip) -> Answer<'_, Value>;

    /// Records what became of the step that it is at. Answers with the saga as it is then.
    fn resolve(&self, id: String, request: Resolve) -> Answer<'_, Value>;
}

/// An operator's wish to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Who wishes it; kept in the history.
    #[serde(default = "operator")]
    pub by: String,
}

impl Default for Retry {
    fn default() -> Self {
        Self { by: operator() }
    }
}

/// An operator's decision to do without a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The step that the operator believes the saga is at; refused when it is at another.
    pub step: String,
    /// Who decides it; kept in the history.
    #[serde(default = "operator")]
    pub by: String,
    /// Why; kept in the history.
    pub reason: String,
}

/// What an operator found out about a step whose outcome was unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The step that the operator believes the saga is at; refused when it is at another.
    pub step: String,
    /// Who found out; kept in the history.
    #[serde(default = "operator")]
    pub by: String,
    /// How; kept in the history.
    pub reason: String,
    /// What became of it.
    pub finding: Finding,
    /// With [`Finding::Done`]: what the step would have returned; later steps may need it.
    #[serde(default)]
    pub result: Option<Value>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Its effect stands.
    Done,
    /// It has had no effect.
    NotDone,
}

/// An operator's word on a circuit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Force {
    /// What it is to be.
    pub state: ForcedState,
    /// Who decides it; goes to the log.
    #[serde(default = "operator")]
    pub by: String,
}

/// What a circuit can be forced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedState {
    /// No call goes through.
    Open,
    /// Every call goes through, whatever comes of it.
    Closed,
    /// As the calls say.
    Auto,
}

/// What stands between the parts of a process, for an operator.
pub trait PolicyAdmin: Send + Sync {
    /// All policies as they stand.
    fn list(&self) -> Answer<'_, Vec<Value>>;

    /// One, with what it decided lately.
    fn get(&self, name: String) -> Answer<'_, Value>;

    /// Takes the judgement out of a breaker's hands, or gives it back. Answers with the policy as
    /// it is then.
    fn force(&self, name: String, force: Force) -> Answer<'_, Value>;

    /// The indicators and the error budgets.
    fn slo(&self) -> Answer<'_, Value>;
}

fn operator() -> String {
    "operator".to_owned()
}

/// Which dead letters to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListDeadLetters {
    /// Only those of this consumer.
    pub consumer: Option<String>,
    /// The end of the page before.
    pub cursor: Option<String>,
    /// Entries in the page, at most.
    pub limit: usize,
}

/// What to replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Only the letters of this consumer.
    #[serde(default)]
    pub consumer: Option<String>,
    /// Only the letters of this key, `<topic>/<aggregate_id>`.
    #[serde(default)]
    pub key: Option<String>,
    /// How many a second, at most; the bus' default when absent.
    #[serde(default)]
    pub per_second: Option<u32>,
}

/// The dead letters of a process, for an operator.
pub trait DeadLetterAdmin: Send + Sync {
    /// A page of them.
    fn list(&self, query: ListDeadLetters) -> Answer<'_, Page>;

    /// One, with its payload.
    fn get(&self, place: String) -> Answer<'_, Value>;

    /// Handles letters again, and says what came of it. Takes as long as its pace asks for; when
    /// the future is dropped (the client has gone), it stops between two letters.
    fn replay(&self, request: Replay) -> Answer<'_, Value>;

    /// Gives one up for good, and keeps the reason.
    fn discard(&self, place: String, reason: String) -> Answer<'_, Value>;
}

/// Which leases to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLeases {
    /// Only names that begin with this.
    pub prefix: Option<String>,
    /// The end of the page before.
    pub cursor: Option<String>,
    /// Entries in the page, at most.
    pub limit: usize,
}

/// An operator's decision to take a lease away from its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The fencing token of the holder that is meant; refused when another one holds it. Whoever
    /// holds it, when absent.
    #[serde(default)]
    pub token: Option<u64>,
    /// Who decides it; goes to the log.
    #[serde(default = "operator")]
    pub by: String,
}

impl Default for Release {
    fn default() -> Self {
        Self { token: None, by: operator() }
    }
}

/// What is held at the coordination engine, by whomever, for an operator.
pub trait LeaseAdmin: Send + Sync {
    /// A page of what is held, by name.
    fn list(&self, query: ListLeases) -> Answer<'_, Page>;

    /// One, with its whole queue.
    fn get(&self, name: String) -> Answer<'_, Value>;

    /// Takes it away from its holder. Answers with what was taken from whom.
    fn release(&self, name: String, request: Release) -> Answer<'_, Value>;
}
