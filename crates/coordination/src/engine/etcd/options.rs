//! Where etcd is, and as whom it is used.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::limits::ETCD_ENDPOINTS_MAX;

/// How to reach a cluster.
///
/// From text: `etcd://user:password@host:port,host:port/prefix`; everything but the hosts may be
/// missing. `etcds://` is the same over TLS with the system's roots; `http://` and `https://`, as
/// etcd itself writes its addresses, mean the same. Signs that have a meaning in an address
/// (`@ : / , %`) are written as `%40` and so on within user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The members, each `host:port`. A client stays with one until it fails, then takes the next.
    pub endpoints: Vec<String>,
    /// As whom; `None` for a cluster without authentication.
    pub credentials: Option<Credentials>,
    /// What all keys begin with, `steadfast/` by default. Deployments that share a cluster have
    /// different ones, none of which begins with another.
    pub prefix: String,
    /// `None` for connections in the clear.
    pub tls: Option<Tls>,
    /// How long one member may take until it can be used: connection, TLS, authentication and
    /// its first answer. 2 s by default.
    pub connect_timeout: Duration,
    /// How long a request may take; waits for a turn are not requests. 3 s by default: above a
    /// cluster's pause for an election with etcd's own default of 1 s.
    pub request_timeout: Duration,
}

/// A user and a password. The password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Credentials {
    /// A user and the password of that user.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How connections are protected. The default trusts the system's roots.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authority that is trusted instead of the system's, as PEM.
    pub authority: Option<Vec<u8>>,
    /// The client's own certificate and its private key, as PEM, where the cluster asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in the servers' certificates, if it is not the host of the address.
    pub server_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authority", &self.authority.is_some())
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// The options cannot be used. Never quotes what was given: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Another kind of address.
    #[error("an address of etcd begins with etcd:// or etcds:// (or http://, https://)")]
    Scheme,
    /// Some members with TLS, some without.
    #[error("all members of a cluster are reached with TLS, or none")]
    Mixed,
    /// No member, or too many.
    #[error("{0} endpoints are given; a cluster has 1 to {ETCD_ENDPOINTS_MAX}")]
    Endpoints(usize),
    /// A member that cannot be an address.
    #[error(
        "endpoint {0} is not host:port; write an IPv6 address as [::1]:2379, and @ : / , % in a \
         user or password as %40 %3A %2F %2C %25"
    )]
    Endpoint(usize),
    /// The user or password cannot be decoded.
    #[error("the user or password has a % that is not followed by two hexadecimal digits")]
    Encoding,
    /// A user without a password.
    #[error("a user needs a password: etcd://user:password@host:port")]
    Password,
    /// A prefix that cannot be shown.
    #[error("the prefix has a control character")]
    Prefix,
    /// A timeout of zero.
    #[error("the connect and request timeouts must not be zero")]
    Timeout,
    /// Certificates that cannot be read.
    #[error("the TLS certificates or key cannot be used; they must be PEM")]
    Tls,
}

/// Where etcd listens unless told otherwise.
const PORT: u16 = 2379;

impl Options {
    /// Members without authentication, and defaults.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            credentials: None,
            prefix: String::from("steadfast/"),
            tls: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(3),
        }
    }

    /// Checks that these options can be used.
    ///
    /// # Errors
    /// [`Invalid`] says what does not fit.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.endpoints.is_empty() || self.endpoints.len() > ETCD_ENDPOINTS_MAX {
            return Err(Invalid::Endpoints(self.endpoints.len()));
        }
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            address(endpoint)
                .filter(|(_, port)| port.is_some())
                .ok_or(Invalid::Endpoint(at + 1))?;
        }
        if self.prefix.contains(char::is_control) {
            return Err(Invalid::Prefix);
        }
        if self.connect_timeout.is_zero() || self.request_timeout.is_zero() {
            return Err(Invalid::Timeout);
        }
        Ok(())
    }
}

