//! What the file looks like, and how an older one becomes a current one.
//!
//! `application_id` says whose file it is, `user_version` which format it has: the number of
//! migrations that have been applied. Migrations are part of the program, only go forward, and
//! are applied together with the new number in one transaction, so that a file is never between
//! two formats.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{Result, damaged};

/// "STFD", so that `file` and others can tell.
pub(super) const APPLICATION_ID: i32 = 0x5354_4644;

/// Every format there has been, oldest first.
const MIGRATIONS: [&str; 1] = [include_str!("schema/0001_journal.sql")];

/// The format that this program writes.
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing has been stored yet.
    Empty,
    /// A journal of this format.
    Journal(i64),
    /// Somebody else's database.
    Foreign,
}

/// Looks at a database without changing it.
pub(super) fn inspect(connection: &Connection) -> Result<Found> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id")?;
    let format = pragma("user_version")?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(if application == i64::from(APPLICATION_ID) {
        Found::Journal(format)
    } else if application == 0 && format == 0 && objects == 0 {
        Found::Empty
    } else {
        Found::Foreign
    })
}

/// Brings a database from `format` to [`CURRENT`].
pub(super) fn migrate(connection: &mut Connection, format: i64) -> Result<()> {
    if format >= CURRENT {
        return Ok(());
    }
    let done = usize::try_from(format).unwrap_or(0);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", CURRENT)?;
    transaction.commit()?;
    Ok(())
}

/// Compares the tables, indexes and views of a current file with what they should be.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let mut fresh = Connection::open_in_memory()?;
    migrate(&mut fresh, 0)?;
    let (expected, found) = (objects(&fresh)?, objects(connection)?);
    for object in &expected {
        if !found.contains(object) {
            return damaged(format!("{} is missing or altered", object.0));
        }
    }
    Ok(())
}

fn objects(connection: &Connection) -> Result<Vec<(String, Option<String>)>> {
    let mut statement =
        connection.prepare("SELECT type || ' ' || name, sql FROM sqlite_schema ORDER BY 1")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migrated_database_is_current_and_passes_its_own_check() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(inspect(&connection).unwrap(), Found::Empty);
        migrate(&mut connection, 0).unwrap();
        assert_eq!(inspect(&connection).unwrap(), Found::Journal(CURRENT));
        check(&connection).unwrap();
        migrate(&mut connection, CURRENT).unwrap();
    }

    #[test]
    fn a_missing_index_is_noticed() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0).unwrap();
        connection.execute_batch("DROP INDEX claims_by_digest").unwrap();
        let error = check(&connection).unwrap_err().to_string();
        assert!(error.contains("claims_by_digest"), "{error}");
    }

    #[test]
    fn a_database_of_others_is_told_apart() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        assert_eq!(inspect(&connection).unwrap(), Found::Foreign);
    }
}
