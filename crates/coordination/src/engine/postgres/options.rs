//! Where the server is, and how it is used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Clock;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::ENGINE;
use crate::engine::wakes::POLL_MAX;
use crate::port::Error;

/// How to reach the server. Shown without its password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The schema in which the tables are. Deployments that share a database have one each.
    /// 1 to 48 of `a-z`, `0-9` and `_`, not beginning with a digit or `pg_`.
    pub schema: String,
    /// Connections for calls, 16 unless set; one more listens, and two more renew sessions while all
    /// of these are busy. Each call has one to itself for one round trip, and the server writes the
    /// commits of all of them to disk together, so more of them carry more calls until the server's
    /// processors are busy. PostgreSQL takes 100 connections unless set otherwise, so with 16 there
    /// is room for five processes.
    pub connections: usize,
    /// How long a call may take, the wait for a connection included; also the server's
    /// `statement_timeout`, so that a call that was given up ends there, too.
    pub call_timeout: Duration,
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// How often those who wait ask again although nothing was notified. The end of a session is
    /// not notified: whoever waits for it asks again when it is due. At most 20 seconds: the
    /// server remembers for half a minute that somebody waits.
    pub poll: Duration,
    /// What waits and timeouts are measured with.
    pub clock: Clock,
    pub(super) config: Config,
}

impl Options {
    /// From a connection string: `postgres://user:password@host:port/database` or
    /// `host=… user=…`. Several hosts may be given; with `target_session_attrs=read-write` the
    /// primary among them is taken.
    ///
    /// # Errors
    /// [`Error::Refused`] when it cannot be read. It does not repeat what was given, which may
    /// hold a password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let config: Config = url.parse().map_err(|_unshown| Error::Refused {
            engine: ENGINE,
            address: "?".into(),
            reason: "the connection string cannot be read; it looks like \
                     postgres://user:password@host:port/database, with special characters of \
                     the password percent-encoded"
                .into(),
        })?;
        Ok(Self {
            schema: "steadfast".to_owned(),
            connections: 16,
            call_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            poll: Duration::from_secs(5),
            clock: Clock::system(),
            config,
        })
    }

    /// Host, port and database, without credentials.
    pub(super) fn address(&self) -> Arc<str> {
        let mut address = String::new();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let host = match host {
                Host::Tcp(host) => host.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            };
            let ports = self.config.get_ports();
            let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
            let comma = if at == 0 { "" } else { "," };
            address += &format!("{comma}{host}:{port}");
        }
        if let Some(database) = self.config.get_dbname() {
            address += "/";
            address += database;
        }
        address.into()
    }

    /// # Errors
    /// [`Error::Refused`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let schema = &self.schema;
        let fits = (1..=48).contains(&schema.len())
            && schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !schema.starts_with(|c: char| c.is_ascii_digit())
            && !schema.starts_with("pg_");
        let reason = if !fits {
            format!(
                "the schema {schema:?} has not 1 to 48 of a-z, 0-9 and _, or begins with a digit \
                 or pg_"
            )
        } else if self.connections == 0 || self.connections > 1_000 {
            format!("{} connections are not 1 to 1000", self.connections)
        } else if self.call_timeout.is_zero() || self.connect_timeout.is_zero() {
            "a timeout of zero leaves no time for an answer".to_owned()
        } else if self.poll < Duration::from_millis(10) {
            format!("to poll every {:?} is more often than every 10 ms", self.poll)
        } else if self.poll > POLL_MAX {
            format!("to poll every {:?} is more seldom than every {POLL_MAX:?}", self.poll)
        } else {
            return Ok(());
        };
        Err(Error::Refused { engine: ENGINE, address: self.address(), reason: reason.into() })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address())
            .field("user", &self.config.get_user())
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("call_timeout", &self.call_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let options = Options::new("postgres://ann:hunter2@db1:5433,db2:5434/orders").unwrap();
        assert_eq!(&*options.address(), "db1:5433,db2:5434/orders");
        assert!(!format!("{options:?}").contains("hunter2"));
        for wrong in ["postgres://ann:hunter2@db:port/orders", "host=db password=hunter2 hunter2"] {
            let error = Options::new(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let fine = Options::new("postgres://ann@db/orders").unwrap();
        assert!(fine.check().is_ok());
        for schema in ["", "Steadfast", "a\"b", "7up", "pg_toast", "a b", &"x".repeat(49)] {
            let options = Options { schema: schema.to_owned(), ..fine.clone() };
            assert!(matches!(options.check(), Err(Error::Refused { .. })), "{schema:?}");
        }
        assert!(Options { connections: 0, ..fine.clone() }.check().is_err());
        assert!(Options { call_timeout: Duration::ZERO, ..fine.clone() }.check().is_err());
        assert!(Options { poll: Duration::ZERO, ..fine.clone() }.check().is_err());
        // A notice would be missed when the server no longer knows that somebody waits.
        assert!(Options { poll: Duration::from_secs(31), ..fine }.check().is_err());
    }
}
