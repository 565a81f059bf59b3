//! Where the highest token survives a restart.
//!
//! Tokens are reserved in blocks: before the first one of a block is granted, the end of the
//! block is durable, and a restart goes on after it. So a grant waits for the disk once in
//! [`TOKENS_RESERVED`](crate::limits::TOKENS_RESERVED) times, and no token is granted twice.

mod file;
mod memory;

use std::path::PathBuf;

pub use file::FileTokens;
pub use memory::{Fault, MemoryTokens};

/// Keeps one number that only rises.
///
/// Calls block for as long as the disk takes; they are rare.
pub trait TokenStore: Send + 'static {
    /// The highest token that may have been granted; zero when none was.
    ///
    /// # Errors
    /// The number cannot be read, or what is there is not one. It must never be guessed.
    fn load(&mut self) -> Result<u64, StoreError>;

    /// Makes it durable that tokens up to `reserved` may have been granted.
    ///
    /// # Errors
    /// The number is not known to be durable; no token of the block may be granted.
    fn save(&mut self, reserved: u64) -> Result<(), StoreError>;
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is there but does not hold what it should.
    #[error(
        "{path} is damaged: {what}. Tokens must never start again from 1; restore the file, or \
         write one that is higher than every token granted so far"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The operating system reported an error.
    #[error("{path}: {context}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        context: &'static str,
        /// What was reported.
        #[source]
        source: std::io::Error,
    },
    /// The simulated machine has stopped.
    #[error("simulated crash")]
    Crashed,
}
