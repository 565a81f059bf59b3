//! For each rule a plan that breaks just it. A check that was never seen failing is no check.

use std::collections::BTreeSet;

use super::super::fixtures::{day, plan, trip};
use super::super::plan::Plan;
use super::*;

/// The rules that are broken, each once.
fn broken(day: &Day, files: &Files) -> Vec<Rule> {
    let rules: BTreeSet<Rule> = check(day, files).into_iter().map(|v| v.rule).collect();
    rules.into_iter().collect()
}

/// The valid plan with its files changed by hand.
fn edited(edit: impl FnOnce(&mut Files)) -> Vec<Rule> {
    let day = day();
    let mut files = plan(&day).render(&day);
    let before = files.clone();
    edit(&mut files);
    assert_ne!(files, before, "the edit must change something");
    broken(&day, &files)
}

/// The valid plan with its trips changed, and everything that follows computed from them.
fn replanned(change: impl FnOnce(&mut Day, &mut Plan)) -> Vec<Rule> {
    let mut day = day();
    let mut plan = plan(&day);
    change(&mut day, &mut plan);
    broken(&day, &plan.render(&day))
}

fn replace(text: &mut String, from: &str, to: &str) {
    *text = text.replacen(from, to, 1);
}

#[test]
fn the_files_of_a_valid_plan_are_as_the_evaluator_reads_them() {
    let day = day();
    let files = plan(&day).render(&day);
    assert_eq!(
        files.assignments,
        "assignment_time pickup_time courier orders\n\
         110 115 c1 o1 o2\n\
         110 122 c2 o4\n\
         131 137 c1 o3\n"
    );
    assert_eq!(
        files.orders,
        "order placement_time ready_time pickup_time dropoff_time courier\n\
         o1 105 115 115 123 c1\n\
         o2 107 113 115 129 c1\n\
         o3 120 125 137 143 c1\n\
         o4 110 121 122 128 c2\n"
    );
    assert_eq!(
        files.couriers,
        "courier departure_time origin destination\n\
         c1 110 0 r1\n\
         c1 117 r1 o1\n\
         c1 125 o1 o2\n\
         c1 131 o2 r2\n\
         c1 139 r2 o3\n\
         c2 110 0 r2\n\
         c2 124 r2 o4\n"
    );
    assert_eq!(check(&day, &files), []);
}

#[test]
fn an_order_left_out_breaks_no_rule() {
    assert_eq!(replanned(|_, plan| drop(plan.trips.pop())), []);
    assert_eq!(replanned(|_, plan| plan.trips.clear()), []);
}

#[test]
fn a_later_departure_is_allowed_if_the_times_follow() {
    let rules = replanned(|day, plan| {
        let from = day.couriers[1].position;
        plan.trips[2] = trip(day, 1, 114, from, &[3]);
        plan.trips[2].assigned_min = 111;
    });
    assert_eq!(rules, []);
}

// The four weaknesses of the public evaluator.

#[test]
fn an_instruction_before_the_order_is_placed_is_caught() {
    let rules = replanned(|day, plan| {
        let from = day.couriers[1].position;
        plan.trips[2] = trip(day, 1, 109, from, &[3]);
    });
    assert_eq!(rules, [Rule::KnownOrder]);
}

#[test]
fn a_bundle_of_two_restaurants_is_caught() {
    let rules = replanned(|day, plan| {
        let from = day.couriers[0].position;
        plan.trips = vec![trip(day, 0, 120, from, &[0, 2])];
    });
    assert_eq!(rules, [Rule::OneRestaurant]);
}

#[test]
fn an_instruction_to_a_busy_courier_is_caught() {
    let rules = replanned(|day, plan| {
        let from = day.orders[1].dropoff;
        plan.trips[1] = trip(day, 0, 130, from, &[2]);
    });
    assert_eq!(rules, [Rule::FreeCourier]);
    // Also if he only leaves when he is free.
    assert_eq!(replanned(|_, plan| plan.trips[1].assigned_min = 130), [Rule::FreeCourier]);
}

#[test]
fn times_that_do_not_follow_are_caught() {
    let pickup = edited(|files| {
        replace(&mut files.assignments, "110 122 c2", "110 121 c2");
        replace(&mut files.orders, "121 122 128", "121 121 128");
    });
    assert_eq!(pickup, [Rule::PickupTime]);
    let early = edited(|files| replace(&mut files.orders, "122 128 c2", "122 127 c2"));
    assert_eq!(early, [Rule::DropoffTime]);
    let late = edited(|files| replace(&mut files.orders, "115 129 c1", "115 130 c1"));
    assert_eq!(late, [Rule::DropoffTime]);
}

// All other rules.

#[test]
fn a_pickup_before_the_orders_are_ready_is_caught() {
    let rules = edited(|files| {
        replace(&mut files.assignments, "110 115 c1", "110 114 c1");
        files.orders = files.orders.replace("115 115 123", "115 114 123");
        files.orders = files.orders.replace("113 115 129", "113 114 129");
    });
    assert_eq!(rules, [Rule::PickupTime]);
}

