//! The suite that every engine passes, against its real server.
//!
//! An engine is right when nobody can tell it from the others. What [`crate::port`] promises is
//! written down here as small named checks over any [`Coordinator`]: on tokio against a server, or
//! in a simulation. An engine's tests make one test of each:
//!
//! ```
//! use std::sync::Arc;
//! use steadfast_coordination::conformance::{Check, Subject};
//! use steadfast_coordination::engine::memory::Memory;
//! use steadfast_time::sim::Simulation;
//!
//! fn run(check: Check) {
//!     let mut sim = Simulation::new(1);
//!     let memory = Arc::new(Memory::new(sim.clock()));
//!     let subject = Subject::new(memory, sim.clock(), "prefix/");
//!     sim.block_on(async move { check.run(&subject).await }).unwrap();
//! }
//!
//! steadfast_coordination::conformance_tests!(run);
//! ```
//!
//! Real servers are shared and keep what other runs have left, so every name begins with a prefix
//! that the caller chooses at random, and every session is closed at the end of its check.
//!
//! # Limits
//! Each check uses one server that runs. What a crash, a partition, or the loss of a leader leaves
//! needs the server's cooperation; engines test that by themselves. A check that waits for a
//! session to end waits for [`Capabilities::session_min`](crate::port::Capabilities), and ends with
//! a problem after [`LIMIT`].

mod bench;
mod leaving;
mod lists;
mod names;
mod registers;
mod sessions;
mod tokens;
mod turns;
mod values;
mod waits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_time::Clock;

pub use bench::Problem;

use self::bench::Bench;
use crate::port::{Coordinator, Error};

/// How long one check may take: the slowest waits for three sessions of a few seconds.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What is checked.
#[derive(Clone)]
pub struct Subject {
    coordinator: Arc<dyn Coordinator>,
    other: Arc<dyn Coordinator>,
    clock: Clock,
    prefix: String,
}

impl Subject {
    /// An engine and the clock that its waits are measured with. All names begin with `prefix`,
    /// which has at most 60 bytes.
    #[must_use]
    pub fn new(coordinator: Arc<dyn Coordinator>, clock: Clock, prefix: impl Into<String>) -> Self {
        let other = Arc::clone(&coordinator);
        Self { coordinator, other, clock, prefix: prefix.into() }
    }

    /// With a second, independent client of the same server, so that the checks see what one does
    /// through the eyes of the other.
    #[must_use]
    pub fn with_other(self, other: Arc<dyn Coordinator>) -> Self {
        Self { other, ..self }
    }
}

type Run = for<'a> fn(&'a Bench) -> BoxFuture<'a, Result<(), Problem>>;

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, for example `turns::an_exclusive_entry_waits_for_all`.
    pub name: &'static str,
    run: Run,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

impl Check {
    /// The check of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        checks().iter().find(|check| check.name == name).copied()
    }

    /// Runs the check, and closes all sessions that it has opened.
    ///
    /// # Errors
    /// [`Problem`] says what the engine has done and where that is written.
    pub async fn run(&self, subject: &Subject) -> Result<(), Problem> {
        let bench = Bench::new(subject, self.name);
        let run = subject.clock.timeout(LIMIT, (self.run)(&bench));
        let result = run.await.unwrap_or_else(|elapsed| Err(Problem::new(elapsed.to_string())));
        bench.close_all().await;
        result
    }
}

/// A check that an engine has not passed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its name.
    pub check: &'static str,
    /// What was found.
    pub problem: Problem,
}

/// What the whole suite has found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The names of the checks that were passed.
    pub passed: Vec<&'static str>,
    /// Those that were not.
    pub failed: Vec<Failure>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} checks passed, {} failed", self.passed.len(), self.failed.len())?;
        for Failure { check, problem } in &self.failed {
            writeln!(f, "{check}: {problem}")?;
        }
        Ok(())
    }
}

/// Runs every check, one after the other.
pub async fn run_all(subject: &Subject) -> Report {
    let mut report = Report::default();
    for check in checks() {
        match check.run(subject).await {
            Ok(()) => report.passed.push(check.name),
            Err(problem) => report.failed.push(Failure { check: check.name, problem }),
        }
    }
    report
}

