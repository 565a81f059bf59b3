//! Which engine, and where it is.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

/// An engine by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The embedded engine, as a process of its own.
    Embedded,
    /// PostgreSQL.
    Postgres,
    /// etcd.
    Etcd,
    /// ZooKeeper.
    Zookeeper,
    /// Redis, one node.
    Redis,
}

impl Engine {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
            Self::Zookeeper => "zookeeper",
            Self::Redis => "redis",
        }
    }

    /// The scheme of its addresses.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Embedded => "unix",
            other => other.name(),
        }
    }

    /// How its own tools write that.
    const fn alias(self) -> Option<&'static str> {
        match self {
            Self::Etcd => Some("http"),
            Self::Postgres => Some("postgresql"),
            _ => None,
        }
    }

    /// Its address with its scheme. A bare one is understood, and a path for the embedded engine.
    fn address(self, text: &str) -> Result<String, String> {
        let scheme = self.scheme();
        let known = |given: &str| given == scheme || Some(given) == self.alias();
        match text.split_once("://") {
            Some((given, rest)) if known(given) && !rest.is_empty() => {
                Ok(format!("{scheme}://{rest}"))
            }
            None if self == Self::Embedded && !text.is_empty() => {
                let path = std::path::absolute(text).map_err(|error| error.to_string())?;
                Ok(format!("{scheme}://{}", path.display()))
            }
            None if !text.is_empty() => Ok(format!("{scheme}://{text}")),
            // It is not quoted: there may be a password in it.
            _ => Err(format!("an address of {} looks like {scheme}://…", self.name())),
        }
    }
}

/// An engine at an address; without one, an embedded engine of our own.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    engine: Engine,
    url: Option<String>,
}

impl Target {
    /// An engine, and where it is.
    ///
    /// # Errors
    /// The address is another engine's, or is missing.
    pub fn new(engine: Engine, url: Option<&str>) -> Result<Self, String> {
        if url.is_none() && engine != Engine::Embedded {
            let name = engine.name();
            return Err(format!("say where {name} is; only the embedded engine is started here"));
        }
        let url = url.map(|url| engine.address(url)).transpose()?;
        Ok(Self { engine, url })
    }

    /// Which it is.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Where it is, if it is not ours. May hold a password.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

/// Without the address, in which there may be a password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ours = self.url.is_none();
        f.debug_struct("Target").field("engine", &self.engine).field("is_ours", &is_ours).finish()
    }
}

impl FromStr for Target {
    type Err = String;

    /// `ENGINE=URL`, or `embedded`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (engine, url) = match text.split_once('=') {
            Some((engine, url)) => (engine, Some(url)),
            None => (text, None),
        };
        let engine = <Engine as ValueEnum>::from_str(engine, false).map_err(|_| {
            let names: Vec<_> = Engine::value_variants().iter().map(|e| e.name()).collect();
            format!("write ENGINE=URL, where ENGINE is one of {}", names.join(", "))
        })?;
        Self::new(engine, url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<Option<String>, String> {
        text.parse::<Target>().map(|target| target.url)
    }

    #[test]
    fn addresses_are_understood_as_the_servers_own_tools_write_them() {
        for (text, expected) in [
            ("etcd=http://127.0.0.1:2379", "etcd://127.0.0.1:2379"),
            ("etcd=etcd://a:1,b:2/prefix", "etcd://a:1,b:2/prefix"),
            ("zookeeper=127.0.0.1:2181", "zookeeper://127.0.0.1:2181"),
            ("postgres=postgresql://me@host/db?x=y", "postgres://me@host/db?x=y"),
            ("redis=redis://:secret@host:1", "redis://:secret@host:1"),
            ("embedded=unix:///run/c.sock", "unix:///run/c.sock"),
            ("embedded=/run/c.sock", "unix:///run/c.sock"),
        ] {
            assert_eq!(url(text).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(url("embedded"), Ok(None));
    }

    #[test]
    fn what_is_no_engine_or_has_no_address_is_refused_without_its_password() {
        for text in [
            "",
            "consul=a:1",
            "etcd",
            "etcd=",
            "redis=http://me:secret@a:1",
            "embedded=etcd://a",
            "embedded=",
        ] {
            let error = url(text).unwrap_err();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
        let target: Target = "redis=redis://:secret@host:1".parse().unwrap();
        assert!(!format!("{target:?}").contains("secret"));
    }
}
