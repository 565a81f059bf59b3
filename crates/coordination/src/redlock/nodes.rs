//! The servers, asked all at once.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisResult, Script};
use futures::future::join_all;
use steadfast_time::Clock;
use tokio::sync::Mutex;

use super::ENGINE;
use crate::engine::redis::client;
use crate::port::{Error, Name};

/// How long a server may take: little against a lock's expiry, as the algorithm asks for, so that
/// servers that are away do not use the lock up.
const PATIENCE: Duration = Duration::from_millis(100);

/// Deletes the key if it has this value.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                       return redis.call('DEL', KEYS[1]) else return 0 end";

struct Node {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

pub(super) struct Nodes {
    nodes: Vec<Node>,
    release: Script,
}

impl Nodes {
    pub(super) fn new(urls: &[&str]) -> Result<Self, Error> {
        let refused = |reason: &str| Error::Refused {
            engine: ENGINE,
            address: "?".into(),
            reason: reason.into(),
        };
        if urls.is_empty() {
            return Err(refused("there are no servers"));
        }
        let open = |url: &&str| {
            let client = client(url).map_err(|_unshown| {
                refused("a URL cannot be used; it looks like redis://user:password@host:port")
            })?;
            Ok(Node { client, connection: Mutex::default() })
        };
        let nodes = urls.iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Self { nodes, release: Script::new(RELEASE) })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn address(&self) -> String {
        let address = |node: &Node| node.client.get_connection_info().addr().to_string();
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// On how many servers the key was set.
    pub(super) async fn take(
        &self,
        clock: &Clock,
        name: &Name,
        value: &str,
        ttl: Duration,
    ) -> usize {
        let key = key(name);
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let set =
            ::redis::cmd("SET").arg(&*key).arg(value).arg("NX").arg("PX").arg(millis).to_owned();
        let votes = self.nodes.iter().map(|node| {
            node.within(clock, async |mut connection| {
                set.query_async::<Option<String>>(&mut connection).await.map(|set| set.is_some())
            })
        });
        join_all(votes).await.into_iter().filter(|vote| *vote).count()
    }

    /// On how many servers the key had this value and was deleted.
    pub(super) async fn release(&self, clock: &Clock, name: &Name, value: &str) -> usize {
        let key = key(name);
        let votes = self.nodes.iter().map(|node| {
            node.within(clock, async |mut connection| {
                let mut release = self.release.prepare_invoke();
                release.key(&*key).arg(value).invoke_async::<bool>(&mut connection).await
            })
        });
        join_all(votes).await.into_iter().filter(|vote| *vote).count()
    }
}

impl Node {
    /// A server's vote; silence and errors are none.
    async fn within<W: Future<Output = RedisResult<bool>>>(
        &self,
        clock: &Clock,
        ask: impl FnOnce(MultiplexedConnection) -> W,
    ) -> bool {
        let vote = clock.timeout(PATIENCE, async { ask(self.connection().await?).await });
        match vote.await {
            Ok(Ok(vote)) => vote,
            failed => {
                tracing::debug!(?failed, "a server has no vote");
                *self.connection.lock().await = None;
                false
            }
        }
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(None);
        let new = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(connection.insert(new).clone())
    }
}

fn key(name: &Name) -> Arc<str> {
    format!("redlock:{name}").into()
}
