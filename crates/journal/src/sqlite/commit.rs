//! Committing a batch.
//!
//! Each write is checked completely, against the database and what earlier writes of the batch
//! have changed, before the first of its rows is written. So a refused write leaves nothing, and
//! a batch needs one transaction and no savepoints. Values that many writes move (counters,
//! tokens, inbox marks) are written once, when the batch ends.

mod check;
mod store;

use std::sync::{PoisonError, RwLockReadGuard};

use rusqlite::Connection;

use super::fault::{Fault, Result};
use super::names::{Key, Name, Names, split};
use super::state::State;
use super::statements::{Sql, Statements};
use crate::{Applied, Refusal, Write};

/// Commits a batch; durable when it returns.
pub(super) fn commit(
    connection: &Connection,
    state: &mut State,
    writes: &[Write],
) -> Result<Vec<std::result::Result<Applied, Refusal>>> {
    let mut batch = Batch { sql: Statements::new(connection), state };
    batch.sql.get(Sql::Begin)?.execute(())?;
    let done = writes.iter().map(|write| batch.apply(write)).collect::<Result<Vec<_>>>();
    let done = done.and_then(|outcomes| {
        batch.settle()?;
        batch.sql.get(Sql::Commit)?.execute(())?;
        Ok(outcomes)
    });
    drop(batch);
    if done.is_err() && !connection.is_autocommit() {
        // What is not committed is gone either way; this only releases the lock early.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

/// Why a write goes no further.
enum Stop {
    Refused(Refusal),
    Failed(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A transaction in the making.
struct Batch<'a> {
    sql: Statements<'a>,
    state: &'a mut State,
}

impl Batch<'_> {
    fn apply(&mut self, write: &Write) -> Result<std::result::Result<Applied, Refusal>> {
        match self.check(write) {
            Ok(checked) => {
                let applied = self.store(write, checked)?;
                self.state.accept();
                Ok(Ok(applied))
            }
            Err(Stop::Refused(refusal)) => {
                self.state.refuse();
                Ok(Err(refusal))
            }
            Err(Stop::Failed(fault)) => Err(fault),
        }
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.state.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored form of a name, giving it a number if there is one left.
    fn name(&mut self, name: &str) -> Result<Name> {
        match self.code(name)? {
            Some(code) => Ok(Name::Code(code)),
            None => Ok(Name::Text(name.into())),
        }
    }

    /// The stored form of a key, giving its prefix a number if there is one left.
    fn key(&mut self, text: &str) -> Result<Key> {
        if let Some((prefix, id)) = split(text)
            && let Some(code) = self.code(prefix)?
        {
            return Ok(Key::id(code, id));
        }
        Ok(Key::Text(text.into()))
    }

    fn code(&mut self, name: &str) -> Result<Option<u8>> {
        let known = self.names().code(name);
        if known.is_some() {
            return Ok(known);
        }
        let mut names = self.state.names.write().unwrap_or_else(PoisonError::into_inner);
        let Some(code) = names.add(name) else {
            return Ok(None);
        };
        drop(names);
        self.sql.get(Sql::PutName)?.execute((code, [code], name))?;
        Ok(Some(code))
    }
}
