//! From what SQLite reports to what the user can do about it.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::StorageError;

/// A failure inside the engine, before it is said which directory it concerns.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// SQLite reported it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The engine found something that it cannot have written.
    #[error("{0}")]
    Damaged(String),
    /// The engine has been closed, or has failed before.
    #[error("{0}")]
    Closed(&'static str),
}

/// The result of a step inside the engine.
pub(super) type Result<T> = std::result::Result<T, Fault>;

/// Shorthand for [`Fault::Damaged`].
pub(super) fn damaged<T>(what: impl Into<String>) -> Result<T> {
    Err(Fault::Damaged(what.into()))
}

impl Fault {
    /// Names the path, and whose turn it is.
    pub(super) fn at(self, path: &Path, context: &'static str) -> StorageError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) => StorageError::Damaged { path, what },
            Self::Closed(_) => StorageError::Other {
                context,
                source: Box::new(self),
            },
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StorageError::Damaged {
                        path,
                        what: error.to_string(),
                    }
                }
                Some(ErrorCode::DiskFull) => StorageError::DiskFull { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    StorageError::InUse { path }
                }
                _ if is_unreadable(&error) => StorageError::Damaged {
                    path,
                    what: error.to_string(),
                },
                _ => StorageError::Other {
                    context,
                    source: Box::new(error),
                },
            },
        }
    }
}

/// Whether a stored value has a type that the engine never writes.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
