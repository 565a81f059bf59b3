//! Where the server is, and how it is used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, IntoConnectionInfo, RedisError};
use steadfast_time::Clock;

use super::ENGINE;
use crate::engine::wakes::POLL_MAX;
use crate::port::Error;

/// How to reach the server. Shown without its password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// What sets deployments that share a server apart: keys begin with `steadfast:{prefix}:`.
    /// 1 to 64 of letters, digits, `-`, `_` and `.`.
    pub prefix: String,
    /// How long a call may take, connecting included.
    pub call_timeout: Duration,
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// How often those who wait ask again although nothing was published. The end of a session is
    /// not published: whoever waits for it asks again when it is due. At most 20 seconds: the
    /// server remembers for a minute that somebody waits.
    pub poll: Duration,
    /// What waits and timeouts are measured with.
    pub clock: Clock,
    pub(super) client: Client,
}

impl Options {
    /// From a URL: `redis://user:password@host:port/database`.
    ///
    /// # Errors
    /// [`Error::Refused`] when it cannot be read or asks for TLS. It does not repeat what was
    /// given, which may hold a password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let client = client(url).map_err(|_unshown| Error::Refused {
            engine: ENGINE,
            address: "?".into(),
            reason: "the URL cannot be used; it looks like \
                     redis://user:password@host:port/database, with special characters of the \
                     password percent-encoded; TLS (rediss://) is not built in"
                .into(),
        })?;
        Ok(Self {
            prefix: "default".to_owned(),
            call_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            poll: Duration::from_secs(5),
            clock: Clock::system(),
            client,
        })
    }

    /// Host and port, without credentials.
    pub(super) fn address(&self) -> Arc<str> {
        self.client.get_connection_info().addr().to_string().into()
    }

    /// # Errors
    /// [`Error::Refused`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let prefix = &self.prefix;
        let fits = (1..=64).contains(&prefix.len())
            && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let reason = if !fits {
            format!("the prefix {prefix:?} has not 1 to 64 of letters, digits, -, _ and .")
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

/// A client whose requests go out at once: the driver leaves Nagle's algorithm on, which holds back
/// the end of what many tasks have written until the server has acknowledged the beginning.
pub(crate) fn client(url: &str) -> Result<Client, RedisError> {
    let settings = TcpSettings::default().set_nodelay(true);
    Client::open(url.into_connection_info()?.set_tcp_settings(settings))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address())
            .field("prefix", &self.prefix)
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
        let options = Options::new("redis://ann:hunter2@db1:6380/2").unwrap();
        assert_eq!(&*options.address(), "db1:6380");
        assert!(!format!("{options:?}").contains("hunter2"));
        for wrong in ["http://ann:hunter2@db", "redis://ann:hunter2@db:port", "rediss://:hunter2@d"]
        {
            let error = Options::new(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let fine = Options::new("redis://db").unwrap();
        assert!(fine.check().is_ok());
        for prefix in ["", "{a}", "a b", "a:b", "구역", &"x".repeat(65)] {
            let options = Options { prefix: prefix.to_owned(), ..fine.clone() };
            assert!(matches!(options.check(), Err(Error::Refused { .. })), "{prefix:?}");
        }
        assert!(Options { call_timeout: Duration::ZERO, ..fine.clone() }.check().is_err());
        assert!(Options { poll: Duration::ZERO, ..fine.clone() }.check().is_err());
        // A notice would be missed when the server no longer knows that somebody waits.
        assert!(Options { poll: Duration::from_secs(31), ..fine }.check().is_err());
    }
}
