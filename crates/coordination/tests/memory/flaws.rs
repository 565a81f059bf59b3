//! The suite's broken twins: the memory engine with one flaw each. Every flaw is found, by the check
//! that is there for it, and every check has found one.

mod calls;
mod engine;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::conformance::{Report, Subject, checks, run_all};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::Coordinator;
use steadfast_time::sim::Simulation;

use engine::Flawed;

/// Declares the flaws, and for each the check that must find it.
macro_rules! flaws {
    ($($flaw:ident => $check:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Flaw { None, $($flaw),* }

        const FLAWS: &[(Flaw, &str)] = &[$((Flaw::$flaw, $check)),*];
    };
}

flaws! {
    TokensPerQueue => "tokens::tokens_rise_over_all_queues",
    TokensStartAnew => "tokens::tokens_rise_after_an_entry_has_left",
    TokensFallAtClose => "tokens::tokens_rise_after_a_session_has_ended",
    TokensTwice => "tokens::tokens_of_concurrent_entries_are_distinct",
    SharedExcludes => "turns::entries_wait_for_those_ahead_that_exclude_them",
    ExclusiveShares => "turns::entries_wait_for_those_ahead_that_exclude_them",
    LastComesFirst => "turns::a_hundred_who_enter_at_once_have_one_order",
    NoWaitStays => "turns::who_will_not_wait_gets_in_or_leaves_nothing",
    NoWaitWaits => "turns::who_will_not_wait_gets_in_or_leaves_nothing",
    EntryEachTime => "turns::a_repeated_enter_is_the_same_entry",
    RepetitionSets => "turns::a_repeated_enter_keeps_the_value",
    IdsOfAllSessions => "turns::an_id_belongs_to_a_session_and_a_queue",
    StalePlace => "turns::an_entry_moves_up_when_one_ahead_leaves",
    PlaceOfTheGone => "turns::a_place_is_over_when_the_entry_is_gone",
    LeavingEndsTheFirst => "leaving::a_stale_token_ends_nobody",
    LeavingFailsTwice => "leaving::leaving_twice_is_fine",
    LeavingFailsForNobody => "leaving::leaving_what_never_was_is_fine",
    LeavingIgnoresTheQueue => "leaving::a_token_of_another_queue_ends_nobody",
    GrantsLess => "sessions::a_session_has_at_least_the_length_that_was_asked_for",
    ShortSessions => "sessions::a_silent_session_ends_after_its_length_and_wakes_those_who_wait",
    AnyLength => "sessions::lengths_that_cannot_be_are_refused",
    OneSession => "sessions::sessions_have_numbers_of_their_own",
    CloseDoesNothing => "sessions::closing_ends_all_entries_of_the_session_and_no_other",
    CloseEndsAll => "sessions::closing_ends_all_entries_of_the_session_and_no_other",
    CloseWakesNobody => "sessions::closing_wakes_those_who_wait",
    RenewDoesNothing => "sessions::a_renewed_session_goes_on",
    RenewForEver => "sessions::a_renewed_session_goes_on",
    RenewForAll => "sessions::renewing_one_session_is_not_renewing_another",
    RenewRevives => "sessions::a_closed_session_is_over",
    ExpiryWakesNobody => "sessions::a_silent_session_ends_after_its_length_and_wakes_those_who_wait",
    FirstValueStays => "values::a_value_is_what_was_set_last",
    SetMovesToTheEnd => "values::setting_moves_nobody",
    SetOfTheGone => "values::setting_what_is_gone_is_refused",
    ValuesAreText => "values::values_are_bytes",
    ValuesAreCut => "values::values_that_do_not_fit_are_refused",
    ListReversed => "lists::a_list_shows_all_in_order",
    ListHasAGhost => "lists::an_empty_queue_is_an_empty_list",
    VersionIsLength => "lists::the_version_is_another_one_after_every_change",
    VersionMissesValues => "lists::a_list_since_now_waits_for_a_value",
    VersionOfAllQueues => "lists::the_version_stays_when_nothing_changes",
    SinceIsIgnored => "lists::a_list_since_now_waits_for_an_arrival",
    SinceIsNow => "lists::a_list_since_another_version_is_answered_at_once",
    ListMissesDepartures => "lists::a_list_since_now_waits_for_a_departure",
    QueuesReversed => "lists::queues_with_entries_are_named_in_order",
    QueuesFromTheStart => "lists::queues_with_entries_are_named_in_order",
    NamesFolded => "names::names_are_kept_apart_in_queues",
    NamesUnescaped => "names::names_are_kept_apart_in_registers",
    OneNameSpace => "names::a_register_and_a_queue_may_have_one_name",
    AbsentIsEmpty => "registers::a_register_is_absent_until_it_is_stored",
    ConflictHidesTheVersion => "registers::a_register_is_created_once",
    CreateOverwrites => "registers::of_many_creators_one_wins",
    StoreOverwrites => "registers::a_store_compares_the_version",
    StoreRaces => "registers::concurrent_counting_loses_nothing",
    VersionOfContent => "registers::every_store_has_another_version",
    StaleLoad => "registers::a_store_is_seen_by_everybody_at_once",
    GoneIsForgotten => "waits::waiting_for_what_is_gone_ends_at_once",
    LeaveWakesNobody => "waits::a_leave_wakes_who_waits_for_it",
    Herd => "waits::only_who_waits_for_an_entry_is_woken",
    DroppedWaitsPoison => "waits::dropped_waits_leave_nothing_behind",
    DroppedEnterStays => "waits::a_dropped_enter_can_be_repeated",
    TwoAtOnce => "waits::thirty_two_take_their_turns_in_order",
}
fn report(flaw: Flaw) -> Report {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let flawed = Arc::new(Flawed::new(Memory::new(clock.clone()), flaw));
    if flaw == Flaw::RenewForEver {
        let (flawed, clock) = (Arc::clone(&flawed), clock.clone());
        sim.spawn(async move {
            loop {
                clock.sleep(Duration::from_millis(20)).await;
                let renewed = flawed.state().renewed.clone();
                for session in renewed {
                    drop(flawed.inner.renew(session).await);
                }
            }
        });
    }
    let subject = Subject::new(flawed, clock, "flaw/");
    sim.block_on(async move { run_all(&subject).await })
}

#[test]
fn without_a_flaw_all_checks_are_passed() {
    let report = report(Flaw::None);
    assert!(report.failed.is_empty(), "{report}");
    assert_eq!(report.passed.len(), checks().len());
}

#[test]
fn every_flaw_is_found_and_every_check_finds_one() {
    let mut silent: BTreeSet<&str> = checks().iter().map(|check| check.name).collect();
    let mut missed = Vec::new();
    for (flaw, check) in FLAWS {
        let report = report(*flaw);
        if !report.failed.iter().any(|failure| failure.check == *check) {
            missed.push(format!("{flaw:?} is not found by {check}: {report}"));
        }
        for failure in report.failed {
            silent.remove(failure.check);
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(silent.is_empty(), "checks that have found nothing: {silent:#?}");
}
