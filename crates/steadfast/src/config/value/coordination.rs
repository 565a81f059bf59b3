//! Which engine coordinates.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Setting;

/// The engine in this process, or a server.
#[derive(Clone, PartialEq, Eq)]
pub enum Coordination {
    /// In this process, its log in the data directory.
    Embedded,
    /// Somewhere else. May hold a password, so it is shown without one.
    Server(String),
}

/// The kinds of server, as the schemes of their URLs.
pub const SCHEMES: [&str; 6] = ["unix", "etcd", "etcds", "zookeeper", "postgres", "redis"];

const EXPECTED: &str = "\"embedded\" or a URL such as \"unix:///run/steadfast/coordination.sock\", \
    \"etcd://a:2379,b:2379,c:2379\", \"zookeeper://a:2181,b:2181\", \"postgres://user@host/database\" \
    or \"redis://host:6379\"";

impl Setting for Coordination {
    const ALLOWED: &'static str = "`\"embedded\"`, or a URL: `unix:///path/to/coordination.sock`, \
        `etcd://a:2379,b:2379`, `zookeeper://a:2181,b:2181`, `postgres://user@host/database`, \
        `redis://host:6379`";
}

impl fmt::Display for Coordination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Server(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Coordination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordination({self})")
    }
}

/// The URL with the password, if there is one, as stars.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return url.to_owned() };
    let after = &rest[user.len()..];
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***{after}"),
        None => url.to_owned(),
    }
}

impl Serialize for Coordination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Coordination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        match text.split_once("://") {
            Some((scheme, rest)) if SCHEMES.contains(&scheme) && !rest.is_empty() => {
                Ok(Self::Server(text))
            }
            _ => {
                let shown = without_password(&text);
                Err(de::Error::invalid_value(de::Unexpected::Str(&shown), &EXPECTED))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Coordination, toml::de::Error> {
        #[derive(Deserialize)]
        struct Document {
            coordination: Coordination,
        }
        toml::from_str::<Document>(&format!("coordination = {text:?}"))
            .map(|read| read.coordination)
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("etcd://me:secret@a:1,b:2/prefix", "etcd://me:***@a:1,b:2/prefix"),
            ("postgres://me:se@cr:et@host/db", "postgres://me:***@host/db"),
            ("redis://:secret@host:1", "redis://:***@host:1"),
            ("postgres://me@host/db", "postgres://me@host/db"),
            ("unix:///run/with@sign:x/c.sock", "unix:///run/with@sign:x/c.sock"),
        ] {
            let value = read(url).unwrap();
            assert_eq!(value, Coordination::Server(url.to_owned()));
            assert_eq!(value.to_string(), shown);
            assert!(!format!("{value:?}").contains("secret"));
        }
        // The document itself, which a parser quotes, is the user's own.
        let error = read("mysql://me:secret@host").unwrap_err();
        assert!(error.message().contains("mysql://me:***@host"), "{error}");
    }

    #[test]
    fn other_kinds_are_refused_with_those_that_there_are() {
        assert_eq!(read("embedded").unwrap(), Coordination::Embedded);
        for text in ["", "etcd", "etcd://", "http://a:1", "consul://a:1"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("zookeeper://"), "{text}: {error}");
        }
    }
}
