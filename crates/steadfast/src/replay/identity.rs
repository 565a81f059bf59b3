//! Which replay a data directory holds.
//!
//! A replay is continued by doing again what is not in the journal yet, so it must be the same
//! day, under the same policy, by the same version: with anything else the result would be
//! neither the one nor the other. The first write of a replay says what it is.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use steadfast_dispatch::zone::PolicyName;
use steadfast_journal::{Position, RecordChange, StorageError, Store, Write};
use steadfast_time::Timestamp;

use super::day::{COURIERS_FILE, ORDERS_FILE, PARAMETERS_FILE, RESTAURANTS_FILE};
use super::{Args, Error};

const SPACE: &str = "replay";
const KEY: &str = "identity";

/// What must be the same for a replay to be continued.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Identity {
    /// SHA-256 of the day's four files, in hexadecimal.
    day: String,
    policy: PolicyName,
    /// The version of this program.
    version: String,
}

impl Identity {
    /// Of the replay that is asked for.
    pub(super) fn of(args: &Args) -> Result<Self, Error> {
        let mut hash = Sha256::new();
        for name in [ORDERS_FILE, RESTAURANTS_FILE, COURIERS_FILE, PARAMETERS_FILE] {
            let path = args.dir.join(name);
            let content = std::fs::read(&path).map_err(|source| Error::Io { path, source })?;
            // The length keeps two files from being taken for two others of the same content.
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        let day = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { day, policy: args.policy, version })
    }

    /// What the journal says it holds.
    pub(super) fn found(store: &dyn Store) -> Result<Found, StorageError> {
        Ok(match store.record(SPACE, KEY)? {
            Some(json) => serde_json::from_slice(&json).map_or(Found::Other, Found::Replay),
            None if store.head()?.position == Position::default() => Found::Nothing,
            None => Found::Other,
        })
    }

    /// The write that says so.
    pub(super) fn write(&self, at: Timestamp) -> Write {
        let Self { day, policy, version } = self;
        let json = json!({ "day": day, "policy": policy, "version": version });
        let mut write = Write::at(at);
        write.records.push(RecordChange {
            space: Cow::Borrowed(SPACE),
            key: KEY.to_owned(),
            value: Some(Bytes::from(json.to_string())),
        });
        write
    }

    /// The error for a directory that holds something else.
    pub(super) fn refuse(&self, path: &Path, found: &Found) -> Error {
        Error::OtherReplay {
            path: path.to_owned(),
            found: found.to_string(),
            wanted: self.to_string(),
        }
    }
}

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is new.
    Nothing,
    /// A replay.
    Replay(Identity),
    /// Anything else.
    Other,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.policy {
            PolicyName::Nearest => "nearest",
            PolicyName::Batch => "batch",
        };
        let day = self.day.get(..12).unwrap_or(&self.day);
        write!(f, "a replay of the day {day} with the policy {policy} by version {}", self.version)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Replay(identity) => identity.fmt(f),
            Self::Other => f.write_str("something that is not a replay"),
        }
    }
}
