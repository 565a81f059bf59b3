//! etcd: one node, or three that agree.
//!
//! Heartbeat and election timeout stay at etcd's defaults (100 ms, 1 s): figures of fail-over are
//! only worth something with the settings that people use. Every write is synced before it is
//! answered, which is also the default.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::launch::Node;
use super::packages;

/// The server, if it is installed.
#[must_use]
pub fn find() -> Option<PathBuf> {
    packages::find("etcd", &[])
}

/// How one of `nodes` is started.
#[must_use]
pub fn command(server: &Path, nodes: &[Node], node: &Node) -> Command {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let name = |node: &Node| format!("node-{}", node.node);
    let cluster: Vec<String> =
        nodes.iter().map(|node| format!("{}={}", name(node), url(node.peer_port))).collect();
    let mut command = Command::new(server);
    // Its options can also come from the environment, where they must not come from now.
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("ETCD_") {
            command.env_remove(variable);
        }
    }
    command
        .args(["--name", &name(node)])
        .arg("--data-dir")
        .arg(node.folder.join("data"))
        .args(["--listen-client-urls", &url(node.port)])
        .args(["--advertise-client-urls", &url(node.port)])
        .args(["--listen-peer-urls", &url(node.peer_port)])
        .args(["--initial-advertise-peer-urls", &url(node.peer_port)])
        .args(["--initial-cluster", &cluster.join(",")])
        .args(["--initial-cluster-state", "new"])
        // Nodes of another run that find these ports later are strangers.
        .args(["--initial-cluster-token", &format!("steadfast-{}", nodes[0].peer_port)]);
    command
}