impl FromStr for Options {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (mut secure, rest) = scheme(text).ok_or(Invalid::Scheme)?;
        let mut options = Self::new(Vec::<String>::new());
        let mut parts = rest.split(',').peekable();
        let mut first = true;
        while let Some(part) = parts.next() {
            let mut part = part;
            if let Some((other, rest)) = scheme(part) {
                if other != secure {
                    return Err(Invalid::Mixed);
                }
                (secure, part) = (other, rest);
            }
            if parts.peek().is_none()
                && let Some((address, path)) = part.split_once('/')
            {
                part = address;
                if path.contains('@') {
                    return Err(Invalid::Endpoint(options.endpoints.len() + 1));
                }
                if !path.is_empty() {
                    options.prefix = format!("{}/", path.trim_end_matches('/'));
                }
            } else {
                part = part.strip_suffix('/').unwrap_or(part);
            }
            if let Some((who, address)) = part.split_once('@').filter(|_| first) {
                let (user, password) = who.split_once(':').ok_or(Invalid::Password)?;
                let (user, password) = (decode(user)?, decode(password)?);
                options.credentials = Some(Credentials { user, password });
                part = address;
            }
            first = false;
            let number = options.endpoints.len() + 1;
            let (host, port) = address(part).ok_or(Invalid::Endpoint(number))?;
            options.endpoints.push(format!("{host}:{}", port.unwrap_or(PORT)));
        }
        options.tls = secure.then(Tls::default);
        options.check()?;
        Ok(options)
    }
}

/// Whether TLS is asked for, and what follows.
fn scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme {
        "etcd" | "http" => Some((false, rest)),
        "etcds" | "https" => Some((true, rest)),
        _ => None,
    }
}

/// A host, brackets included, and a port if there is one.
fn address(text: &str) -> Option<(&str, Option<u16>)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if bare.is_empty() || !bare.chars().all(allowed) {
        return None;
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        None => None,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => None,
            Ok(port) => Some((host, Some(port))),
        },
    }
}

/// Text with `%41` for `A`.
fn decode(text: &str) -> Result<String, Invalid> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return Err(Invalid::Encoding) };
            let digit =
                |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                return Err(Invalid::Encoding);
            };
            bytes.push(high << 4 | low);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| Invalid::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, Invalid> {
        text.parse()
    }

    #[test]
    fn an_address_names_members_user_and_prefix() {
        let options = parse("etcd://me:p%40ss%3a@a:1,[::1]:2,c/team/one").unwrap();
        assert_eq!(options.endpoints, ["a:1", "[::1]:2", "c:2379"]);
        assert_eq!(options.prefix, "team/one/");
        assert_eq!(options.credentials, Some(Credentials::new("me", "p@ss:")));
        assert_eq!(options.tls, None);
        let options = parse("http://127.0.0.1:1,http://127.0.0.1:2/").unwrap();
        assert_eq!(options.endpoints, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(options.prefix, "steadfast/");
        assert_eq!(parse("etcds://host").unwrap().tls, Some(Tls::default()));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_quoting_it() {
        assert_eq!(parse("redis://a:1"), Err(Invalid::Scheme));
        assert_eq!(parse("a:1"), Err(Invalid::Scheme));
        assert_eq!(parse("etcd://"), Err(Invalid::Endpoint(1)));
        assert_eq!(parse("http://a:1,https://b:1"), Err(Invalid::Mixed));
        assert_eq!(parse("etcd://a:1,b:0"), Err(Invalid::Endpoint(2)));
        assert_eq!(parse("etcd://me@a:1"), Err(Invalid::Password));
        assert_eq!(parse("etcd://me:100%@a:1"), Err(Invalid::Encoding));
        assert_eq!(parse("etcd://me:%+1@a:1"), Err(Invalid::Encoding));
        for leaky in ["etcd://me:sec/ret@a:1", "etcd://me:sec,ret@a:1", "etcd://me:sec@ret@a:1"] {
            let error = parse(leaky).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("sec"), "{error}");
        }
        let many = vec!["a:1"; ETCD_ENDPOINTS_MAX + 1].join(",");
        assert!(matches!(parse(&format!("etcd://{many}")), Err(Invalid::Endpoints(_))));
        let hasty = Options { request_timeout: Duration::ZERO, ..Options::new(["a:1"]) };
        assert_eq!(hasty.check(), Err(Invalid::Timeout));
        assert_eq!(
            Options { prefix: "a\n".into(), ..Options::new(["a:1"]) }.check(),
            Err(Invalid::Prefix)
        );
        assert_eq!(Options::new(["a"]).check(), Err(Invalid::Endpoint(1)));
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut options = parse("etcd://me:secret@a:1").unwrap();
        options.tls =
            Some(Tls { identity: Some((b"c".into(), b"secret".into())), ..Tls::default() });
        let shown = format!("{options:?}");
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
        assert!(!shown.contains("115, 101"), "{shown}");
    }
}
