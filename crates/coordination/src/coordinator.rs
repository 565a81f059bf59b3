//! The port.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;

/// A lease as the coordinator gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Strictly higher than the token of every earlier grant of the resource.
    pub token: FencingToken,
    /// How long it lasts, counted from a moment after the request was sent and before this
    /// answer came.
    pub length: Duration,
}

/// Why there is no lease.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else holds it.
    #[error("{resource} is held by another; its lease ends in {remaining:?} unless renewed")]
    Held {
        /// What is leased.
        resource: String,
        /// How long it still lasts, as far as is known.
        remaining: Duration,
    },
    /// The lease has ended; somebody else may hold it now.
    #[error("the lease on {resource} (token {token}) has ended")]
    Over {
        /// What was leased.
        resource: String,
        /// The token of the lease.
        token: FencingToken,
    },
    /// The resource's name cannot be used.
    #[error("{resource:?} cannot be leased: a name has 1 to {limit} bytes")]
    Name {
        /// The name.
        resource: String,
        /// The longest that is allowed.
        limit: usize,
    },
    /// Too many leases are out.
    #[error("{limit} leases are out, which is the limit")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The coordinator cannot be asked now, or its tokens cannot be kept. Whether the request
    /// took effect is unknown; a lease that it may have granted ends by itself.
    #[error("the coordinator is not available: {0}")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// Grants leases. Engines implement only this; the guard and everything above is written once.
///
/// Promises of every engine: of one resource at most one lease is current at a time, by the
/// engine's own clock; and each grant's token is strictly higher than those of all earlier
/// grants of the resource, also across restarts of the engine.
pub trait Coordinator: Send + Sync + 'static {
    /// Asks for the lease on a resource, once.
    ///
    /// # Errors
    /// [`Error::Held`] when another holds it, and everything but [`Error::Over`].
    fn grant<'a>(
        &'a self,
        resource: &'a str,
        length: Duration,
    ) -> BoxFuture<'a, Result<Grant, Error>>;

    /// Starts the length of a lease anew.
    ///
    /// # Errors
    /// [`Error::Over`] when it has ended, or [`Error::Unavailable`].
    fn renew<'a>(
        &'a self,
        resource: &'a str,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Ends a lease soon, without waiting and without an answer: it is called when a guard is
    /// dropped. If it does not arrive, the lease ends by itself.
    fn release(&self, resource: &str, token: FencingToken);
}
