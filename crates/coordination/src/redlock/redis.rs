//! Redis servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisResult, Script};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::{ENGINE, Node, PATIENCE};
use crate::engine::redis::client;
use crate::port::Error;

/// Deletes the key if it has this value.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                       return redis.call('DEL', KEYS[1]) else return 0 end";

struct Server {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Whether the connection failed somebody, or kept him waiting: the next one makes another.
    doubtful: AtomicBool,
    release: Script,
}

/// The servers at these URLs. Nothing is asked of them yet.
pub(super) fn nodes(urls: &[&str]) -> Result<Vec<Arc<dyn Node>>, Error> {
    let open = |url: &&str| {
        let client = client(url).map_err(|_unshown| Error::Refused {
            engine: ENGINE,
            address: "?".into(),
            reason: "a URL cannot be used; it looks like redis://user:password@host:port".into(),
        })?;
        let (connection, doubtful) = (Mutex::default(), AtomicBool::new(false));
        let server = Server { client, connection, doubtful, release: Script::new(RELEASE) };
        Ok(Arc::new(server) as Arc<dyn Node>)
    };
    urls.iter().map(open).collect()
}

/// Casts doubt on the connection unless it is told that all is well: also when the question is
/// dropped because its answer is late.
struct Doubt<'a> {
    doubtful: &'a AtomicBool,
    is_cast: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.is_cast {
            self.doubtful.store(true, Ordering::Relaxed);
        }
    }
}

impl Server {
    /// A server's vote; silence and errors are none.
    async fn vote<W: Future<Output = RedisResult<bool>>>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> W,
    ) -> bool {
        let mut doubt = Doubt { doubtful: &self.doubtful, is_cast: true };
        match async { ask(self.connection().await?).await }.await {
            Ok(vote) => {
                doubt.is_cast = false;
                vote
            }
            Err(error) => {
                tracing::debug!(%error, "a server has no vote");
                false
            }
        }
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.connection.lock().await;
        if self.doubtful.swap(false, Ordering::Relaxed) {
            *connection = None;
        }
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

impl Node for Server {
    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    fn set_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, bool> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let set =
            ::redis::cmd("SET").arg(key).arg(value).arg("NX").arg("PX").arg(millis).to_owned();
        self.vote(async move |mut connection| {
            set.query_async::<Option<String>>(&mut connection).await.map(|set| set.is_some())
        })
        .boxed()
    }

    fn delete_if_equal<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, bool> {
        self.vote(async move |mut connection| {
            let mut release = self.release.prepare_invoke();
            release.key(key).arg(value).invoke_async::<bool>(&mut connection).await
        })
        .boxed()
    }
}
