//! What the clients did and heard, as JSON lines, and whether one register could have answered so.
//!
//! A line is `{"process":0,"type":"invoke","f":"read","value":null,"time":123}`. `type` is `invoke`,
//! then `ok`, `fail` (it had no effect) or `info` (it may have had one, now or later); `f` is `read`
//! or `cas`; `time` is in nanoseconds of the machine's monotonic clock. The value of the register is
//! its last operation, `null` when there is none; that of a `cas` is `[from, to]`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use porcupine_rs::{CheckResult, Model, check_operations_timeout};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Outcome;
use super::storage::Operation;

/// How long the check may search.
const SEARCH_MAX: Duration = Duration::from_secs(30);

/// What the register is: its last operation.
pub type Version = Option<Operation>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub process: u32,
    #[serde(rename = "type")]
    pub kind: Type,
    pub f: String,
    pub value: Value,
    pub time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Line {
    fn new(process: u32, kind: Type, f: &str, value: Value, time: u64) -> Self {
        Self { process, kind, f: f.to_owned(), value, time, error: None }
    }

    pub fn read(process: u32, kind: Type, value: Version, time: u64) -> Self {
        Self::new(process, kind, "read", json!(value), time)
    }

    pub fn cas(process: u32, kind: Type, from: Version, to: Operation, time: u64) -> Self {
        Self::new(process, kind, "cas", json!([from, to]), time)
    }

    pub fn because(mut self, error: impl ToString) -> Self {
        self.error = Some(error.to_string());
        self
    }
}

/// In order of time, with an `info` for everything that was never answered.
pub fn complete(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by_key(|line| line.time);
    let end = lines.last().map_or(0, |line| line.time) + 1;
    let mut open = BTreeMap::new();
    for line in &lines {
        match line.kind {
            Type::Invoke => open.insert(line.process, line.clone()),
            _ => open.remove(&line.process),
        };
    }
    let unanswered = open.into_values().map(|line| Line { kind: Type::Info, time: end, ..line });
    lines.extend(unanswered);
    lines
}

/// Keeps a history.
pub fn write(lines: &[Line], path: &Path) -> Outcome<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.write_all(b"\n")?;
    }
    Ok(fs::write(path, text)?)
}

/// What a register can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read(Version),
    Cas(Version, Version),
}

/// A register that has nothing at first, with reads and compare-and-set.
#[derive(Clone, Debug)]
pub struct CasRegister;

impl Model for CasRegister {
    type State = Version;
    type Op = Op;
    type Metadata = ();

    fn init() -> Version {
        None
    }

    fn step(&held: &Version, op: &Op) -> (bool, Version) {
        match *op {
            Op::Read(value) => (value == held, held),
            Op::Cas(from, to) => (from == held, to),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Holds,
    Violated,
    /// Not found out in time.
    Unknown,
}

/// Whether a complete history is linearizable. `fail` is left out, for it had no effect; so are
/// reads that nobody saw the answer of.
pub fn check(lines: &[Line]) -> Outcome<Verdict> {
    let mut open = BTreeMap::new();
    let mut operations = Vec::new();
    for line in lines {
        if line.kind == Type::Invoke {
            open.insert(line.process, line);
            continue;
        }
        let invoked = open.remove(&line.process).ok_or("an answer to nothing")?;
        let op = match (line.f.as_str(), line.kind) {
            (_, Type::Fail) | ("read", Type::Info) => continue,
            ("read", _) => Op::Read(serde_json::from_value(line.value.clone())?),
            ("cas", _) => {
                let (from, to) = serde_json::from_value(line.value.clone())?;
                Op::Cas(from, to)
            }
            (f, _) => return Err(format!("{f:?} is not an operation of the register").into()),
        };
        let is_answered = line.kind == Type::Ok;
        operations.push(porcupine_rs::Operation::<CasRegister> {
            client_id: is_answered.then_some(line.process),
            call_time: i64::try_from(invoked.time)?,
            // It may take effect at any later moment.
            return_time: if is_answered { i64::try_from(line.time)? } else { i64::MAX },
            op,
            metadata: None,
        });
    }
    Ok(match check_operations_timeout(&operations, SEARCH_MAX) {
        CheckResult::Ok => Verdict::Holds,
        CheckResult::Illegal => Verdict::Violated,
        CheckResult::Unknown => Verdict::Unknown,
    })
}
