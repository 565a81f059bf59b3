//! The check for a user's own SQL tables.
//!
//! Run [`RAISE`] in the *same transaction* as the write it protects, and roll back when it
//! returns no row: another owner has been seen. The statement is one step, so two transactions
//! cannot both pass with an old token. It works on SQLite (3.35 or later) and PostgreSQL.
//!
//! ```sql
//! BEGIN;
//! -- $1 resource, $2 token; no row returned: ROLLBACK
//! INSERT INTO fence (resource, token) VALUES ($1, $2)
//!   ON CONFLICT (resource) DO UPDATE SET token = excluded.token
//!   WHERE excluded.token >= fence.token RETURNING token;
//! UPDATE slots SET courier = 'c1' WHERE id = 7;
//! COMMIT;
//! ```

/// Creates the table of high-water marks.
pub const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS fence (\
     resource TEXT PRIMARY KEY, \
     token BIGINT NOT NULL CHECK (token > 0))";

/// Raises the mark of resource `$1` to token `$2` and returns it; returns no row when `$2` is
/// stale.
pub const RAISE: &str = "INSERT INTO fence (resource, token) VALUES ($1, $2) \
     ON CONFLICT (resource) DO UPDATE SET token = excluded.token \
     WHERE excluded.token >= fence.token RETURNING token";

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, OptionalExtension};

    use super::*;

    #[test]
    fn sqlite_applies_the_rule() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(CREATE_TABLE).unwrap();
        let raise = |token: i64| -> Option<i64> {
            db.query_row(RAISE, ("zone/7", token), |row| row.get(0)).optional().unwrap()
        };
        assert_eq!(raise(33), Some(33));
        assert_eq!(raise(34), Some(34));
        assert_eq!(raise(33), None);
        assert_eq!(raise(34), Some(34));
    }
}
