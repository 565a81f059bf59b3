//! The three output files, parsed against the day they belong to.
//!
//! Only shape and names are checked here; whether the plan keeps the rules is the business of
//! [`check`](super::check).

use std::collections::HashMap;

use super::day::Day;
use super::files::{ASSIGNMENTS_FILE, COURIERS_FILE, Files, ORDERS_FILE};
use super::table::{self, Row, Table};

const TIME_MIN_MAX: i64 = 1_000_000;

const ASSIGNMENTS_HEADER: &[&str] = &["assignment_time", "pickup_time", "courier", "orders"];
const ORDERS_HEADER: &[&str] =
    &["order", "placement_time", "ready_time", "pickup_time", "dropoff_time", "courier"];
const COURIERS_HEADER: &[&str] = &["courier", "departure_time", "origin", "destination"];

/// A trip as written; indices are those of the day.
#[derive(Debug)]
pub(super) struct Assignment {
    pub line: usize,
    pub assigned_min: i64,
    pub pickup_min: i64,
    pub courier: usize,
    pub orders: Vec<usize>,
}

/// A delivered order as written.
#[derive(Debug)]
pub(super) struct Delivered {
    pub line: usize,
    pub order: usize,
    pub placement_min: i64,
    pub ready_min: i64,
    pub pickup_min: i64,
    pub dropoff_min: i64,
    pub courier: usize,
}

/// A movement as written.
#[derive(Debug)]
pub(super) struct Movement {
    pub line: usize,
    pub courier: usize,
    pub departure_min: i64,
    pub origin: String,
    pub destination: String,
}

/// All three files.
#[derive(Debug)]
pub(super) struct Records {
    pub assignments: Vec<Assignment>,
    pub orders: Vec<Delivered>,
    pub movements: Vec<Movement>,
}

/// Names of a day.
struct Names<'a> {
    couriers: HashMap<&'a str, usize>,
    orders: HashMap<&'a str, usize>,
}

impl Records {
    /// Parses the files; the first error of a file ends the reading, with the file's name.
    pub fn parse(day: &Day, files: &Files) -> Result<Self, (&'static str, table::Error)> {
        let names = Names {
            couriers: day.couriers.iter().enumerate().map(|(i, c)| (c.id.as_str(), i)).collect(),
            orders: day.orders.iter().enumerate().map(|(i, o)| (o.id.as_str(), i)).collect(),
        };
        Ok(Self {
            assignments: assignments(&names, &files.assignments)
                .map_err(|error| (ASSIGNMENTS_FILE, error))?,
            orders: orders(&names, &files.orders).map_err(|error| (ORDERS_FILE, error))?,
            movements: movements(&names, &files.couriers)
                .map_err(|error| (COURIERS_FILE, error))?,
        })
    }
}

fn assignments(names: &Names, text: &str) -> Result<Vec<Assignment>, table::Error> {
    let read = |row: &Row| {
        let order = |id: &String| names.orders.get(id.as_str()).copied();
        Ok(Assignment {
            line: row.line(),
            assigned_min: minute(row, 0)?,
            pickup_min: minute(row, 1)?,
            courier: names.courier(row, 2)?,
            orders: row.list(3).iter().map(order).collect::<Option<_>>().ok_or_else(|| {
                row.error(3, "a list of orders of the day, and an unknown one follows it")
            })?,
        })
    };
    Table::parse_list(text, ' ', ASSIGNMENTS_HEADER)?.rows().iter().map(read).collect()
}

fn orders(names: &Names, text: &str) -> Result<Vec<Delivered>, table::Error> {
    let read = |row: &Row| {
        Ok(Delivered {
            line: row.line(),
            order: *names
                .orders
                .get(row.text(0))
                .ok_or_else(|| row.error(0, "an order of the day"))?,
            placement_min: minute(row, 1)?,
            ready_min: minute(row, 2)?,
            pickup_min: minute(row, 3)?,
            dropoff_min: minute(row, 4)?,
            courier: names.courier(row, 5)?,
        })
    };
    Table::parse(text, ' ', ORDERS_HEADER)?.rows().iter().map(read).collect()
}

fn movements(names: &Names, text: &str) -> Result<Vec<Movement>, table::Error> {
    let read = |row: &Row| {
        Ok(Movement {
            line: row.line(),
            courier: names.courier(row, 0)?,
            departure_min: minute(row, 1)?,
            origin: row.text(2).to_owned(),
            destination: row.text(3).to_owned(),
        })
    };
    Table::parse(text, ' ', COURIERS_HEADER)?.rows().iter().map(read).collect()
}

impl Names<'_> {
    fn courier(&self, row: &Row, column: usize) -> Result<usize, table::Error> {
        self.couriers
            .get(row.text(column))
            .copied()
            .ok_or_else(|| row.error(column, "a courier of the day"))
    }
}

fn minute(row: &Row, column: usize) -> Result<i64, table::Error> {
    row.integer(column, 0, TIME_MIN_MAX)
}
