//! The embedded engine: durable, for the processes of one machine, with nothing to install.
//!
//! One process needs no consensus. It needs a log that is durable before anybody is answered, one
//! order in which everything happens, and a time that does not jump; the rest is the
//! [`machine`](super::machine). So this engine is a shell around that machine: commands are applied
//! in the order in which they come, written to a log together with those that came at the same
//! time, made durable with one `fdatasync`, and then answered. After kill -9 the log leads to the
//! same machine again.
//!
//! - [`Embedded`] is the engine in the process that has its folder.
//! - [`Server`] serves it on a Unix domain socket, and [`Remote`] is the client there. A server that
//!   is killed and started again is found again; sessions go on.
//!
//! # Time
//!
//! No wall clock takes part. Every batch bears the machine's own time, which goes on from the log
//! when the server starts and then follows the host's monotonic clock; time in which the server itself stood still does not
//! count, so that a stopped process or a hanging disk ends no session. The first
//! command after a start gives every session its whole length again.
//!
//! # Threads
//!
//! The engine has two of its own: one that commits, one that makes files. Server and client run as
//! tasks on the tokio runtime on which they are started.
//!
//! # Limits
//!
//! One machine: when it is gone, so is the engine, and an engine of several machines is what is
//! needed if that must not stop work. All bounds are in [`limits`](crate::limits). A client that has
//! access to the socket is trusted to be of the same user; it may do whatever the port can.

mod address;
mod ask;
mod calls;
mod commit;
mod core;
mod inbox;
mod link;
mod local;
mod log;
mod pace;
mod peer;
mod records;
mod remote;
mod server;
#[cfg(test)]
mod tests;
mod waits;
mod wire;

pub use self::address::AddressError;
pub use self::local::{Embedded, Stats};
pub use self::log::{Error as OpenError, FORMAT};
pub use self::remote::Remote;
pub use self::server::{BindError, Server};
use crate::limits::EMBEDDED_SEGMENT_BYTES;

/// What errors and capabilities call it.
const ENGINE: &str = "embedded";

/// How the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment, in bytes. When one is full a snapshot is written. Longer ones mean
    /// fewer snapshots and a longer start after a crash.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: EMBEDDED_SEGMENT_BYTES }
    }
}
