//! What went wrong, told in the port's words.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use super::ENGINE;
use crate::port::Error;

pub(super) fn refused(address: &Arc<str>, reason: impl Into<Arc<str>>) -> Error {
    Error::Refused { engine: ENGINE, address: Arc::clone(address), reason: reason.into() }
}

pub(super) fn unavailable(address: &Arc<str>, reason: impl Into<Arc<str>>) -> Error {
    Error::Unavailable { engine: ENGINE, address: Arc::clone(address), reason: reason.into() }
}

/// Whether the server has undone the transaction because of another one, so that it can be sent
/// again: nothing of it has happened.
pub(super) fn is_undone(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
    })
}

/// Whether the connection is of no further use.
pub(super) fn is_fatal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|db| db.severity() != "ERROR")
}

/// Whether the trouble is in the conversation itself, as with another kind of server.
pub(super) fn is_babble(error: &tokio_postgres::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let kind = source.map(io::Error::kind);
    error.as_db_error().is_none()
        && (error.is_closed()
            || matches!(
                kind,
                Some(
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                )
            ))
}

/// Translates a driver's error. What the server says about itself is repeated; it does not repeat
/// passwords, and neither do the driver's texts.
pub(super) fn explain(address: &Arc<str>, error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        let (code, said) = (db.code(), db.message());
        let advice = match code.code() {
            "28P01" | "28000" => "check user and password, and the server's pg_hba.conf",
            "3D000" => "create the database, or name another one",
            "25006" => "this is a read-only standby; connect to the primary",
            "42501" => {
                "grant the user the right to create the schema, or create it for the user and \
                 grant USAGE and CREATE on it"
            }
            "3F000" | "42P01" | "42883" => {
                "the tables have gone since the start; restart to create them anew"
            }
            // Other faults of what was asked (42, 0A, 22, 23) stay what they are.
            state if ["42", "0A", "22", "23"].contains(&state.get(..2).unwrap_or("")) => {
                "this is not to be expected of a database that only Steadfast writes to"
            }
            state => return unavailable(address, format!("{said} (SQLSTATE {state})")),
        };
        return refused(address, format!("{said} (SQLSTATE {}); {advice}", code.code()));
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match (io, error.source()) {
        (Some(io), _) => unavailable(address, format!("{error}: {io}")),
        (None, _) if error.is_closed() => unavailable(address, "the connection is closed"),
        // Authentication, configuration, TLS.
        (None, Some(source)) => refused(address, format!("{error}: {source}")),
        (None, None) => unavailable(address, error.to_string()),
    }
}
