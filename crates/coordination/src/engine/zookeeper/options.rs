//! Where the servers are, and how they are asked.

use std::fmt;
use std::sync::Arc;

use super::ENGINE;
use crate::limits::{ZOOKEEPER_ROOT_BYTES_MAX, ZOOKEEPER_SERVERS_MAX};
use crate::port::Error;

/// The scheme of a URL that names ZooKeeper servers.
const SCHEME: &str = "zookeeper://";

/// How to reach the servers. Shown without credentials.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The servers of one ensemble, as `host:port`.
    pub servers: Vec<String>,
    /// The node below which everything is: an absolute path. Deployments that share an ensemble
    /// have one each.
    pub root: String,
    /// User and password of ZooKeeper's `digest` scheme. With them, all nodes are made so that
    /// only this user may touch them; without, anybody may.
    pub credentials: Option<(String, String)>,
}

impl Options {
    /// Servers without credentials, at the root `/steadfast`.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            root: "/steadfast".to_owned(),
            credentials: None,
        }
    }

    /// From a URL such as `zookeeper://user:password@host:port,host:port/root`. Credentials and
    /// root may be left out; in credentials, `%` and two digits stand for a byte.
    ///
    /// # Errors
    /// [`Error::Refused`] when it cannot be read. It does not repeat what was given, which may
    /// hold a password.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        Self::read(url).ok_or_else(|| {
            let reason = "the address cannot be read; it looks like \
                          zookeeper://user:password@host:port,host:port/root, with special \
                          characters of the password percent-encoded";
            Error::Refused { engine: ENGINE, address: "?".into(), reason: reason.into() }
        })
    }

    fn read(url: &str) -> Option<Self> {
        let rest = url.strip_prefix(SCHEME)?;
        let (rest, root) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (credentials, servers) = match rest.rsplit_once('@') {
            Some((credentials, servers)) => {
                let (user, password) = credentials.split_once(':')?;
                (Some((decode(user)?, decode(password)?)), servers)
            }
            None => (None, rest),
        };
        let mut options = Self { credentials, ..Self::new(servers.split(',')) };
        if !matches!(root, "" | "/") {
            options.root = root.trim_end_matches('/').to_owned();
        }
        Some(options)
    }

    /// Servers and root, without credentials.
    pub(super) fn address(&self) -> Arc<str> {
        format!("{}{}", self.servers.join(","), self.root).into()
    }

    /// Checks what the server could only refuse with less to say about it.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let count = self.servers.len();
        let root = &self.root;
        let names = root.strip_prefix('/').unwrap_or_default();
        let good_name = |name: &str| {
            !matches!(name, "" | "." | "..") && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let reason = if !(1..=ZOOKEEPER_SERVERS_MAX).contains(&count) {
            format!("{count} servers are named; 1 to {ZOOKEEPER_SERVERS_MAX} can be")
        } else if let Some(server) = self.servers.iter().find(|server| !is_address(server)) {
            format!("the server {server:?} is not a host and a port, such as zoo-1:2181")
        } else if !names.split('/').all(good_name) || root.len() > ZOOKEEPER_ROOT_BYTES_MAX {
            format!(
                "the root {root:?} is not a path such as /steadfast, of at most \
                 {ZOOKEEPER_ROOT_BYTES_MAX} letters, digits and signs"
            )
        } else {
            return Ok(());
        };
        Err(Error::Refused { engine: ENGINE, address: self.address(), reason: reason.into() })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("servers", &self.servers)
            .field("root", &self.root)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

/// Whether this is `host:port`.
fn is_address(server: &str) -> bool {
    host_and_port(server).is_some()
}

/// The parts of `host:port`; an IPv6 host stands in brackets.
pub(super) fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plain = !host.is_empty() && !host.contains([':', '/', '@', ' ']);
    let host = inner.or(plain.then_some(host))?;
    Some((host, port.parse().ok().filter(|port| *port > 0)?))
}

/// Undoes percent-encoding; `None` when it is none.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_refused_and_its_password_never_shown() {
        let options =
            Options::from_url("zookeeper://ann:hunter%402%2F@a:2181,b:2182/x/y/").unwrap();
        assert_eq!(options.servers, ["a:2181", "b:2182"]);
        assert_eq!(options.root, "/x/y");
        assert_eq!(options.credentials, Some(("ann".into(), "hunter@2/".into())));
        assert!(!format!("{options:?} {}", options.address()).contains("hunter"));
        assert_eq!(options.check().map_err(|error| error.to_string()), Ok(()));
        assert_eq!(Options::from_url("zookeeper://a:1").unwrap(), Options::new(["a:1"]));
        assert_eq!(Options::from_url("zookeeper://a:1/").unwrap().root, "/steadfast");
        for wrong in ["a:2181", "zookeeper://hunter@a:1", "zookeeper://ann:hunter%2@a:1"] {
            let error = Options::from_url(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_asked() {
        let with_root = |root: &str| Options { root: root.to_owned(), ..Options::new(["a:1"]) };
        let wrong = [
            Options::new([""; 0]),
            Options::new(["a"]),
            Options::new(["a:0"]),
            Options::new([":1"]),
            Options::new(["a/b:1"]),
            with_root("/"),
            with_root("x"),
            with_root("/x//y"),
            with_root("/x/../y"),
            with_root(&format!("/{}", "x".repeat(ZOOKEEPER_ROOT_BYTES_MAX))),
        ];
        for options in wrong {
            assert!(matches!(options.check(), Err(Error::Refused { .. })), "{options:?}");
        }
        assert_eq!(host_and_port("[::1]:2181"), Some(("::1", 2181)));
    }
}
