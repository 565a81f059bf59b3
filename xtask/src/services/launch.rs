//! Starting servers as processes of this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::kind::Kind;
use super::process::{self, Process};
use super::state::{Server, State};
use super::{etcd, ports, postgres, probe, redis, wait, zookeeper};

/// How long a server may take to answer for the first time: a Java machine on a busy computer.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How often a kind is started anew, with other ports, when one of its processes ends at once:
/// somebody else may have taken a port between its choice and its use.
const ATTEMPTS: u32 = 3;

/// How much of a log is shown, in lines.
const TAIL_LINES: usize = 15;

/// A node that is to be started.
pub struct Node {
    /// Which of its kind, from 1.
    pub node: u8,
    /// Where its clients will ask.
    pub port: u16,
    /// Where its peers will ask, where it has any.
    pub peer_port: u16,
    /// A folder for its data.
    pub folder: PathBuf,
}

/// What is installed for one kind, or `None`.
#[must_use]
pub fn installed(kind: Kind) -> Option<Programs> {
    match kind {
        Kind::Postgres => postgres::find().map(Programs::Postgres),
        Kind::Etcd | Kind::EtcdCluster => etcd::find().map(Programs::Etcd),
        Kind::Zookeeper => zookeeper::find().map(Programs::Zookeeper),
        Kind::Redis => redis::find().map(Programs::Redis),
    }
}

/// The programs of a kind.
pub enum Programs {
    /// See [`postgres`].
    Postgres(postgres::Programs),
    /// The server.
    Etcd(PathBuf),
    /// See [`zookeeper`].
    Zookeeper(zookeeper::Programs),
    /// The server.
    Redis(PathBuf),
}

impl Programs {
    /// Where a node's folder goes: below `scratch` if its user can get there.
    fn folder(&self, scratch: &Path, name: &str) -> PathBuf {
        match self {
            Self::Postgres(programs) => programs.folder(scratch, name),
            _ => scratch.join(name),
        }
    }

    /// Prepares a node's folder, and says how it is started.
    fn command(&self, nodes: &[Node], node: &Node) -> io::Result<Command> {
        match self {
            Self::Postgres(programs) => programs.command(node),
            Self::Etcd(server) => Ok(etcd::command(server, nodes, node)),
            Self::Zookeeper(programs) => programs.command(node),
            Self::Redis(server) => redis::command(server, node),
        }
    }
}

/// Starts all nodes of a kind, and waits until each answers. They are in `state`, and in its
/// file, from the moment at which they are started.
///
/// # Errors
/// One did not start or does not answer; then all of this kind are stopped again.
pub fn start(kind: Kind, programs: &Programs, state: &mut State, file: &Path) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        let result = start_once(kind, programs, state, file);
        let Err(problem) = result else {
            return Ok(());
        };
        stop(kind, state, file)?;
        if problem.kind() != io::ErrorKind::ConnectionAborted || attempt == ATTEMPTS {
            return Err(problem);
        }
        attempt += 1;
    }
}

fn start_once(kind: Kind, programs: &Programs, state: &mut State, file: &Path) -> io::Result<()> {
    let scratch = file.parent().unwrap_or(file);
    let ports = ports::free(usize::from(kind.nodes()) * 2)?;
    let nodes: Vec<Node> = (1..=kind.nodes())
        .zip(ports.chunks_exact(2))
        .map(|(node, ports)| Node {
            node,
            port: ports[0],
            peer_port: ports[1],
            folder: programs.folder(scratch, &kind.node_name(node)),
        })
        .collect();
    for node in &nodes {
        remove_folder(&node.folder)?;
        fs::create_dir_all(&node.folder)?;
        let Node { node: number, port, folder, .. } = node;
        let mut server =
            Server { kind, node: *number, port: *port, folder: folder.clone(), process: None };
        // Known before it is made, so that its folder is removed whatever happens.
        state.servers.push(server.clone());
        state.save(file)?;
        let mut command = programs.command(&nodes, node)?;
        let log = fs::File::create(server.log())?;
        command.stdout(log.try_clone()?).stderr(log).current_dir(folder);
        server.process = Some(Process::start(&mut command)?);
        state.servers.pop();
        state.servers.push(server);
        state.save(file)?;
    }
    state.of(kind).try_for_each(ready)
}

/// Waits until a server answers.
fn ready(server: &Server) -> io::Result<()> {
    let mut last = None;
    let answer = wait::until(READY_LIMIT, || {
        if server.process.as_ref().is_some_and(|process| !process.is_alive()) {
            return Some(Err(io::ErrorKind::ConnectionAborted));
        }
        last = probe::ask(server.kind, server.port).err();
        last.is_none().then_some(Ok(()))
    });
    let (name, tail) = (server.name(), tail(&server.log()));
    match answer {
        Some(Ok(())) => Ok(()),
        Some(Err(kind)) => Err(io::Error::new(
            kind,
            format!("{name} ended while it was started; its log:\n{tail}"),
        )),
        None => {
            let last = last.map(|error| error.to_string()).unwrap_or_default();
            let what =
                format!("{name} does not answer after {READY_LIMIT:?} ({last}); its log:\n{tail}");
            Err(io::Error::other(what))
        }
    }
}

/// Stops all nodes of a kind, removes what they have left, and forgets them.
///
/// # Errors
/// One cannot be stopped, or its folder not removed; it is remembered then.
pub fn stop(kind: Kind, state: &mut State, file: &Path) -> io::Result<()> {
    let signal = match kind {
        // Its way to end at once, in order; SIGTERM would wait for its clients to leave.
        Kind::Postgres => rustix::process::Signal::INT,
        _ => rustix::process::Signal::TERM,
    };
    let processes: Vec<_> =
        state.of(kind).filter_map(|server| Some((server.process.clone()?, signal))).collect();
    process::stop(&processes)?;
    for server in state.of(kind) {
        remove_folder(&server.folder)?;
    }
    state.remove(kind);
    state.save(file)
}

/// Removes a folder with all that is in it, if it is there.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| {
            io::Error::new(error.kind(), format!("{} stays: {error}", folder.display()))
        }),
    }
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let content = fs::read(log).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = content.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let shown: Vec<String> = lines[from..].iter().map(|line| format!("    {line}")).collect();
    if shown.is_empty() { "    (empty)".to_owned() } else { shown.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_log_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (broken, file) = (folder.path().join("server"), folder.path().join("s/state.json"));
        fs::write(&broken, "#!/bin/sh\necho 'out of cheese' >&2\nexit 1\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&broken, executable).unwrap();
        let mut state = State::default();
        let problem =
            start(Kind::Etcd, &Programs::Etcd(broken), &mut state, &file).unwrap_err().to_string();
        assert!(problem.contains("out of cheese"), "{problem}");
        assert_eq!(state, State::default());
        assert_eq!(State::load(&file).unwrap(), state);
        assert!(!folder.path().join("s/etcd").exists());
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(tail(&log), "    (empty)");
        let lines: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log).lines().count(), TAIL_LINES);
        assert!(tail(&log).ends_with("    line 39"));
    }
}
