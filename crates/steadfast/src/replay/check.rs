//! The strict check of a replay, on the files as written.
//!
//! The library's own evaluator accepts departures before an order is known, bundles of several
//! restaurants, couriers who are in two places, and times that do not follow from each other. A
//! figure that nobody checked is not a result, so this check recomputes the whole day from the
//! instructions alone: it takes the minute of each instruction and of each departure to a
//! restaurant from the files, derives everything else by the rules, and compares.
//!
//! It shares no code with the code that writes the files. All violations are listed, each
//! with its file and line, not only the first.

use std::collections::HashSet;
use std::fmt;

use super::day::Day;
use super::files::{ASSIGNMENTS_FILE, COURIERS_FILE, Files, ORDERS_FILE};
use super::records::{Assignment, Delivered, Movement, Records};
use super::walk;

/// The rules of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The files have the evaluator's format and name only what the day has.
    Format,
    /// An order is carried at most once.
    OrderOnce,
    /// All orders of a trip are of one restaurant.
    OneRestaurant,
    /// No instruction before every order of the trip was placed.
    KnownOrder,
    /// No instruction before the courier's shift.
    OnDuty,
    /// No instruction before the courier is free.
    FreeCourier,
    /// No departure before the instruction.
    Departure,
    /// Pickup when all orders are ready and half of the service time has passed.
    PickupTime,
    /// No pickup after the end of the shift.
    PickupInShift,
    /// Every drop-off follows from the pickup.
    DropoffTime,
    /// The movements are those of the trips: places, sequence, minutes; no others.
    Movements,
    /// A courier's movements stand together.
    OneBlock,
    /// The lines of the orders repeat the day and the trips.
    OrderLine,
    /// The lines of the orders are exactly those of the trips' orders.
    OrderList,
}

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// The output file.
    pub file: &'static str,
    /// Its line, from 1; 0 if it is about the whole file.
    pub line: usize,
    /// What is wrong and what it would have to be.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, file, line, message } = self;
        match line {
            0 => write!(f, "{file}: {message} [{rule:?}]"),
            _ => write!(f, "{file}:{line}: {message} [{rule:?}]"),
        }
    }
}

/// Checks every rule; an empty list means that the plan is valid. Orders that were not delivered
/// break no rule: they are a matter of the summary.
pub fn check(day: &Day, files: &Files) -> Vec<Violation> {
    let records = match Records::parse(day, files) {
        Ok(records) => records,
        Err((file, error)) => {
            return vec![Violation {
                rule: Rule::Format,
                file,
                line: 0,
                message: error.to_string(),
            }];
        }
    };
    let mut check = Check {
        day,
        delivered: vec![None; day.orders.len()],
        records: &records,
        violations: Vec::new(),
    };
    check.order_lines_are_unique();
    check.assignments();
    check.order_lines();
    check.movements();
    check.violations.sort_by_key(|v| (v.file, v.line, v.rule));
    check.violations
}

/// The check under way.
pub(super) struct Check<'a> {
    pub day: &'a Day,
    /// For each order of the day its line in the orders file, as an index into the records.
    pub delivered: Vec<Option<usize>>,
    pub records: &'a Records,
    pub violations: Vec<Violation>,
}

