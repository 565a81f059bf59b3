//! One event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A client asks.
    Invoke,
    /// It was done, and this is the answer.
    Ok,
    /// It had no effect, and never will.
    Fail,
    /// It may have had an effect, or may have one later. Nobody knows.
    Info,
}

/// One event of a history; see [the format](crate::history).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who.
    pub process: u64,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Which operation.
    pub f: Cow<'static, str>,
    /// Which object, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'static, str>>,
    /// The argument, or the answer.
    #[serde(default)]
    pub value: Value,
    /// When, in nanoseconds.
    pub time: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
}
