//! From what SQLite reports to what the user can do about it.

use std::path::{Path, PathBuf};

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

/// A failure with the directory that it concerns.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}")]
struct Located {
    path: PathBuf,
    #[source]
    fault: Fault,
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
        let code = match &self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Damaged(_) | Self::Closed(_) => None,
        };
        match (self, code) {
            (Self::Damaged(what), _) => StorageError::Damaged { path, what },
            (fault, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                StorageError::Damaged { path, what: fault.to_string() }
            }
            (_, Some(ErrorCode::DiskFull)) => StorageError::DiskFull { path },
            (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
                StorageError::InUse { path }
            }
            (Self::Sqlite(error), _) if is_unreadable(&error) => {
                StorageError::Damaged { path, what: error.to_string() }
            }
            (fault, _) => {
                StorageError::Other { context, source: Box::new(Located { path, fault }) }
            }
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