impl Check<'_> {
    pub fn report(&mut self, rule: Rule, file: &'static str, line: usize, message: String) {
        self.violations.push(Violation { rule, file, line, message });
    }

    /// The line of the orders file for an order.
    pub fn line_of(&self, order: usize) -> Option<&Delivered> {
        self.delivered[order].map(|index| &self.records.orders[index])
    }

    fn order_lines_are_unique(&mut self) {
        for (index, line) in self.records.orders.iter().enumerate() {
            if self.delivered[line.order].is_some() {
                let message = format!("{} stands on an earlier line", self.order(line.order));
                self.report(Rule::OrderOnce, ORDERS_FILE, line.line, message);
            } else {
                self.delivered[line.order] = Some(index);
            }
        }
    }

    /// What can be seen in one line of the assignments.
    fn assignments(&mut self) {
        let day = self.day;
        let mut carried = HashSet::new();
        for trip in &self.records.assignments {
            let mut broken = |rule, message| {
                self.violations.push(Violation {
                    rule,
                    file: ASSIGNMENTS_FILE,
                    line: trip.line,
                    message,
                });
            };
            let restaurant = day.orders[trip.orders[0]].restaurant;
            for &order in &trip.orders {
                let recorded = &day.orders[order];
                if !carried.insert(order) {
                    broken(Rule::OrderOnce, format!("{} is carried twice", recorded.id));
                }
                if recorded.restaurant != restaurant {
                    let (one, other) =
                        (&day.restaurants[restaurant].id, &day.restaurants[recorded.restaurant].id);
                    let message = format!("{} is of {other}, the trip is of {one}", recorded.id);
                    broken(Rule::OneRestaurant, message);
                }
                if trip.assigned_min < recorded.placement_min {
                    let (at, placed) = (trip.assigned_min, recorded.placement_min);
                    let message =
                        format!("{} is not known before {placed}, instructed at {at}", recorded.id);
                    broken(Rule::KnownOrder, message);
                }
            }
            let courier = &day.couriers[trip.courier];
            if trip.assigned_min < courier.on_min {
                let (at, on) = (trip.assigned_min, courier.on_min);
                let message = format!("{} is on duty from {on}, instructed at {at}", courier.id);
                broken(Rule::OnDuty, message);
            }
            if trip.pickup_min > courier.off_min {
                let (at, off) = (trip.pickup_min, courier.off_min);
                let message = format!("{} may pick up until {off}, not at {at}", courier.id);
                broken(Rule::PickupInShift, message);
            }
        }
    }

    /// The orders file against the day and the trips. Drop-offs are checked with the movements.
    fn order_lines(&mut self) {
        let records = self.records;
        let mut trip_of: Vec<Option<&Assignment>> = vec![None; self.day.orders.len()];
        for trip in &records.assignments {
            for &order in &trip.orders {
                trip_of[order].get_or_insert(trip);
                if self.delivered[order].is_none() {
                    let message = format!("{} has no line in {ORDERS_FILE}", self.order(order));
                    self.report(Rule::OrderList, ASSIGNMENTS_FILE, trip.line, message);
                }
            }
        }
        for line in &records.orders {
            let recorded = &self.day.orders[line.order];
            let id = &recorded.id;
            let Some(trip) = trip_of[line.order] else {
                let message = format!("{id} is on no trip of {ASSIGNMENTS_FILE}");
                self.report(Rule::OrderList, ORDERS_FILE, line.line, message);
                continue;
            };
            for (name, found, right) in [
                ("placement_time", line.placement_min, recorded.placement_min),
                ("ready_time", line.ready_min, recorded.ready_min),
                ("pickup_time", line.pickup_min, trip.pickup_min),
            ] {
                if found != right {
                    let message = format!("{name} of {id} is {found}, it must be {right}");
                    self.report(Rule::OrderLine, ORDERS_FILE, line.line, message);
                }
            }
            if line.courier != trip.courier {
                let (found, right) = (self.courier(line.courier), self.courier(trip.courier));
                let message = format!("courier of {id} is {found}, the trip's is {right}");
                self.report(Rule::OrderLine, ORDERS_FILE, line.line, message);
            }
        }
    }

    /// Each courier's day: his trips in time order against his block of movements.
    fn movements(&mut self) {
        let records = self.records;
        let mut blocks: Vec<Vec<&Movement>> = vec![Vec::new(); self.day.couriers.len()];
        let mut last = None;
        for movement in &records.movements {
            let block = &mut blocks[movement.courier];
            if last != Some(movement.courier) && !block.is_empty() {
                let message =
                    format!("lines of {} stand apart", self.day.couriers[movement.courier].id);
                let (rule, line) = (Rule::OneBlock, movement.line);
                self.violations.push(Violation { rule, file: COURIERS_FILE, line, message });
            }
            block.push(movement);
            last = Some(movement.courier);
        }
        for (courier, block) in blocks.iter().enumerate() {
            let mut trips: Vec<&Assignment> =
                records.assignments.iter().filter(|trip| trip.courier == courier).collect();
            trips.sort_by_key(|trip| trip.assigned_min);
            walk::courier(self, courier, &trips, block);
        }
    }

    pub fn order(&self, order: usize) -> &str {
        &self.day.orders[order].id
    }

    pub fn courier(&self, courier: usize) -> &str {
        &self.day.couriers[courier].id
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
