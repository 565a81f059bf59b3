//! Redis: five nodes that know nothing of each other.
//!
//! The first is the one that the `redis` engine is tested with; all five together are what
//! `redlock` votes over. Each appends every write to its log and syncs it before it answers
//! (`appendfsync always`): Redis' default, a sync per second, may forget a token that it has
//! given out, and figures beside it would not compare like with like. `DEBUG` is open to local
//! clients, so that a test can make a node sleep.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::launch::Node;
use super::packages;

/// The server, if it is installed.
#[must_use]
pub fn find() -> Option<PathBuf> {
    packages::find("redis-server", &[])
}

/// Writes a node's settings, and says how it is started.
///
/// # Errors
/// They cannot be written.
pub fn command(server: &Path, node: &Node) -> io::Result<Command> {
    let file = node.folder.join("redis.conf");
    let port = node.port;
    let settings = format!(
        "bind 127.0.0.1\n\
         port {port}\n\
         daemonize no\n\
         save \"\"\n\
         appendonly yes\n\
         appendfsync always\n\
         enable-debug-command local\n"
    );
    fs::write(&file, settings)?;
    let mut command = Command::new(server);
    command.arg(file);
    Ok(command)
}
