//! The SQLite engine passes the suite.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use steadfast_journal::conformance::{self, Subject};
use steadfast_journal::sqlite;
use tempfile::TempDir;

struct InDirectory(TempDir);

impl Subject for InDirectory {
    type Engine = sqlite::Engine;

    fn open(&mut self) -> sqlite::Engine {
        sqlite::Engine::open(self.0.path(), sqlite::Options::default()).unwrap()
    }
}

#[test]
fn sqlite() {
    conformance::run(|| InDirectory(tempfile::tempdir().unwrap()));
}