/// Lists the checks once, for [`checks`] and for [`conformance_tests`](crate::conformance_tests).
macro_rules! suite {
    ($dollar:tt $($module:ident { $($check:ident),* $(,)? })*) => {
        /// All checks.
        #[must_use]
        pub fn checks() -> &'static [Check] {
            const ALL: &[Check] = &[$($(Check {
                name: concat!(stringify!($module), "::", stringify!($check)),
                run: |bench| Box::pin($module::$check(bench)),
            }),*),*];
            ALL
        }

        /// Makes a `#[test]` of every check: calls a function with the
        /// [`Check`](crate::conformance::Check).
        #[macro_export]
        macro_rules! conformance_tests {
            ($dollar run:path) => {
                $($(
                    #[test]
                    fn $check() {
                        let name = concat!(stringify!($module), "::", stringify!($check));
                        $dollar run($dollar crate::conformance::Check::find(name).expect(name));
                    }
                )*)*
            };
        }
    };
}

suite! { $
    tokens {
        tokens_rise_over_all_queues,
        tokens_rise_after_an_entry_has_left,
        tokens_rise_after_a_session_has_ended,
        tokens_of_concurrent_entries_are_distinct,
    }
    turns {
        entries_wait_for_those_ahead_that_exclude_them,
        an_entry_moves_up_when_one_ahead_leaves,
        who_will_not_wait_gets_in_or_leaves_nothing,
        a_repeated_enter_is_the_same_entry,
        a_repeated_enter_keeps_the_value,
        an_id_belongs_to_a_session_and_a_queue,
        a_place_is_over_when_the_entry_is_gone,
        a_hundred_who_enter_at_once_have_one_order,
    }
    leaving {
        leaving_twice_is_fine,
        a_stale_token_ends_nobody,
        a_token_of_another_queue_ends_nobody,
        leaving_what_never_was_is_fine,
    }
    sessions {
        a_session_has_at_least_the_length_that_was_asked_for,
        lengths_that_cannot_be_are_refused,
        sessions_have_numbers_of_their_own,
        closing_ends_all_entries_of_the_session_and_no_other,
        closing_wakes_those_who_wait,
        a_closed_session_is_over,
        a_silent_session_ends_after_its_length_and_wakes_those_who_wait,
        a_renewed_session_goes_on,
        renewing_one_session_is_not_renewing_another,
    }
    values {
        a_value_is_what_was_set_last,
        setting_moves_nobody,
        setting_what_is_gone_is_refused,
        values_are_bytes,
        values_that_do_not_fit_are_refused,
    }
    lists {
        a_list_shows_all_in_order,
        an_empty_queue_is_an_empty_list,
        the_version_is_another_one_after_every_change,
        the_version_stays_when_nothing_changes,
        a_list_since_another_version_is_answered_at_once,
        a_list_since_now_waits_for_an_arrival,
        a_list_since_now_waits_for_a_departure,
        a_list_since_now_waits_for_a_value,
        queues_with_entries_are_named_in_order,
    }
    names {
        names_are_kept_apart_in_queues,
        names_are_kept_apart_in_registers,
        a_register_and_a_queue_may_have_one_name,
    }
    registers {
        a_register_is_absent_until_it_is_stored,
        a_register_is_created_once,
        of_many_creators_one_wins,
        a_store_compares_the_version,
        every_store_has_another_version,
        a_store_is_seen_by_everybody_at_once,
        concurrent_counting_loses_nothing,
    }
    waits {
        waiting_for_what_is_gone_ends_at_once,
        a_leave_wakes_who_waits_for_it,
        only_who_waits_for_an_entry_is_woken,
        dropped_waits_leave_nothing_behind,
        a_dropped_enter_can_be_repeated,
        thirty_two_take_their_turns_in_order,
    }
}

/// A problem out of an answer that should not have been an error.
impl From<Error> for Problem {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format!("an unexpected error: {error}"))
    }
}
