//! Starting servers as containers, where a Docker engine runs.
//!
//! `xtask/services/compose.yaml` says which; the ports are ours, given in variables such as
//! `ETCD_CLUSTER_2_PORT`. Data live in volumes of the project, not in tmpfs, where a sync would
//! cost nothing; they go with it.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use super::kind::Kind;
use super::state::{Server, State};
use super::{ports, probe, wait};

/// How long an engine that hangs may keep us before it counts as none.
const ENGINE_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to fetch images and to start containers.
const UP_LIMIT: Duration = Duration::from_secs(600);

/// How long a container may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// Whether a Docker engine runs here and has Compose. A client alone is not enough.
#[must_use]
pub fn is_available() -> bool {
    let works = |arguments: &[&str]| {
        let output = wait::output(Command::new("docker").args(arguments), ENGINE_LIMIT);
        output.is_ok_and(|output| output.status.success())
    };
    works(&["info"]) && works(&["compose", "version"])
}

/// A project's name: the same for the same checkout, another one for each other checkout.
#[must_use]
pub fn project(root: &Path) -> String {
    // FNV-1a, 64 bits.
    let hash =
        root.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3_u64)
        });
    format!("steadfast-{hash:016x}")
}

/// The variable that gives a node its port.
fn variable(server: &Server) -> String {
    format!("{}_PORT", server.name().replace('-', "_").to_uppercase())
}

/// A call of Compose about our project.
fn compose(root: &Path, project: &str, state: &State, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", project, "--file"]);
    command.arg(root.join("xtask/services/compose.yaml")).args(arguments);
    for server in &state.servers {
        command.env(variable(server), server.port.to_string());
    }
    command
}

fn run(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let output = wait::output(command, limit)?;
    if output.status.success() {
        return Ok(output);
    }
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("docker compose failed:\n{problem}")))
}

/// Starts kinds of servers, and waits until each node answers.
///
/// # Errors
/// Compose failed, or a node does not answer.
pub fn start(root: &Path, kinds: &[Kind], state: &mut State, file: &Path) -> io::Result<()> {
    let project = project(root);
    state.project = Some(project.clone());
    for kind in kinds {
        for (node, port) in (1..=kind.nodes()).zip(ports::free(usize::from(kind.nodes()))?) {
            let folder = file.with_file_name(kind.node_name(node));
            state.servers.push(Server { kind: *kind, node, port, folder, process: None });
        }
    }
    state.save(file)?;
    let names: Vec<String> = kinds.iter().flat_map(|kind| names(*kind)).collect();
    let mut up = vec!["up", "--detach", "--no-deps"];
    up.extend(names.iter().map(String::as_str));
    run(&mut compose(root, &project, state, &up), UP_LIMIT)?;
    for server in state.servers.iter().filter(|server| kinds.contains(&server.kind)) {
        let mut last = None;
        let answer = wait::until(READY_LIMIT, || {
            last = probe::ask(server.kind, server.port).err();
            last.is_none().then_some(())
        });
        if answer.is_none() {
            let name = server.name();
            let logs = ["logs", "--no-color", "--tail", "15", name.as_str()];
            let logs = wait::output(&mut compose(root, &project, state, &logs), ENGINE_LIMIT);
            let logs = logs.map(|output| output.stdout).unwrap_or_default();
            let last = last.map(|error| error.to_string()).unwrap_or_default();
            return Err(io::Error::other(format!(
                "{name} does not answer after {READY_LIMIT:?} ({last}); its log:\n{}",
                String::from_utf8_lossy(&logs)
            )));
        }
    }
    Ok(())
}

/// The services of one kind.
fn names(kind: Kind) -> impl Iterator<Item = String> {
    (1..=kind.nodes()).map(move |node| kind.node_name(node))
}

/// Removes one kind's containers, with their data.
///
/// # Errors
/// Compose failed.
pub fn stop(root: &Path, kind: Kind, state: &mut State, file: &Path) -> io::Result<()> {
    let Some(project) = state.project.clone() else {
        return Ok(());
    };
    let names: Vec<String> = names(kind).collect();
    let mut remove = vec!["rm", "--stop", "--force", "--volumes"];
    remove.extend(names.iter().map(String::as_str));
    run(&mut compose(root, &project, state, &remove), UP_LIMIT)?;
    state.remove(kind);
    if state.servers.is_empty() {
        // The network and what else is left of the project.
        run(&mut compose(root, &project, state, &["down", "--volumes"]), UP_LIMIT)?;
        state.project = None;
    }
    state.save(file)
}

/// The names of the nodes whose containers run.
///
/// # Errors
/// Compose failed.
pub fn running(root: &Path, project: &str, state: &State) -> io::Result<Vec<String>> {
    let list = ["ps", "--services", "--status", "running"];
    let output = run(&mut compose(root, project, state, &list), ENGINE_LIMIT)?;
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::trim).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(kind: Kind, node: u8) -> Server {
        Server { kind, node, port: 1, folder: "x".into(), process: None }
    }

    #[test]
    fn the_file_has_every_node_with_its_port_and_image() {
        let file = std::fs::read_to_string(crate::root().join("xtask/services/compose.yaml"));
        let file = file.unwrap();
        for kind in Kind::ALL {
            for node in 1..=kind.nodes() {
                let server = server(kind, node);
                assert!(file.contains(&format!("\n  {}:\n", server.name())), "{}", server.name());
                let port = format!("127.0.0.1:${{{}:-0}}:", variable(&server));
                assert!(file.contains(&port), "{port}");
            }
        }
        assert!(!file.contains(":latest"), "versions are fixed");
        assert!(!file.contains("0.0.0.0:${"), "nothing is offered to other machines");
    }

    #[test]
    fn a_call_names_the_project_and_gives_the_ports() {
        let servers = vec![server(Kind::EtcdCluster, 2)];
        let state = State { servers, ..State::default() };
        let command = compose(Path::new("a"), "p", &state, &["ps"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let file = Path::new("a").join("xtask/services/compose.yaml");
        assert_eq!(
            words,
            ["compose", "--project-name", "p", "--file", file.to_str().unwrap(), "ps"]
        );
        let ports: Vec<_> = command.get_envs().collect();
        assert_eq!(ports, [("ETCD_CLUSTER_2_PORT".as_ref(), Some("1".as_ref()))]);
    }

    #[test]
    fn checkouts_have_projects_of_their_own() {
        assert_eq!(project(Path::new("a")), project(Path::new("a")));
        assert_ne!(project(Path::new("a")), project(Path::new("b")));
    }
}
