//! What was started, on disk: `target/services/state.json`.
//!
//! Written whole or not at all, after each server that was started, so that a run that is killed
//! leaves nothing behind that the next one does not know of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::process::Process;

/// The layout of the file. A file of another one is refused, not guessed at.
const VERSION: u32 = 1;

/// All that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The layout of the file.
    pub version: u32,
    /// Whether it stays up when no test needs it any more.
    pub keep: bool,
    /// The Docker Compose project in which the servers run; `None`: they are processes.
    pub project: Option<String>,
    /// The servers, node by node.
    pub servers: Vec<Server>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Which of its kind, from 1.
    pub node: u8,
    /// Where its clients ask, on 127.0.0.1.
    pub port: u16,
    /// Its data and its log.
    pub folder: PathBuf,
    /// Its process; `None` in a container.
    pub process: Option<Process>,
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.kind.node_name(self.node)
    }

    /// Where its clients ask.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it says what goes wrong.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, keep: false, project: None, servers: Vec::new() }
    }
}

impl State {
    /// Reads the file; nothing runs when there is none.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn load(file: &Path) -> io::Result<Self> {
        let content = match fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let unknown = |why: String| {
            io::Error::other(format!(
                "{} is not understood ({why}); stop the servers that it names, then remove it",
                file.display()
            ))
        };
        let state: Self =
            serde_json::from_slice(&content).map_err(|error| unknown(error.to_string()))?;
        if state.version != VERSION {
            return Err(unknown(format!("version {}, not {VERSION}", state.version)));
        }
        Ok(state)
    }

    /// Writes the file: whole, beside the old one, then in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = file.with_extension("json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, file)
    }

    /// The nodes of one kind, in order.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(move |server| server.kind == kind)
    }

    /// Takes the nodes of one kind out.
    pub fn remove(&mut self, kind: Kind) {
        self.servers.retain(|server| server.kind != kind);
    }

    /// The variables by which tests find what runs: those of kinds whose nodes are all there.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let whole = Kind::ALL.into_iter().filter_map(|kind| {
            let addresses: Vec<String> = self.of(kind).map(Server::address).collect();
            (addresses.len() == usize::from(kind.nodes())).then(|| kind.variables(&addresses))
        });
        whole.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(kind: Kind, node: u8) -> Server {
        let process = Some(Process { pid: 42, started: "a boot 7".to_owned() });
        Server { kind, node, port: 20_000 + u16::from(node), folder: "x".into(), process }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("services/state.json");
        assert_eq!(State::load(&file).unwrap(), State::default(), "no file, no servers");
        let servers = vec![server(Kind::Etcd, 1), server(Kind::EtcdCluster, 1)];
        let mut state = State { keep: true, servers, ..State::default() };
        state.save(&file).unwrap();
        state.save(&file).unwrap();
        assert_eq!(State::load(&file).unwrap(), state);
        state.remove(Kind::Etcd);
        assert_eq!(state.servers, [server(Kind::EtcdCluster, 1)]);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        for content in ["", "{", r#"{"version":2,"keep":false,"project":null,"servers":[]}"#] {
            fs::write(&file, content).unwrap();
            let problem = State::load(&file).unwrap_err().to_string();
            assert!(problem.contains("state.json"), "{problem}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }

    #[test]
    fn half_a_cluster_is_offered_to_no_test() {
        let mut state = State { servers: vec![server(Kind::Etcd, 1)], ..State::default() };
        state.servers.extend([1, 2].map(|node| server(Kind::EtcdCluster, node)));
        let names =
            |state: &State| state.variables().iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&state), ["STEADFAST_ETCD"]);
        state.servers.push(server(Kind::EtcdCluster, 3));
        assert_eq!(names(&state), ["STEADFAST_ETCD", "STEADFAST_ETCD_CLUSTER"]);
    }
}
