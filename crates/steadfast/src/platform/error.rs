//! Why the platform does not start, or does not go on.

use std::sync::Arc;

use steadfast_api::server;
use steadfast_dispatch::{AssemblyError, TaskError};
use steadfast_journal::StorageError;

use super::{clock, coordination};

/// Why the platform does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The variable that should hold a token is not set.
    #[error("the environment variable {variable} should hold a bearer token and is not set")]
    NoToken {
        /// The variable.
        variable: String,
    },
    /// A token cannot be used.
    #[error("the bearer token in {variable}: {source}")]
    Token {
        /// The variable.
        variable: String,
        /// What is wrong with it.
        source: server::TokenError,
    },
    /// A journal.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A journal failed while it was in use.
    #[error(transparent)]
    Journal(Arc<StorageError>),
    /// No thread for a journal.
    #[error("the operating system gives no thread: {0}")]
    Thread(std::io::Error),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// The leases.
    #[error(transparent)]
    Coordination(#[from] coordination::Error),
    /// The policies.
    #[error("policies: {0}")]
    Policies(#[from] steadfast_resilience::Invalid),
    /// The threads for reads.
    #[error("policies.reads: {0}")]
    Reads(#[from] steadfast_resilience::bulkhead::pool::StartError),
    /// The business.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// A provider.
    #[error("providers.{name}: {source}")]
    Provider {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        source: steadfast_providers::http::OptionsError,
    },
    /// A task that has to run does not any more.
    #[error("the {name} cannot go on: {source}")]
    Task {
        /// Which.
        name: &'static str,
        /// Why.
        source: TaskError,
    },
    /// The same, as everybody hears of it who asks.
    #[error("{0}")]
    Ended(Arc<Error>),
}
