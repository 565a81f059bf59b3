//! Short forms of names and keys, so that rows and index entries are narrow.
//!
//! Most streams are named `category/uuid`, and the categories are few. In the file such a name
//! is 17 bytes, the category's number and the UUID's own bytes, where its text takes 40 and more,
//! in the table and again in the index. Bytes of version 7 UUIDs also sort by time, so that the
//! index grows at its end. Any other name is stored as the text that it is. The two never meet:
//! one is a blob, the other a text.
//!
//! At most [`NAMES_MAX`] names get a number; whatever comes later is stored as text. A name
//! never loses its number, and the readable views show everything as text again.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use steadfast_time::Uuid;

use super::fault::{Result, damaged};

/// How many names can have a number, which is one byte and not zero.
pub(super) const NAMES_MAX: usize = 255;

/// The numbered names: categories of streams, prefixes of keys, consumers, spaces of records.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    codes: HashMap<Arc<str>, u8>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// From the rows of the table, in order of their numbers.
    pub(super) fn load(rows: impl Iterator<Item = (i64, String)>) -> Result<Self> {
        let mut names = Self::default();
        for (code, name) in rows {
            if names.add(&name).map(i64::from) != Some(code) {
                return damaged(format!("the name {name:?} has the number {code}"));
            }
        }
        Ok(names)
    }

    /// The number of a name, if it has one.
    pub(super) fn code(&self, name: &str) -> Option<u8> {
        self.codes.get(name).copied()
    }

    /// Gives a name a number; nothing when it has one or when all numbers are taken.
    pub(super) fn add(&mut self, name: &str) -> Option<u8> {
        if self.names.len() >= NAMES_MAX || self.codes.contains_key(name) {
            return None;
        }
        let code = u8::try_from(self.names.len() + 1).ok()?;
        let name: Arc<str> = name.into();
        self.codes.insert(Arc::clone(&name), code);
        self.names.push(name);
        Some(code)
    }

    fn name(&self, code: u8) -> Option<&str> {
        self.names.get(usize::from(code).checked_sub(1)?).map(AsRef::as_ref)
    }

    /// The text that a stored key stands for.
    pub(super) fn text(&self, key: ValueRef<'_>) -> Result<String> {
        match key {
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => damaged("a key is not text"),
            },
            ValueRef::Blob([code, id @ ..]) => match (self.name(*code), Uuid::from_slice(id)) {
                (Some(prefix), Ok(id)) => Ok(format!("{prefix}/{}", id.as_hyphenated())),
                _ => damaged(format!("a key has the unknown prefix {code}")),
            },
            other => damaged(format!("a key is of type {}", other.data_type())),
        }
    }
}

/// The canonical UUID that a text is, if it is one: lower case, with hyphens. Only then does the
/// UUID give back the very same text.
pub(super) fn canonical_uuid(text: &str) -> Option<Uuid> {
    let canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if canonical { Uuid::try_parse_ascii(text.as_bytes()).ok() } else { None }
}

/// `prefix/uuid` in its parts.
pub(super) fn split(text: &str) -> Option<(&str, Uuid)> {
    let at = text.len().checked_sub(37)?;
    let (prefix, rest) = text.split_at_checked(at)?;
    Some((prefix, canonical_uuid(rest.strip_prefix('/')?)?))
}

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The number of a prefix, and the bytes of a UUID.
    Id([u8; 17]),
    /// Any other.
    Text(Box<str>),
}

impl Key {
    /// From a prefix's number and a UUID.
    pub(super) fn id(code: u8, id: Uuid) -> Self {
        let mut bytes = [code; 17];
        bytes[1..].copy_from_slice(id.as_bytes());
        Self::Id(bytes)
    }

    /// The stored form of a text, for looking it up.
    pub(super) fn of(text: &str, names: &Names) -> Self {
        let short = split(text).and_then(|(prefix, id)| Some(Self::id(names.code(prefix)?, id)));
        short.unwrap_or_else(|| Self::Text(text.into()))
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Id(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A name as it is stored: its number, or the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    /// Its number.
    Code(u8),
    /// A name that has none.
    Text(Box<str>),
}

impl Name {
    /// The stored form of a name, for looking it up.
    pub(super) fn of(name: &str, names: &Names) -> Self {
        names.code(name).map_or_else(|| Self::Text(name.into()), Self::Code)
    }
}

impl ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Code(code) => ValueRef::Integer(i64::from(*code)),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// An identifier that others may have chosen: a canonical UUID is stored as its bytes.
pub(super) struct Id<'a>(pub(super) &'a str);

impl ToSql for Id<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match canonical_uuid(self.0) {
            Some(id) => ToSqlOutput::Owned(rusqlite::types::Value::Blob(id.as_bytes().to_vec())),
            None => ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_bytes())),
        })
    }
}

/// The text of a stored [`Id`].
pub(super) fn id_text(id: ValueRef<'_>) -> Result<String> {
    match id {
        ValueRef::Blob(bytes) => match Uuid::from_slice(bytes) {
            Ok(id) => Ok(id.as_hyphenated().to_string()),
            Err(_) => damaged(format!("an identifier has {} bytes", bytes.len())),
        },
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => damaged("an identifier is not text"),
        },
        other => damaged(format!("an identifier is of type {}", other.data_type())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0199c1a2-0000-7000-8000-00000000002a";

    fn there_and_back(text: &str, names: &Names) -> String {
        let key = Key::of(text, names);
        let ToSqlOutput::Borrowed(value) = key.to_sql().unwrap() else { panic!("borrowed") };
        names.text(value).unwrap()
    }

    #[test]
    fn only_what_comes_back_the_same_is_shortened() {
        let mut names = Names::default();
        names.add("order");
        let upper = ID.to_uppercase();
        let simple = ID.replace('-', "");
        for key in [ID, &upper, &simple, "c1", ""] {
            let text = format!("order/{key}");
            assert_eq!(there_and_back(&text, &names), text);
            assert_eq!(matches!(Key::of(&text, &names), Key::Id(_)), key == ID, "{text}");
        }
        assert_eq!(
            Key::of(&format!("unknown/{ID}"), &names),
            Key::Text(format!("unknown/{ID}").into())
        );
        assert_eq!(split(&format!("é{ID}")), None, "not at a character's border");
    }

    #[test]
    fn numbers_run_out_and_stay() {
        let mut names = Names::default();
        for n in 0..300 {
            assert_eq!(names.add(&n.to_string()).is_some(), n < NAMES_MAX);
        }
        assert_eq!(
            (names.code("0"), names.code("254"), names.code("255")),
            (Some(1), Some(255), None)
        );
        assert_eq!(there_and_back(&format!("254/{ID}"), &names), format!("254/{ID}"));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(prefix in "[a-z/]{0,8}", key in "\\PC{0,40}", id: u128) {
            let mut names = Names::default();
            names.add(&prefix);
            for text in [format!("{prefix}/{key}"), format!("{prefix}/{}", Uuid::from_u128(id))] {
                prop_assert_eq!(there_and_back(&text, &names), text);
            }
        }
    }
}
