//! The servers that tests of engines ask: `cargo xtask services up|down|status`.
//!
//! A test against a made-up server shows that we agree with ourselves. So PostgreSQL, etcd (one
//! node, and three that agree), ZooKeeper and five Redis nodes are started here: on free ports of
//! 127.0.0.1, with data in the target folder; in containers where a Docker engine runs, else from
//! the system's packages. They go on when this program ends, until `down`; `cargo xtask test`
//! starts what it misses and takes that down again.
//!
//! | module | holds |
//! |---|---|
//! | [`kind`] | which servers there are, and by which variables tests find them |
//! | [`state`] | what was started, on disk |
//! | [`launch`], [`postgres`], [`etcd`], [`zookeeper`], [`redis`] | servers as processes |
//! | [`compose`] | servers as containers |
//! | [`packages`] | what to install, and installing it in automatic builds |
//! | [`process`] | starting, recognising and stopping processes |
//! | [`probe`] | whether a server answers |
//! | [`in_use`] | who uses the servers, so that nobody loses them under a test |

mod compose;
mod etcd;
mod in_use;
pub mod kind;
mod launch;
mod options;
mod packages;
mod ports;
mod postgres;
mod probe;
mod process;
mod redis;
mod session;
mod state;
mod status;
mod wait;
mod zookeeper;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use in_use::Lock;
use kind::Kind;
pub use options::Options;
use options::Order;
use packages::System;
pub use packages::in_ci;
pub use session::Session;
use state::State;

/// Does what was asked for; says whether it went well.
///
/// # Errors
/// The state cannot be read or written, or a server not be stopped.
pub fn run(root: &Path, options: &Options) -> io::Result<bool> {
    let places = Places::of(root);
    match options.order {
        Order::Up => {
            let up = up(root, &places, &options.kinds, true)?;
            // Whoever reads this may stop reading; the servers run all the same.
            let mut out = io::stdout().lock();
            write!(out, "{}", status::table(&status::of(root, &up.state)))?;
            for (name, value) in up.state.variables() {
                writeln!(out, "export {name}='{value}'")?;
            }
            for missing in &up.missing {
                eprintln!("error: {missing}");
            }
            Ok(up.missing.is_empty())
        }
        Order::Down => {
            down(root, &places, &options.kinds, |_| true)?;
            Ok(true)
        }
        Order::Status => {
            let state = State::load(&places.state)?;
            let lines = status::of(root, &state);
            let lines: Vec<_> =
                lines.into_iter().filter(|line| options.kinds.contains(&line.kind)).collect();
            if options.json {
                println!("{}", serde_json::to_string_pretty(&lines)?);
            } else if lines.is_empty() {
                println!("no servers; `cargo xtask services up` starts them");
            } else {
                print!("{}", status::table(&lines));
            }
            Ok(lines.iter().all(status::Line::is_fine))
        }
        Order::Guard => {
            in_use::wait_for_end()?;
            // Held until they are down, so that no test begins to use them meanwhile.
            if let Some(_alone) = Lock::try_exclusive(&places.in_use)? {
                down(root, &places, &Kind::ALL, |state| !state.keep)?;
            }
            Ok(true)
        }
    }
}

/// Where things are kept.
struct Places {
    /// All that was started, and the folders of the servers beside it.
    state: PathBuf,
    /// Held while servers are started or stopped.
    lock: PathBuf,
    /// Held while tests use them.
    in_use: PathBuf,
}

impl Places {
    fn of(root: &Path) -> Self {
        let target = env::var_os("CARGO_TARGET_DIR");
        let target = root.join(target.unwrap_or_else(|| "target".into()));
        Self {
            state: target.join("services").join("state.json"),
            lock: target.join("services.lock"),
            in_use: target.join("services.use"),
        }
    }
}

/// A kind of server that cannot be had.
pub struct Missing {
    /// Which.
    pub kind: Kind,
    /// Why, and what to do about it.
    pub why: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.why)
    }
}

/// What came of starting.
struct Up {
    state: State,
    missing: Vec<Missing>,
}

/// Starts what does not run yet. Those that run and answer stay as they are.
fn up(root: &Path, places: &Places, kinds: &[Kind], keep: bool) -> io::Result<Up> {
    let _lock = Lock::exclusive(&places.lock)?;
    let mut state = State::load(&places.state)?;
    let mut wanted = Vec::new();
    for kind in kinds {
        if !status::is_up(root, &state, *kind) {
            stop(root, *kind, &mut state, &places.state)?;
            wanted.push(*kind);
        }
    }
    let mut missing = Vec::new();
    if state.project.is_some() || state.servers.is_empty() && compose::is_available() {
        if let Err(problem) = start_containers(root, &wanted, &mut state, &places.state) {
            let why = problem.to_string();
            missing.extend(wanted.iter().map(|kind| Missing { kind: *kind, why: why.clone() }));
        }
    } else {
        missing = start_processes(&wanted, &mut state, &places.state)?;
    }
    state.keep |= keep;
    state.save(&places.state)?;
    Ok(Up { state, missing })
}

fn start_containers(root: &Path, kinds: &[Kind], state: &mut State, file: &Path) -> io::Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    eprintln!("starting containers");
    let result = compose::start(root, kinds, state, file);
    if result.is_err() {
        for kind in kinds {
            compose::stop(root, *kind, state, file)?;
        }
    }
    result
}

fn start_processes(kinds: &[Kind], state: &mut State, file: &Path) -> io::Result<Vec<Missing>> {
    let absent = |kinds: &[Kind]| -> Vec<Kind> {
        kinds.iter().copied().filter(|kind| launch::installed(*kind).is_none()).collect()
    };
    let needed = absent(kinds);
    // Where it cannot be installed, that is said below, server by server.
    let install = if needed.is_empty() { Ok(false) } else { packages::install(&needed) };
    let install = install.err().map(|error| format!("; {error}")).unwrap_or_default();
    let mut missing = Vec::new();
    for kind in kinds {
        let why = match launch::installed(*kind) {
            None => {
                let advice = System::here().advice(&[*kind]);
                format!("not installed, and no Docker engine with Compose; {advice}{install}")
            }
            Some(programs) => {
                eprintln!("starting {}", kind.name());
                match launch::start(*kind, &programs, state, file) {
                    Ok(()) => continue,
                    Err(problem) => problem.to_string(),
                }
            }
        };
        missing.push(Missing { kind: *kind, why });
    }
    let needed = absent(kinds);
    if needed.len() > 1 {
        eprintln!("all that is missing: {}", System::here().advice(&needed));
    }
    Ok(missing)
}

/// Stops servers, if the state is one that is to be stopped.
fn down(
    root: &Path,
    places: &Places,
    kinds: &[Kind],
    when: impl Fn(&State) -> bool,
) -> io::Result<()> {
    let _lock = Lock::exclusive(&places.lock)?;
    let mut state = State::load(&places.state)?;
    if !when(&state) {
        return Ok(());
    }
    for kind in kinds {
        if state.of(*kind).next().is_some() {
            eprintln!("stopping {}", kind.name());
            stop(root, *kind, &mut state, &places.state)?;
        }
    }
    if state.servers.is_empty() {
        let folder = places.state.parent().unwrap_or(&places.state);
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Stops all of one kind, if any of it was started.
fn stop(root: &Path, kind: Kind, state: &mut State, file: &Path) -> io::Result<()> {
    if state.of(kind).next().is_none() {
        return Ok(());
    }
    match state.project {
        Some(_) => compose::stop(root, kind, state, file),
        None => launch::stop(kind, state, file),
    }
}
