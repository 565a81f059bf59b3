//! A few connections for everyone who reads.
//!
//! In a write-ahead log readers and the writer do not wait for each other, and a read that
//! starts after a commit sees it. Connections are opened when they are first needed.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::connection;
use super::fault::{Fault, Result};

#[derive(Debug, Default)]
struct Desk {
    idle: Vec<Connection>,
    /// Connections that exist, idle or not.
    open: usize,
    closed: bool,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    desk: Mutex<Desk>,
    returned: Condvar,
    database: PathBuf,
    limit: usize,
    cache_bytes: usize,
}

impl Readers {
    pub(super) fn new(database: PathBuf, limit: usize, cache_bytes: usize) -> Self {
        let (desk, returned) = (Mutex::default(), Condvar::new());
        Self { desk, returned, database, limit: limit.max(1), cache_bytes }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a read on a connection that nobody else uses meanwhile.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let lent = self.take()?;
        match &lent.connection {
            Some(connection) => work(connection),
            None => Err(CLOSED),
        }
    }

    fn take(&self) -> Result<Lent<'_>> {
        let full =
            |desk: &mut Desk| desk.idle.is_empty() && desk.open >= self.limit && !desk.closed;
        let mut desk =
            self.returned.wait_while(self.desk(), full).unwrap_or_else(PoisonError::into_inner);
        if desk.closed {
            return Err(CLOSED);
        }
        let mut lent = Lent { pool: self, connection: desk.idle.pop() };
        if lent.connection.is_none() {
            desk.open += 1;
            drop(desk);
            // When this fails, dropping `lent` makes room again.
            lent.connection = Some(connection::reader(&self.database, self.cache_bytes)?);
        }
        Ok(lent)
    }

    /// Closes the idle connections, and those in use once their reads are done. Returns when all
    /// are closed; reads fail from now on.
    pub(super) fn close(&self) {
        let mut desk = self.desk();
        desk.closed = true;
        desk.open -= desk.idle.len();
        desk.idle.clear();
        self.returned.notify_all();
        let _closed = self
            .returned
            .wait_while(desk, |desk| desk.open > 0)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

const CLOSED: Fault = Fault::Closed("the journal is closed");

struct Lent<'a> {
    pool: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut desk = self.pool.desk();
        match self.connection.take() {
            Some(connection) if !desk.closed => desk.idle.push(connection),
            _ => desk.open -= 1,
        }
        drop(desk);
        self.pool.returned.notify_all();
    }
}
