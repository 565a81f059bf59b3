//! What Redlock asks of a server.

use std::time::Duration;

use futures::future::BoxFuture;

/// One of the independent servers: keys with a value and an expiry. Nothing else of Redis is used.
///
/// A server that refuses, fails or is away answers `false`: the algorithm counts votes, and does not
/// ask why one is missing. A call whose answer is late is dropped; it may take effect all the same.
pub trait Node: Send + Sync + 'static {
    /// Where it is, without credentials.
    fn address(&self) -> String;

    /// Sets a key that expires after `ttl`, unless it is there. Says whether it was set.
    fn set_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, bool>;

    /// Deletes a key if it has this value: never another holder's. Says whether it was there.
    fn delete_if_equal<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, bool>;
}
