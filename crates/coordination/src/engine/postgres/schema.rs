//! The schema: made on first use, never changed by a version that does not know it.

use std::time::Duration;

use tokio_postgres::Client;

use super::fault::{explain, refused, unavailable};
use super::pool::Pool;
use crate::limits::{LIST_MAX, QUEUE_ENTRIES_MAX};
use crate::port::Error;

/// The version of tables and functions. Whoever changes `schema.sql` raises it.
pub(super) const FORMAT: i32 = 1;

const TABLES: &str = include_str!("schema.sql");

/// What the functions answer.
pub(super) mod status {
    pub(crate) const DONE: i32 = 0;
    pub(crate) const BUSY: i32 = 1;
    pub(crate) const SESSION_OVER: i32 = 2;
    pub(crate) const OVER: i32 = 3;
    pub(crate) const FULL: i32 = 4;
}

/// Sessions that one `open` clears away; more than it adds, so that they cannot pile up.
const SWEEP_SESSIONS: usize = 8;

/// Queues that one `open` looks at.
const SWEEP_QUEUES: usize = 32;

/// The oldest server that has all that is used here (`plan_cache_mode`).
const SERVER_MIN: i32 = 120_000;

/// The first server that looks whether its client is still there while a statement runs.
const CHECKS_CONNECTION: i32 = 140_000;

/// How often it does, in milliseconds.
const CHECK_MS: u32 = 250;

pub(super) fn quoted(schema: &str) -> String {
    format!("\"{schema}\"")
}

