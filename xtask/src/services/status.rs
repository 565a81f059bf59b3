//! How the servers are.

use std::path::Path;

use serde::Serialize;

use super::kind::Kind;
use super::state::{Server, State};
use super::{compose, probe};

/// How one node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where its clients ask.
    pub address: String,
    /// Its process; `null` in a container.
    pub pid: Option<u32>,
    /// Whether its process or its container is there.
    pub alive: bool,
    /// Whether it answers.
    pub answers: bool,
    /// Why not.
    pub problem: Option<String>,
}

impl Line {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.alive && self.answers
    }
}

/// How all nodes are, asked now.
#[must_use]
pub fn of(root: &Path, state: &State) -> Vec<Line> {
    let containers = state.project.as_deref();
    let running = containers.map(|project| compose::running(root, project, state));
    state
        .servers
        .iter()
        .map(|server| {
            let alive = match (&server.process, &running) {
                (Some(process), _) => process.is_alive(),
                (None, Some(Ok(names))) => names.contains(&server.name()),
                (None, _) => false,
            };
            line(server, alive)
        })
        .collect()
}

fn line(server: &Server, alive: bool) -> Line {
    // Somebody else may answer on the port of a server that has gone.
    let problem = if alive {
        probe::ask(server.kind, server.port).err().map(|error| error.to_string())
    } else {
        Some("has ended".to_owned())
    };
    Line {
        name: server.name(),
        kind: server.kind,
        address: server.address(),
        pid: server.process.as_ref().map(|process| process.pid),
        alive,
        answers: problem.is_none(),
        problem,
    }
}

/// Whether every node of a kind is there and answers.
#[must_use]
pub fn is_up(root: &Path, state: &State, kind: Kind) -> bool {
    let servers = state.of(kind).cloned().collect::<Vec<_>>();
    let whole = servers.len() == usize::from(kind.nodes());
    let part = State { servers, ..state.clone() };
    whole && of(root, &part).iter().all(Line::is_fine)
}

/// The nodes as a table for people.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let head = ["server", "address", "process", "alive", "answers"].map(str::to_owned);
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut rows = vec![head];
    rows.extend(lines.iter().map(|line| {
        let pid = line.pid.map_or_else(|| "container".to_owned(), |pid| pid.to_string());
        let answers = match &line.problem {
            Some(problem) => format!("no: {problem}"),
            None => "yes".to_owned(),
        };
        [line.name.clone(), line.address.clone(), pid, word(line.alive), answers]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            table.push_str(&format!("{cell:width$}  "));
        }
        table.push_str(&row[4]);
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_ended_is_shown_as_such() {
        let state = State {
            servers: vec![Server {
                kind: Kind::Etcd,
                node: 1,
                port: 1,
                folder: "x".into(),
                process: Some(super::super::process::Process {
                    pid: std::process::id(),
                    started: "before".to_owned(),
                }),
            }],
            ..State::default()
        };
        let lines = of(Path::new("."), &state);
        assert!(!lines[0].is_fine());
        assert!(!is_up(Path::new("."), &state, Kind::Etcd));
        assert!(!is_up(Path::new("."), &state, Kind::Redis), "what was never started is not up");
        let table = table(&lines);
        assert!(table.starts_with("server  address      process"), "{table}");
        assert!(table.ends_with("no     no: has ended\n"), "{table}");
    }
}
