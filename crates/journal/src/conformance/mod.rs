//! The suite that every engine passes.
//!
//! An engine is right when nobody can tell it from the others. So what [`crate::Engine`] and
//! [`crate::Store`] promise is written down here once, as small named checks, and every engine's
//! tests call [`run`] with a way to get a fresh storage and to open it again. At the end comes a
//! model: random batches of writes against plain maps and vectors, comparing every outcome and
//! every read, with restarts in between.
//!
//! ```
//! use steadfast_journal::{conformance, memory};
//!
//! struct InMemory(memory::Disk);
//!
//! impl conformance::Subject for InMemory {
//!     type Engine = memory::Engine;
//!
//!     fn open(&mut self) -> memory::Engine {
//!         memory::Engine::recover(self.0.clone())
//!     }
//! }
//!
//! conformance::run(|| InMemory(memory::Disk::new()));
//! ```
//!
//! # Limits
//! Durability itself (what a power cut leaves) cannot be shown from inside one process; an engine
//! shows it with its own fault injection. The suite uses one engine at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

mod batches;
mod bench;
mod claims;
mod events;
mod fences;
mod guards;
mod inbox;
mod make;
mod model;
mod outbox;
mod pruning;
mod random;
mod reads;
mod records;
mod restarts;
mod timers;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::bench::Bench;
use crate::Engine;

/// One storage of the engine under test.
pub trait Subject {
    /// The engine.
    type Engine: Engine;

    /// How many random histories the model check tries.
    const HISTORIES: u32 = 64;

    /// Opens the storage, empty the first time. Afterwards the engine before has been closed,
    /// or [crashed](Subject::crash); everything that it answered must be there.
    fn open(&mut self) -> Self::Engine;

    /// Ends a process without warning. Dropping the engine without closing it is as much as one
    /// process can do; an engine with fault injection does better.
    fn crash(&mut self, engine: Self::Engine) {
        drop(engine);
    }
}

/// One named check.
struct Check<S: Subject> {
    name: &'static str,
    run: fn(&mut Bench<S>),
}

/// Lists the checks of a module by the names of their functions.
macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        pub(super) fn checks<S: super::Subject>() -> Vec<super::Check<S>> {
            vec![$(super::Check {
                name: concat!(module_path!(), "::", stringify!($check)),
                run: $check,
            }),*]
        }
    };
}
use checks;

/// A check that the engine has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name, for example `claims::another_request_under_the_same_key_is_refused`.
    pub check: &'static str,
    /// What was found.
    pub message: String,
}

/// Runs every check on a fresh storage of its own and tells which have failed.
pub fn failures<S: Subject>(fresh: impl Fn() -> S) -> Vec<Failure> {
    let checks = [
        claims::checks(),
        inbox::checks(),
        fences::checks(),
        guards::checks(),
        events::checks(),
        outbox::checks(),
        timers::checks(),
        records::checks(),
        batches::checks(),
        pruning::checks(),
        reads::checks(),
        restarts::checks(),
    ];
    let mut failures = Vec::new();
    let mut attempt = |check: &'static str, run: &dyn Fn()| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let message = text.unwrap_or_else(|| "panicked".to_owned());
            failures.push(Failure { check, message });
        }
    };
    for check in checks.into_iter().flatten() {
        let name = check.name.split_once("conformance::").map_or(check.name, |(_, name)| name);
        attempt(name, &|| (check.run)(&mut Bench::new(fresh())));
    }
    attempt("random::histories_match_the_model", &|| random::histories_match_the_model(&fresh));
    failures
}

/// Runs every check on a fresh storage of its own.
///
/// # Panics
/// When a check fails; the message names all that did.
pub fn run<S: Subject>(fresh: impl Fn() -> S) {
    let failures = failures(fresh);
    let lines: Vec<String> =
        failures.iter().map(|Failure { check, message }| format!("{check}: {message}")).collect();
    assert!(lines.is_empty(), "{} checks failed:\n{}", lines.len(), lines.join("\n"));
}
