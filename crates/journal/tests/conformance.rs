//! Every engine passes the suite, and the suite notices when one does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use steadfast_journal::conformance::{self, Subject};
use steadfast_journal::memory;
use steadfast_journal::memory::Protections;
use steadfast_time::Timestamp;

struct InMemory {
    disk: memory::Disk,
    protections: Protections,
}

impl InMemory {
    fn with(protections: Protections) -> Self {
        Self { disk: memory::Disk::new(), protections }
    }
}

impl Subject for InMemory {
    type Engine = memory::Engine;

    const HISTORIES: u32 = 256;

    fn open(&mut self) -> memory::Engine {
        memory::Engine::recover(self.disk.clone()).with_protections(self.protections)
    }

    fn crash(&mut self, engine: memory::Engine) {
        self.disk.crash(Timestamp::default());
        drop(engine);
    }
}

/// A killed process leaves the files as they are at that moment, so a crash goes on with a copy
/// of them that was taken while the engine had them open.
#[cfg(feature = "sqlite")]
struct InSqlite {
    scratch: tempfile::TempDir,
    lives: u32,
}

#[cfg(feature = "sqlite")]
impl InSqlite {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap(), lives: 1 }
    }

    fn directory(&self) -> std::path::PathBuf {
        self.scratch.path().join(self.lives.to_string())
    }
}

#[cfg(feature = "sqlite")]
impl Subject for InSqlite {
    type Engine = steadfast_journal::sqlite::Engine;

    const HISTORIES: u32 = 32;

    fn open(&mut self) -> Self::Engine {
        let options = steadfast_journal::sqlite::Options::default();
        steadfast_journal::sqlite::Engine::open(&self.directory(), options).unwrap()
    }

    fn crash(&mut self, engine: Self::Engine) {
        let from = self.directory();
        self.lives += 1;
        let to = self.directory();
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        drop(engine);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite() {
    conformance::run(InSqlite::new);
}

#[test]
fn memory() {
    conformance::run(|| InMemory::with(Protections::default()));
}

/// A check that has never been seen failing is not a check: without a protection, the checks of
/// that protection fail, and so does the model.
#[test]
fn the_suite_notices_a_missing_protection() {
    let all = Protections::default();
    let twins = [
        ("claims", Protections { claims: false, ..all }),
        ("inbox", Protections { inbox: false, ..all }),
        ("fences", Protections { fence: false, ..all }),
        ("guards", Protections { guards: false, ..all }),
    ];
    for (group, protections) in twins {
        let failures = conformance::failures(|| InMemory::with(protections));
        let failed: Vec<&str> = failures.iter().map(|failure| failure.check).collect();
        let has = |group: &str| failed.iter().any(|check| check.starts_with(group));
        assert!(has(group), "without {group}: {failed:?}");
        assert!(has("random::"), "without {group}: {failed:?}");
        for (other, _) in twins.iter().filter(|(other, _)| *other != group) {
            // Some checks of claims use a guard to be refused.
            let shared = (group, *other) == ("guards", "claims");
            assert!(shared || !has(&format!("{other}::")), "without {group}: {failed:?}");
        }
    }
}
