//! Connections: some, each for one call at a time.
//!
//! A call takes a connection for its one round trip. If the caller gives up in between, the
//! connection is closed: its next answer would be the lost one, and a server that stands still
//! must not be sent more and more that nobody waits for. A connection that is found closed is
//! replaced by a new one, which is checked again: the server at the address may be another one now.
//!
//! Where one call has waited in vain, connections that have said nothing since then may have died in
//! silence with its own, as when a firewall has forgotten them all. They are closed, too; else each
//! of them would cost a caller its patience, and a session so many renewals.
//!
//! Renewals do not stand in line behind other calls, which may wait for a lock in the database: a
//! session must not end because a queue stands still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use steadfast_time::{Elapsed, Monotonic};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::fault::{explain, is_babble, is_fatal, is_undone, refused, unavailable};
use super::{Options, schema};
use crate::engine::probe::{Kind, probe};
use crate::port::Error;

/// Renewals at once that have a connection although all are busy: one may hang.
const RENEWALS: usize = 2;

/// A call that was given up sooner than this tells nothing about other connections. The client of
/// the shortest session waits for longer.
const SILENCE: Duration = Duration::from_millis(100);

/// The statements that are prepared on every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Open,
    Renew,
    Close,
    Enter,
    Place,
    Leave,
    Set,
    Remaining,
    List,
    Names,
    Load,
    Store,
}

impl Op {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Open, "SELECT {s}.open($1)"),
        (Self::Renew, "SELECT {s}.renew($1)"),
        (Self::Close, "SELECT {s}.close($1)::text"),
        (Self::Enter, "SELECT * FROM {s}.enter($1, $2, $3, $4, $5, $6)"),
        (Self::Place, "SELECT * FROM {s}.place($1, $2)"),
        (Self::Leave, "SELECT {s}.leave($1, $2)::text"),
        (Self::Set, "SELECT {s}.set($1, $2, $3)"),
        (Self::Remaining, "SELECT {s}.remaining($1, $2)"),
        (Self::List, "SELECT * FROM {s}.list($1, $2)"),
        (Self::Names, "SELECT * FROM {s}.names($1)"),
        (Self::Load, "SELECT value, version FROM {s}.registers WHERE name = $1"),
        (Self::Store, "SELECT * FROM {s}.store($1, $2, $3)"),
    ];
}

/// A connection with its driver's task.
pub(super) struct Connection {
    pub(super) client: Client,
    task: AbortHandle,
    statements: Vec<Statement>,
    /// When the server has last answered on it.
    answered: Monotonic,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Pool {
    pub(super) options: Options,
    pub(super) address: Arc<str>,
    permits: Semaphore,
    renewals: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A call that is under way. Dropped before its answer, it throws doubt upon the idle connections.
struct Asking<'a> {
    pool: &'a Pool,
    sent: Monotonic,
    answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered && self.pool.options.clock.monotonic() - self.sent >= SILENCE {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|connection| connection.answered >= self.sent);
        }
    }
}

impl Pool {
    pub(super) fn new(options: Options) -> Self {
        Self {
            address: options.address(),
            permits: Semaphore::new(options.connections),
            renewals: Semaphore::new(RENEWALS),
            idle: Mutex::new(Vec::new()),
            options,
        }
    }

    /// Calls a function of the schema: one statement, one transaction, one round trip.
    pub(super) async fn call(
        &self,
        op: Op,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let limit = self.options.call_timeout;
        match self.options.clock.timeout(limit, self.attempts(op, params)).await {
            Ok(answer) => answer,
            Err(Elapsed(_)) => Err(unavailable(&self.address, format!("no answer in {limit:?}"))),
        }
    }

    async fn attempts(&self, op: Op, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let permits = if op == Op::Renew { &self.renewals } else { &self.permits };
        let Ok(_permit) = permits.acquire().await else { return Err(Error::Closed) };
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = self.options.clock.monotonic();
        let mut asking = Asking { pool: self, sent, answered: false };
        let mut answer = connection.ask(op, params).await;
        if answer.as_ref().is_err_and(is_undone) {
            answer = connection.ask(op, params).await;
        }
        asking.answered = true;
        connection.answered = self.options.clock.monotonic();
        match answer {
            Ok(rows) => {
                self.keep(connection);
                Ok(rows)
            }
            Err(error) => {
                if is_fatal(&error) {
                    // The others have most likely ended with it.
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                } else {
                    self.keep(connection);
                }
                Err(explain(&self.address, &error))
            }
        }
    }

    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if !connection.client.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// A new connection, checked and prepared.
    async fn connect(&self) -> Result<Connection, Error> {
        self.within_connect_timeout(async {
            let (client, task) = self.dial(|_| {}).await?;
            let answered = self.options.clock.monotonic();
            let mut connection = Connection { client, task, statements: Vec::new(), answered };
            schema::settle(&connection.client, self).await?;
            let schema = schema::quoted(&self.options.schema);
            let prepared = Op::ALL.iter().map(|(_, text)| {
                let text = text.replace("{s}", &schema);
                let client = &connection.client;
                async move { client.prepare(&text).await }
            });
            let prepared = try_join_all(prepared).await;
            connection.statements = prepared.map_err(|error| explain(&self.address, &error))?;
            Ok(connection)
        })
        .await
    }

    /// Runs what belongs to connecting. Silence may mean a server of another kind, which waits for
    /// us to go on in its own language.
    pub(super) async fn within_connect_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.options.connect_timeout;
        match self.options.clock.timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(Elapsed(_)) => {
                let otherwise = unavailable(&self.address, format!("no greeting in {limit:?}"));
                Err(self.not_postgres().await.unwrap_or(otherwise))
            }
        }
    }

    /// Connects and lets a task on the current runtime drive the connection.
    pub(super) async fn dial(
        &self,
        on_notice: impl Fn(&str) + Send + 'static,
    ) -> Result<(Client, AbortHandle), Error> {
        let mut config = self.options.config.clone();
        config.connect_timeout(self.options.connect_timeout);
        if config.get_application_name().is_none() {
            config.application_name("steadfast-coordination");
        }
        // A host that has gone silent is noticed, also by the connection that only listens.
        config.keepalives_idle(self.options.call_timeout);
        config.tcp_user_timeout(self.options.call_timeout * 2);
        match config.connect(NoTls).await {
            Ok((client, mut connection)) => {
                let drive = async move {
                    while let Some(Ok(message)) =
                        std::future::poll_fn(|cx| connection.poll_message(cx)).await
                    {
                        if let tokio_postgres::AsyncMessage::Notification(notice) = message {
                            on_notice(notice.payload());
                        }
                    }
                };
                Ok((client, tokio::spawn(drive).abort_handle()))
            }
            Err(error) => {
                let otherwise = explain(&self.address, &error);
                if is_babble(&error) {
                    return Err(self.not_postgres().await.unwrap_or(otherwise));
                }
                Err(otherwise)
            }
        }
    }

    /// What is at the address, if it is certainly not PostgreSQL.
    async fn not_postgres(&self) -> Option<Error> {
        let config = &self.options.config;
        let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else { return None };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let kind = probe(&self.options.clock, host, port).await?;
        (kind != Kind::Postgres)
            .then(|| refused(&self.address, format!("this is not PostgreSQL but {kind}")))
    }
}

impl Connection {
    async fn ask(
        &mut self,
        op: Op,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self.statements.get(op as usize) {
            Some(statement) => self.client.query(statement, params).await,
            None => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_by_their_number() {
        for (at, (op, _)) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, at);
        }
    }
}