#[test]
fn an_instruction_before_the_shift_is_caught() {
    assert_eq!(replanned(|day, _| day.couriers[1].on_min = 111), [Rule::OnDuty]);
}

#[test]
fn a_departure_before_the_instruction_is_caught() {
    let rules = replanned(|day, plan| {
        let from = day.couriers[1].position;
        plan.trips[2] = trip(day, 1, 112, from, &[3]);
        plan.trips[2].assigned_min = 113;
    });
    assert_eq!(rules, [Rule::Departure]);
}

#[test]
fn a_pickup_after_the_shift_is_caught() {
    assert_eq!(replanned(|day, _| day.couriers[0].off_min = 136), [Rule::PickupInShift]);
    assert_eq!(replanned(|day, _| day.couriers[0].off_min = 137), [], "a later drop-off is fine");
}

#[test]
fn an_order_carried_twice_is_caught() {
    let rules = replanned(|day, plan| {
        let from = day.orders[2].dropoff;
        plan.trips.push(trip(day, 0, 145, from, &[3]));
    });
    assert!(rules.contains(&Rule::OrderOnce), "{rules:?}");
    let rules = edited(|files| replace(&mut files.orders, "o4", "o4 110 121 122 128 c2\no4"));
    assert_eq!(rules, [Rule::OrderOnce]);
}

#[test]
fn movements_that_are_not_those_of_the_trips_are_caught() {
    let edits: [(&str, &str); 7] = [
        ("c1 110 0 r1", "c1 110 0 r2"),
        ("c1 110 0 r1", "c1 110 r1 r1"),
        ("c1 131 o2 r2", "c1 131 o1 r2"),
        ("c1 117 r1 o1\nc1 125 o1 o2\n", "c1 117 r1 o2\nc1 125 o2 o1\n"),
        ("c1 125 o1 o2\n", "c1 126 o1 o2\n"),
        ("c2 124 r2 o4\n", ""),
        ("c2 124 r2 o4\n", "c2 124 r2 o4\nc2 130 o4 r1\n"),
    ];
    for (from, to) in edits {
        let rules = edited(|files| replace(&mut files.couriers, from, to));
        assert_eq!(rules, [Rule::Movements], "{from} -> {to}");
    }
}

#[test]
fn movements_of_a_courier_that_stand_apart_are_caught() {
    let rules = edited(|files| {
        replace(&mut files.couriers, "c2 110 0 r2\n", "");
        replace(&mut files.couriers, "c1 125", "c2 110 0 r2\nc1 125");
    });
    assert_eq!(rules, [Rule::OneBlock]);
}

#[test]
fn order_lines_that_differ_from_the_day_or_the_trip_are_caught() {
    for (from, to) in [
        ("o4 110 121", "o4 109 121"),
        ("o4 110 121", "o4 110 120"),
        ("121 122 128", "121 123 128"),
        ("128 c2", "128 c1"),
    ] {
        let rules = edited(|files| replace(&mut files.orders, from, to));
        assert_eq!(rules, [Rule::OrderLine], "{from} -> {to}");
    }
}

#[test]
fn order_lines_without_a_trip_and_trips_without_order_lines_are_caught() {
    let rules = edited(|files| replace(&mut files.orders, "o4 110 121 122 128 c2\n", ""));
    assert_eq!(rules, [Rule::OrderList]);
    let rules = edited(|files| {
        replace(&mut files.assignments, "110 122 c2 o4\n", "");
        replace(&mut files.couriers, "c2 110 0 r2\nc2 124 r2 o4\n", "");
    });
    assert_eq!(rules, [Rule::OrderList]);
}

#[test]
fn every_departure_from_the_format_is_caught() {
    let edits: [fn(&mut Files); 9] = [
        |files| replace(&mut files.assignments, "assignment_time ", "assignment_time\t"),
        |files| replace(&mut files.assignments, "c1 o1 o2\n", "c1 o1 o2 \n"),
        |files| replace(&mut files.assignments, "c1 o1 o2\n", "c1 o1  o2\n"),
        |files| replace(&mut files.assignments, "c1 o1 o2\n", "c1\n"),
        |files| replace(&mut files.assignments, "c1 o1 o2", "c1 o1 o9"),
        |files| replace(&mut files.assignments, "110 115 c1", "110.0 115 c1"),
        |files| replace(&mut files.orders, "128 c2", "128 c7"),
        |files| files.orders = files.orders.replace('\n', "\r\n"),
        |files| replace(&mut files.couriers, "c1 110 0 r1", "c1 0110 0 r1"),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        assert_eq!(edited(edit), [Rule::Format], "edit {number}");
    }
}

#[test]
fn a_violation_says_where_and_what() {
    let day = day();
    let mut files = plan(&day).render(&day);
    replace(&mut files.orders, "122 128 c2", "122 127 c2");
    let violations = check(&day, &files);
    assert_eq!(
        violations[0].to_string(),
        "solution_info_orders.txt:5: dropoff_time of o4 is 127, it must be 128 [DropoffTime]"
    );
}
