//! EDN's values as JSON's, and back.

use std::fmt::Write;

use clojure_reader::edn::Edn;
use serde_json::{Map, Number, Value};

/// A value as JSON has it; see [what becomes of which](super).
///
/// # Errors
/// When two keys of a map are the same text.
pub(super) fn from_edn(edn: &Edn<'_>) -> Result<Value, String> {
    Ok(match edn {
        Edn::Nil => Value::Null,
        Edn::Bool(yes) => Value::Bool(*yes),
        Edn::Int(number) => Value::from(*number),
        Edn::Double(number) => {
            Number::from_f64(number.0).map_or_else(|| number.0.to_string().into(), Value::Number)
        }
        Edn::BigInt(number) => big(&number.to_string()),
        Edn::BigDec(number) => decimal(&number.to_string()),
        Edn::Rational((over, under)) => Value::String(format!("{over}/{under}")),
        Edn::Char(character) => Value::String(character.to_string()),
        Edn::Str(text) | Edn::Key(text) | Edn::Symbol(text) => Value::String(text.to_string()),
        Edn::Vector(parts) | Edn::List(parts) => array(parts)?,
        Edn::Set(parts) => array(parts)?,
        Edn::Tagged(_, inner) => from_edn(inner)?,
        Edn::Map(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let key = name(from_edn(key)?);
                if object.contains_key(&key) {
                    return Err(format!("two keys of a map are {key:?}"));
                }
                object.insert(key, from_edn(value)?);
            }
            Value::Object(object)
        }
        // The library may learn of more; nothing in Jepsen's histories is.
        other => return Err(format!("{other} is of a kind that no history has")),
    })
}

fn array<'a>(parts: impl IntoIterator<Item = &'a Edn<'a>>) -> Result<Value, String> {
    parts.into_iter().map(from_edn).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// A whole number with as many digits as it likes; text when JSON's have fewer.
fn big(digits: &str) -> Value {
    let small = digits.parse::<i64>().map(Value::from);
    small
        .or_else(|_| digits.parse::<u64>().map(Value::from))
        .unwrap_or_else(|_| Value::String(digits.to_owned()))
}

/// A decimal number; text when a floating-point number would be another one.
fn decimal(digits: &str) -> Value {
    // To Clojure 1.50M equals 1.5M, and 1.0M equals 1M.
    let digits = match digits.contains('.') && !digits.contains(['e', 'E']) {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    if let Ok(whole) = digits.parse::<i64>() {
        return Value::from(whole);
    }
    let nearest = digits.parse::<f64>().ok().filter(|number| number.to_string() == digits);
    match nearest.and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(digits.to_owned()),
    }
}

/// A value as a name: text as it is, anything else as JSON.
pub(super) fn name(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Writes a value as EDN, in one line.
pub(super) fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(parts) => {
            out.push('[');
            for (index, part) in parts.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " " });
                write_value(part, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_name(key, out);
                out.push(' ');
                write_value(value, out);
            }
            out.push('}');
        }
    }
}

fn write_number(number: &Number, out: &mut String) {
    // Writing to a string does not fail.
    let _ = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(number), _, _) => write!(out, "{number}"),
        (None, Some(number), _) => write!(out, "{number}N"),
        (None, None, Some(number)) => write!(out, "{number:?}"),
        (None, None, None) => write!(out, "{number}"),
    };
}

pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A name as Jepsen would write it: a number if it looks like one, a keyword if it can be one,
/// text otherwise.
pub(super) fn write_name(name: &str, out: &mut String) {
    let is_number = name.parse::<i64>().is_ok_and(|number| number.to_string() == name);
    if is_number {
        out.push_str(name);
    } else {
        write_keyword(name, out);
    }
}

/// A keyword, if it can be one; text otherwise.
pub(super) fn write_keyword(name: &str, out: &mut String) {
    let is_letter = |c: char| c.is_ascii_alphabetic();
    let is_part = |c: char| c.is_ascii_alphanumeric() || "*+!-_?.".contains(c);
    if name.starts_with(is_letter) && name.chars().all(is_part) {
        out.push(':');
        out.push_str(name);
    } else {
        write_text(name, out);
    }
}
