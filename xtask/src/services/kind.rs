//! The servers there are, and what they are called.

use serde::{Deserialize, Serialize};

/// A server, or several that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One PostgreSQL.
    Postgres,
    /// One etcd.
    Etcd,
    /// Three etcd that agree.
    EtcdCluster,
    /// One ZooKeeper.
    Zookeeper,
    /// Five Redis nodes that know nothing of each other.
    Redis,
}

impl Kind {
    /// All of them, in the order in which they are started and shown.
    pub const ALL: [Self; 5] =
        [Self::Postgres, Self::Etcd, Self::EtcdCluster, Self::Zookeeper, Self::Redis];

    /// Its name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
            Self::EtcdCluster => "etcd-cluster",
            Self::Zookeeper => "zookeeper",
            Self::Redis => "redis",
        }
    }

    /// How many processes it is.
    #[must_use]
    pub const fn nodes(self) -> u8 {
        match self {
            Self::Postgres | Self::Etcd | Self::Zookeeper => 1,
            Self::EtcdCluster => 3,
            Self::Redis => 5,
        }
    }

    /// The name of one node; also that of its folder, and of its service in `compose.yaml`.
    #[must_use]
    pub fn node_name(self, node: u8) -> String {
        match self.nodes() {
            1 => self.name().to_owned(),
            _ => format!("{}-{node}", self.name()),
        }
    }

    /// Reads a list such as `etcd,redis`; without duplicates, in the order of [`Kind::ALL`].
    ///
    /// # Errors
    /// One of the names is not known.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, String> {
        let mut kinds = Vec::new();
        for name in list.split(',').map(str::trim) {
            let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
            kinds.push(found.ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
                format!("there is no server {name:?}; there are {}", names.join(", "))
            })?);
        }
        kinds.sort();
        kinds.dedup();
        Ok(kinds)
    }

    /// The environment variables by which tests find it, given the addresses of its nodes.
    #[must_use]
    pub fn variables(self, addresses: &[String]) -> Vec<(&'static str, String)> {
        let first = addresses.first().map(String::as_str).unwrap_or_default();
        let each = |scheme: &str| {
            let urls: Vec<String> =
                addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
            urls.join(",")
        };
        match self {
            Self::Postgres => vec![
                ("STEADFAST_POSTGRES", format!("postgres://steadfast@{first}/steadfast")),
                ("STEADFAST_POSTGRES_GUARDED", {
                    let (user, password) = super::postgres::GUARDED;
                    format!("postgres://{user}:{password}@{first}/steadfast")
                }),
            ],
            Self::Etcd => vec![("STEADFAST_ETCD", each("http"))],
            Self::EtcdCluster => vec![("STEADFAST_ETCD_CLUSTER", each("http"))],
            Self::Zookeeper => vec![("STEADFAST_ZOOKEEPER", first.to_owned())],
            Self::Redis => vec![
                ("STEADFAST_REDIS", format!("redis://{first}")),
                ("STEADFAST_REDLOCK", each("redis")),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse_list(kind.name()), Ok(vec![kind]));
        }
        let both = vec![Kind::Etcd, Kind::Redis];
        assert_eq!(Kind::parse_list("redis, etcd,redis"), Ok(both));
        assert!(Kind::parse_list("etcd,kafka").unwrap_err().contains("etcd-cluster"));
        assert!(Kind::parse_list("").is_err());
    }

    #[test]
    fn tests_find_the_servers_by_variables() {
        let addresses: Vec<String> = (1..=3).map(|port| format!("127.0.0.1:{port}")).collect();
        let value = |kind: Kind, variable: &str| {
            let found = kind.variables(&addresses).into_iter().find(|(name, _)| *name == variable);
            found.map(|(_, value)| value).unwrap()
        };
        assert_eq!(value(Kind::Etcd, "STEADFAST_ETCD").split(',').count(), 3);
        assert_eq!(value(Kind::Zookeeper, "STEADFAST_ZOOKEEPER"), "127.0.0.1:1");
        assert_eq!(value(Kind::Redis, "STEADFAST_REDIS"), "redis://127.0.0.1:1");
        assert_eq!(
            value(Kind::Redis, "STEADFAST_REDLOCK"),
            "redis://127.0.0.1:1,redis://127.0.0.1:2,redis://127.0.0.1:3"
        );
        assert_eq!(
            value(Kind::Postgres, "STEADFAST_POSTGRES"),
            "postgres://steadfast@127.0.0.1:1/steadfast"
        );
    }

    #[test]
    fn nodes_have_names_of_their_own() {
        assert_eq!(Kind::Etcd.node_name(1), "etcd");
        assert_eq!(Kind::EtcdCluster.node_name(2), "etcd-cluster-2");
        let names: std::collections::BTreeSet<String> = Kind::ALL
            .into_iter()
            .flat_map(|kind| (1..=kind.nodes()).map(move |node| kind.node_name(node)))
            .collect();
        assert_eq!(names.len(), 11);
    }
}
