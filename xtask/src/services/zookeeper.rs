//! ZooKeeper: one server, on its own.
//!
//! A tick of 100 ms, because a session ends at a multiple of it: with the usual two seconds, a
//! session of two seconds could last for four. Any number of connections, since every session is
//! one and all tests come from one address.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::launch::Node;
use super::packages;

/// Where Debian puts it. The manifest names all that it needs.
const DEBIAN: &str = "/usr/share/java/zookeeper.jar";

/// What makes it log, where Debian has it; without, it is silent.
const DEBIAN_LOG: &str = "/usr/share/java/slf4j-simple.jar";

/// Where Homebrew puts it.
const HOMEBREW: &[&str] =
    &["/opt/homebrew/opt/zookeeper/libexec", "/usr/local/opt/zookeeper/libexec"];

/// The server and what runs it.
pub struct Programs {
    java: PathBuf,
    classes: String,
}

/// The server, if it is installed: Debian's package, or an archive of the project itself that
/// `ZOOKEEPER_HOME` points to.
#[must_use]
pub fn find() -> Option<Programs> {
    let homes = env::var_os("ZOOKEEPER_HOME").map(PathBuf::from).into_iter();
    let mut homes = homes.chain(HOMEBREW.iter().map(PathBuf::from));
    let archive = homes.find(|home| home.join("lib").is_dir());
    let classes = match archive {
        Some(home) => format!("{0}/lib/*:{0}/*", home.display()),
        None if Path::new(DEBIAN).is_file() => format!("{DEBIAN}:{DEBIAN_LOG}"),
        None => return None,
    };
    let homes = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let java = packages::find("java", &homes.into_iter().collect::<Vec<_>>())?;
    Some(Programs { java, classes })
}

impl Programs {
    /// Writes a node's settings, and says how it is started.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn command(&self, node: &Node) -> io::Result<Command> {
        let file = node.folder.join("zoo.cfg");
        let (port, folder) = (node.port, node.folder.display());
        let settings = format!(
            "tickTime=100\n\
             minSessionTimeout=200\n\
             maxSessionTimeout=3600000\n\
             dataDir={folder}/data\n\
             clientPort={port}\n\
             clientPortAddress=127.0.0.1\n\
             maxClientCnxns=0\n\
             admin.enableServer=false\n\
             4lw.commands.whitelist=*\n"
        );
        fs::write(&file, settings)?;
        let mut command = Command::new(&self.java);
        command
            // A test's data are small, and the machine is shared.
            .args(["-Xmx256m", "-XX:+UseSerialGC"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .args(["-cp", &self.classes])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(file);
        Ok(command)
    }
}