/// The text that makes the schema's content.
fn text(schema: &str) -> String {
    let numbers = [
        ("{format}", FORMAT.to_string()),
        ("{done}", status::DONE.to_string()),
        ("{busy}", status::BUSY.to_string()),
        ("{session_over}", status::SESSION_OVER.to_string()),
        ("{over}", status::OVER.to_string()),
        ("{full}", status::FULL.to_string()),
        ("{entries_max}", QUEUE_ENTRIES_MAX.to_string()),
        ("{list_max}", LIST_MAX.to_string()),
        ("{sweep_sessions}", SWEEP_SESSIONS.to_string()),
        ("{sweep_queues}", SWEEP_QUEUES.to_string()),
        ("{channel}", schema.to_owned()),
        ("{s}", quoted(schema)),
    ];
    numbers.iter().fold(TABLES.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// Puts a new connection into the state that the functions rely on, and checks the server.
///
/// - `synchronous_commit`: an answer that is lost in a crash would be a token given twice. A
///   stronger setting (`remote_apply`) is left.
/// - `read committed`: see `schema.sql`; a stricter default would make errors of what is a wait.
/// - `client_connection_check_interval`: a statement whose caller has gone ends when it waits for a
///   lock. Else callers that ask again and again would leave more and more of them behind there.
/// - No sequential scans: the tables are small when their plans are made, and may not stay so.
pub(super) async fn settle(client: &Client, pool: &Pool) -> Result<(), Error> {
    let fail = |error: tokio_postgres::Error| explain(&pool.address, &error);
    let facts = client
        .query_one(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding'), \
             current_setting('fsync'), current_setting('synchronous_commit'), \
             current_setting('server_version_num')::int",
            &[],
        )
        .await
        .map_err(fail)?;
    let (standby, encoding): (bool, &str) =
        (facts.try_get(0).map_err(fail)?, facts.try_get(1).map_err(fail)?);
    let (fsync, commit): (&str, &str) =
        (facts.try_get(2).map_err(fail)?, facts.try_get(3).map_err(fail)?);
    let version: i32 = facts.try_get(4).map_err(fail)?;
    if version < SERVER_MIN {
        let reason = format!("the server is version {}; 12 is the oldest", version / 10_000);
        return Err(refused(&pool.address, reason));
    }
    if standby {
        let reason = "not a primary: this is a read-only standby; connect to the primary, or give \
                      all hosts and target_session_attrs=read-write";
        return Err(refused(&pool.address, reason));
    }
    if encoding != "UTF8" {
        let reason = format!("the database's encoding is {encoding}; names need UTF8");
        return Err(refused(&pool.address, reason));
    }
    if fsync != "on" {
        tracing::warn!(
            address = &*pool.address,
            "fsync is off on this server: a crash can lose entries and repeat tokens"
        );
    }
    let commit = if commit == "remote_apply" { "remote_apply" } else { "on" };
    let limit = pool.options.call_timeout.as_millis();
    client
        .batch_execute(&format!(
            "SET synchronous_commit = {commit};
             SET default_transaction_isolation = 'read committed';
             SET default_transaction_read_only = off;
             SET statement_timeout = {limit};
             SET lock_timeout = 0;
             SET idle_in_transaction_session_timeout = {limit};
             SET client_min_messages = warning;
             SET plan_cache_mode = force_generic_plan;
             SET enable_seqscan = off;
             SET jit = off;"
        ))
        .await
        .map_err(fail)?;
    if version >= CHECKS_CONNECTION {
        // Not every system can tell a server that its client has gone.
        let check = format!("SET client_connection_check_interval = {CHECK_MS}");
        if let Err(error) = client.batch_execute(&check).await {
            tracing::debug!(%error, "statements of clients that have gone run to their end");
        }
    }
    install(client, pool).await
}

/// Makes the schema's content if there is none. Two processes may do so at once: everything is in
/// one transaction, the second waits at the first object that both create, fails there, and finds
/// the work done.
async fn install(client: &Client, pool: &Pool) -> Result<(), Error> {
    let schema = &pool.options.schema;
    let name = quoted(schema);
    let fail = |error: tokio_postgres::Error| explain(&pool.address, &error);
    for _ in 0..20 {
        let found = client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                                WHERE nspname = $1 AND relname = 'meta'),
                        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                                WHERE nspname = $1)",
                &[schema],
            )
            .await
            .map_err(fail)?;
        let (exists, ours): (bool, bool) =
            (found.try_get(0).map_err(fail)?, found.try_get(1).map_err(fail)?);
        let others: bool = found.try_get(2).map_err(fail)?;
        if ours {
            return check_format(client, pool).await;
        }
        if others {
            let reason = format!(
                "the schema {schema} holds tables of something else; name another schema or \
                 another database"
            );
            return Err(refused(&pool.address, reason));
        }
        let create = if exists { String::new() } else { format!("CREATE SCHEMA {name};") };
        let script = format!(
            "BEGIN; {create}
             CREATE TABLE {name}.meta (format int NOT NULL, swept text NOT NULL DEFAULT '');
             {}
             INSERT INTO {name}.meta (format) VALUES ({FORMAT});
             COMMIT;",
            text(schema)
        );
        match client.batch_execute(&script).await {
            Ok(()) => {
                tracing::info!(address = &*pool.address, schema, "made the lease tables");
                return Ok(());
            }
            Err(error) => {
                client.batch_execute("ROLLBACK").await.map_err(fail)?;
                // Unique violation and duplicate schema, table, object, function; a deadlock.
                let raced = ["23505", "42P06", "42P07", "42710", "42723", "40P01"];
                if !error.code().is_some_and(|code| raced.contains(&code.code())) {
                    return Err(fail(error));
                }
                tracing::debug!(%error, "another process makes the lease tables");
                pool.options.clock.sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Err(unavailable(&pool.address, format!("others keep changing the schema {schema}")))
}

async fn check_format(client: &Client, pool: &Pool) -> Result<(), Error> {
    let schema = &pool.options.schema;
    let foreign = |found: &str| {
        let reason = format!(
            "the schema {schema} {found}; this version has format {FORMAT} and has changed \
             nothing: use the version that made it, or name another schema"
        );
        refused(&pool.address, reason)
    };
    let rows = client.query(&format!("SELECT format FROM {}.meta", quoted(schema)), &[]).await;
    match rows {
        Err(error) if error.code().is_some_and(|code| code.code() == "42703") => {
            Err(foreign("has a table \"meta\" that is not Steadfast's"))
        }
        Err(error) => Err(explain(&pool.address, &error)),
        Ok(rows) => match rows.as_slice() {
            [row] => match row.try_get::<_, i32>(0) {
                Ok(FORMAT) => Ok(()),
                Ok(other) => Err(foreign(&format!("has format {other}"))),
                Err(_) => Err(foreign("has a table \"meta\" that is not Steadfast's")),
            },
            rows => Err(foreign(&format!("has {} format numbers", rows.len()))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled() {
        let text = text("steadfast");
        assert!(text.contains("CREATE TABLE \"steadfast\".entries"));
        assert!(!text.contains('{') && !text.contains('}'));
        assert!(!text.contains("advisory"));
    }
}
