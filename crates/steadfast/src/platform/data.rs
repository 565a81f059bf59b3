//! Is this data directory ours, and is it whole?
//!
//! Each journal looks after its own directory. What none of them can see is the whole: a
//! directory of somebody else that holds no journal yet, and one from which a part has gone. A
//! missing ledger that is made anew forgets what it holds for whom, and a coordination log that is
//! made anew gives tokens from 1, which every zone would refuse. So neither is made anew.
//!
//! The parts are made in a fixed order, and the first event comes after all of them. A start
//! that was cut short is therefore told apart from a part that was there and is not any more.

use std::fs;
use std::path::{Path, PathBuf};

use steadfast_journal::{Position, StorageError, Store};

/// The file that makes a directory a journal.
const DATABASE: &str = "journal.db";

/// The folder of the embedded coordination engine.
pub(super) const COORDINATION: &str = "coordination";

/// Where that engine is served to other processes of the machine.
pub(super) const COORDINATION_SOCKET: &str = "coordination.sock";

/// The folder of the embedded coordination engine in a data directory, and its socket.
#[must_use]
pub fn coordination_paths(data: &Path) -> [PathBuf; 2] {
    [COORDINATION, COORDINATION_SOCKET].map(|name| data.join(name))
}

/// What else may lie where a data directory is yet to be made.
const HARMLESS: [&str; 4] =
    ["lost+found", COORDINATION, COORDINATION_SOCKET, "coordination.sock.lock"];

/// Looks at a directory before anything is made in it. `journals` are its parts, in the order in
/// which they are made.
pub(super) fn check(data: &Path, journals: &[&str]) -> Result<(), StorageError> {
    if !data.exists() {
        return Ok(());
    }
    match journals.iter().rposition(|name| database(data, name).exists()) {
        None => refuse_strangers(data, journals),
        Some(last) => all_are_there(data, &journals[..last]),
    }
}

/// Looks for the rest, once the journal that is made first is open. A server that coordinates keeps
/// its data itself.
pub(super) fn check_rest(
    data: &Path,
    journals: &[&str],
    first: &dyn Store,
    has_coordination: bool,
) -> Result<(), StorageError> {
    if first.head()?.position == Position::START {
        return Ok(());
    }
    all_are_there(data, journals)?;
    if has_coordination && !data.join(COORDINATION).exists() {
        return Err(missing(data, COORDINATION));
    }
    Ok(())
}

fn database(data: &Path, journal: &str) -> PathBuf {
    data.join(journal).join(DATABASE)
}

fn all_are_there(data: &Path, journals: &[&str]) -> Result<(), StorageError> {
    match journals.iter().find(|name| !database(data, name).exists()) {
        Some(gone) => Err(missing(data, Path::new(gone).join(DATABASE))),
        None => Ok(()),
    }
}

fn missing(data: &Path, part: impl AsRef<Path>) -> StorageError {
    let what = format!("{} is missing", part.as_ref().display());
    StorageError::Damaged { path: data.to_owned(), what }
}

fn refuse_strangers(data: &Path, journals: &[&str]) -> Result<(), StorageError> {
    let foreign = |what| StorageError::Foreign { path: data.to_owned(), what };
    if !data.is_dir() {
        return Err(foreign("it is a file; name a directory".to_owned()));
    }
    let unreadable = |source: std::io::Error| StorageError::Other {
        context: "looking into the data directory",
        source: format!("{}: {source}", data.display()).into(),
    };
    let mut strangers = Vec::new();
    for entry in fs::read_dir(data).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if !journals.iter().chain(&HARMLESS).any(|ours| name == **ours) {
            strangers.push(name.to_string_lossy().into_owned());
        }
    }
    match strangers.iter().min() {
        Some(name) => Err(foreign(format!("it holds {name:?}; name an empty directory"))),
        None => Ok(()),
    }
}
