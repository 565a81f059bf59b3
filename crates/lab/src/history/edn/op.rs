//! One operation, as Jepsen writes it.

use std::borrow::Cow;

use clojure_reader::edn::{self, Edn};
use clojure_reader::error::{Code, Error};
use serde_json::Value;

use super::frame::Place;
use super::value::{from_edn, name};
use crate::history::event::Kind;
use crate::history::line::LineError;
use crate::history::word::word;

const EXAMPLE: &str = "an operation is {:process 0, :type :invoke, :f :read, :value nil, :time 0}";

/// What a form is.
#[derive(Debug)]
pub(super) enum Form {
    /// An operation of a client.
    Op(Op),
    /// One of the nemesis, or of another that is no client.
    Other,
    /// Nothing: it is discarded.
    Nothing,
    /// Nothing yet: what follows is discarded as well.
    Incomplete,
}

/// An operation of a client.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) process: u64,
    pub(super) kind: Kind,
    pub(super) f: Cow<'static, str>,
    pub(super) value: Value,
    pub(super) time: Option<u64>,
    pub(super) error: Option<Cow<'static, str>>,
}

/// Reads a form that begins at `start`.
pub(super) fn read(text: &str, start: Place) -> Result<Form, LineError> {
    let form = match edn::read(text) {
        Ok((form, rest)) if rest.trim().is_empty() => form,
        Ok((_, rest)) => {
            let what = format!("{:?} does not belong to the operation", rest.trim());
            return Err(LineError::new(start.line, 0, what));
        }
        Err(Error { code: Code::UnexpectedEOF, ptr: None, .. }) => return Ok(Form::Nothing),
        // Its brackets are closed; so what is missing is what a `#_` or a tag is about.
        Err(Error { code: Code::UnexpectedEOF, ptr, .. }) if ptr == Some(text.len()) => {
            return Ok(Form::Incomplete);
        }
        Err(error) => return Err(located(&error, start)),
    };
    op(&form).map_err(|what| LineError::new(start.line, 0, what))
}

fn located(error: &Error, start: Place) -> LineError {
    let line = error.line.unwrap_or(1) as u64;
    let column = error.column.unwrap_or(1) as u64;
    let place = Place {
        line: start.line + line - 1,
        column: if line == 1 { start.column + column - 1 } else { column },
    };
    place.error(match error.code {
        // Of a map, this is what the library calls it.
        Code::UnexpectedEOF => "the last key of a map has no value".to_owned(),
        Code::HashMapDuplicateKey => "a map has the same key twice".to_owned(),
        Code::SetDuplicateKey => "a set has the same value twice".to_owned(),
        Code::InvalidChar => "no character; allowed are \\a, \\newline and their like".to_owned(),
        Code::InvalidEscape => {
            "no escape; allowed in a string are \\\" \\\\ \\n \\r \\t".to_owned()
        }
        Code::InvalidKeyword => "a ':' without a name".to_owned(),
        Code::InvalidNumber | Code::InvalidRadix(_) => {
            "no number; allowed are 1, -1, 1N, 1.5, 1.5M, 1e3 and 1/3".to_owned()
        }
        Code::InvalidTag => "a '#' without a name; allowed are #{…}, #_ and #tag".to_owned(),
        Code::UnmatchedDelimiter(found) => {
            format!("'{found}' closes nothing, or not what was opened last")
        }
        ref other => format!("not EDN ({other:?})"),
    })
}

fn op(form: &Edn<'_>) -> Result<Form, String> {
    let map = match form {
        Edn::Map(map) => map,
        // Records, such as #jepsen.history.Op{…} and #knossos.op.Op{…}.
        Edn::Tagged(_, inner) => match &**inner {
            Edn::Map(map) => map,
            other => return Err(format!("{} is no operation; {EXAMPLE}", short(other))),
        },
        other => return Err(format!("{} is no operation; {EXAMPLE}", short(other))),
    };
    let get = |name: &'static str| map.get(&Edn::key(name)).filter(|found| **found != Edn::Nil);
    let process = match get("process") {
        Some(Edn::Key(_) | Edn::Str(_) | Edn::Symbol(_)) => return Ok(Form::Other),
        Some(process) => whole(process).ok_or_else(|| {
            let found = short(process);
            format!(":process {found} is neither a whole number from 0 nor a name as :nemesis")
        })?,
        None => return Err(format!("an operation without :process; {EXAMPLE}")),
    };
    let value = get("value").map(from_edn).transpose().map_err(|what| format!(":value: {what}"))?;
    let error = get("error").map(from_edn).transpose().map_err(|what| format!(":error: {what}"))?;
    Ok(Form::Op(Op {
        process,
        kind: kind_of(get("type"))?,
        f: match get("f") {
            Some(Edn::Key(f) | Edn::Str(f) | Edn::Symbol(f)) => word(f),
            Some(other) => return Err(format!(":f {} is no name", short(other))),
            None => return Err(format!("an operation without :f; {EXAMPLE}")),
        },
        value: value.unwrap_or_default(),
        time: get("time").map(time_of).transpose()?,
        error: error.map(|error| Cow::Owned(name(error))),
    }))
}

fn kind_of(kind: Option<&Edn<'_>>) -> Result<Kind, String> {
    const ALLOWED: &str = "allowed are :invoke, :ok, :fail and :info";
    match kind {
        Some(Edn::Key(kind) | Edn::Str(kind) | Edn::Symbol(kind)) => match &**kind {
            "invoke" => Ok(Kind::Invoke),
            "ok" => Ok(Kind::Ok),
            "fail" => Ok(Kind::Fail),
            "info" => Ok(Kind::Info),
            other => Err(format!("unknown :type :{other}; {ALLOWED}")),
        },
        Some(other) => Err(format!("unknown :type {}; {ALLOWED}", short(other))),
        None => Err(format!("an operation without :type; {ALLOWED}")),
    }
}

fn time_of(time: &Edn<'_>) -> Result<u64, String> {
    let none =
        || format!(":time {} is none; it is nanoseconds, a whole number from 0", short(time));
    whole(time).ok_or_else(none)
}

fn whole(number: &Edn<'_>) -> Option<u64> {
    match number {
        Edn::Int(number) => u64::try_from(*number).ok(),
        Edn::BigInt(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The beginning of what was found, for a message.
fn short(edn: &Edn<'_>) -> String {
    const SHOWN: usize = 40;
    let text = edn.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
