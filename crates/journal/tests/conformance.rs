//! Every engine passes the suite, and the suite notices when one does not.

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
        Self {
            disk: memory::Disk::new(),
            protections,
        }
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
        (
            "claims",
            Protections {
                claims: false,
                ..all
            },
        ),
        (
            "inbox",
            Protections {
                inbox: false,
                ..all
            },
        ),
        (
            "fences",
            Protections {
                fence: false,
                ..all
            },
        ),
        (
            "guards",
            Protections {
                guards: false,
                ..all
            },
        ),
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
            assert!(
                shared || !has(&format!("{other}::")),
                "without {group}: {failed:?}"
            );
        }
    }
}
