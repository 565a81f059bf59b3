//! A recorded day of meal delivery, read strictly.
//!
//! A replay's figures are only worth something if the input is what one thinks it is. So nothing
//! is guessed or repaired here: an unknown header, a second tab, a restaurant that does not
//! exist, or a ready time before the placement ends the reading, with the file, the line, the
//! column and what would have been allowed.
//!
//! The format is that of Grubhub's Meal Delivery Routing library: four tab-separated files with
//! one header line each, integers, minutes from the start of the day, planar metres.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use steadfast_dispatch::policy::{Point, ServiceTimes, Travel};

use super::table::{self, Row, Table};

/// Orders of the day, one a line.
pub const ORDERS_FILE: &str = "orders.txt";
/// Merchants.
pub const RESTAURANTS_FILE: &str = "restaurants.txt";
/// Shifts of the couriers.
pub const COURIERS_FILE: &str = "couriers.txt";
/// Speed, service times and pay.
pub const PARAMETERS_FILE: &str = "instance_parameters.txt";

const ORDERS_HEADER: &[&str] = &["order", "x", "y", "placement_time", "restaurant", "ready_time"];
const RESTAURANTS_HEADER: &[&str] = &["restaurant", "x", "y"];
const COURIERS_HEADER: &[&str] = &["courier", "x", "y", "on_time", "off_time"];
const PARAMETERS_HEADER: &[&str] = &[
    "meters_per_minute",
    "pickup service minutes",
    "dropoff service minutes",
    "target click-to-door",
    "maximum click-to-door",
    "pay per order",
    "guaranteed pay per hour",
];

/// Largest input file that is read; the largest public instance is below 1 MB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest time, in minutes: a day and its night shift twice over.
const TIME_MIN_MAX: i64 = 4 * 24 * 60;
/// Largest coordinate, in metres.
const COORDINATE_M_MAX: i64 = 10_000_000;

/// A whole recorded day.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// In the order of the file.
    pub orders: Vec<Order>,
    /// In the order of the file.
    pub restaurants: Vec<Restaurant>,
    /// In the order of the file.
    pub couriers: Vec<Courier>,
    /// The one line of parameters.
    pub parameters: Parameters,
}

/// An order as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Identifier of the file, such as `o7`.
    pub id: String,
    /// Where it is delivered, planar metres.
    pub dropoff: Point,
    /// Minute of the placement. Nothing is known of the order before.
    pub placement_min: i64,
    /// Index into [`Day::restaurants`].
    pub restaurant: usize,
    /// Minute from which it can be picked up; not before the placement.
    pub ready_min: i64,
}

/// A merchant.
#[derive(Debug, Clone, PartialEq)]
pub struct Restaurant {
    /// Identifier of the file, such as `r4`.
    pub id: String,
    /// Planar metres.
    pub position: Point,
}

/// A courier's shift.
#[derive(Debug, Clone, PartialEq)]
pub struct Courier {
    /// Identifier of the file, such as `c9`.
    pub id: String,
    /// Where the shift begins, planar metres.
    pub position: Point,
    /// Minute from which he may be instructed.
    pub on_min: i64,
    /// Last minute of a pickup. A delivery may end later.
    pub off_min: i64,
}

/// The day's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Speed of every courier.
    pub metres_per_minute: i64,
    /// At the restaurant, in all; even, because half is spent before the pickup.
    pub pickup_service_min: i64,
    /// At each customer, in all; even.
    pub dropoff_service_min: i64,
    /// Click-to-door the operator aims at. A measure, not a rule.
    pub target_click_to_door_min: i64,
    /// Click-to-door the operator wants never to pass. A measure, not a rule.
    pub maximum_click_to_door_min: i64,
    /// Pay for each order delivered.
    pub pay_per_order: i64,
    /// Least pay for an hour of duty.
    pub guaranteed_pay_per_hour: i64,
}

impl Parameters {
    /// Travel times by the library's rule: straight line, every leg rounded up to a minute.
    pub fn travel(&self) -> Travel {
        Travel::recorded(self.metres_per_minute as f64)
    }

    /// Travel time in whole minutes.
    pub fn travel_min(&self, from: Point, to: Point) -> i64 {
        self.travel().seconds(from, to) / 60
    }

    /// Service times in seconds, for a policy's snapshot.
    pub fn service(&self) -> ServiceTimes {
        ServiceTimes {
            pickup_s: self.pickup_service_min * 60,
            dropoff_s: self.dropoff_service_min * 60,
        }
    }
}

/// Why a day can not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("can not read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any recorded day.
    #[error("{} has {bytes} bytes; at most {FILE_BYTES_MAX} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A line is not as the format has it.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Line, column, what is wrong and what is allowed.
        source: table::Error,
    },
}

impl Day {
    /// Reads the four files in `dir`.
    ///
    /// # Errors
    ///
    /// The first thing that is not as the format has it; see [`Error`].
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let parameters = parse(dir, PARAMETERS_FILE, PARAMETERS_HEADER, parameters)?;
        let restaurants = parse(dir, RESTAURANTS_FILE, RESTAURANTS_HEADER, restaurants)?;
        let couriers = parse(dir, COURIERS_FILE, COURIERS_HEADER, couriers)?;
        let by_id: HashMap<&str, usize> =
            restaurants.iter().enumerate().map(|(index, r)| (r.id.as_str(), index)).collect();
        let orders = parse(dir, ORDERS_FILE, ORDERS_HEADER, |rows| orders(rows, &by_id))?;
        Ok(Self { orders, restaurants, couriers, parameters })
    }
}

/// Reads one file and hands its rows to `read`.
fn parse<T>(
    dir: &Path,
    file: &str,
    header: &'static [&'static str],
    read: impl FnOnce(&Table) -> Result<T, table::Error>,
) -> Result<T, Error> {
    let path = dir.join(file);
    let io = |source| Error::Io { path: path.clone(), source };
    let bytes = std::fs::metadata(&path).map_err(io)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Error::TooLarge { path, bytes });
    }
    let text = std::fs::read_to_string(&path).map_err(io)?;
    Table::parse(&text, '\t', header)
        .and_then(|table| read(&table))
        .map_err(|source| Error::Format { path, source })
}

fn parameters(table: &Table) -> Result<Parameters, table::Error> {
    let row = table.only_row()?;
    Ok(Parameters {
        metres_per_minute: row.integer(0, 1, 100_000)?,
        pickup_service_min: even(row, 1)?,
        dropoff_service_min: even(row, 2)?,
        target_click_to_door_min: row.integer(3, 0, TIME_MIN_MAX)?,
        maximum_click_to_door_min: row.integer(4, 0, TIME_MIN_MAX)?,
        pay_per_order: row.integer(5, 0, 1_000_000)?,
        guaranteed_pay_per_hour: row.integer(6, 0, 1_000_000)?,
    })
}

/// Half of a service time is spent before the hand-over, so in whole minutes it is even.
fn even(row: &Row, column: usize) -> Result<i64, table::Error> {
    let minutes = row.integer(column, 0, 120)?;
    if minutes % 2 == 0 {
        Ok(minutes)
    } else {
        Err(row.error(column, "an even number of minutes from 0 to 120"))
    }
}

fn restaurants(table: &Table) -> Result<Vec<Restaurant>, table::Error> {
    table.unique('r')?;
    let read = |row: &Row| Ok(Restaurant { id: row.text(0).to_owned(), position: point(row, 1)? });
    table.rows().iter().map(read).collect()
}

fn couriers(table: &Table) -> Result<Vec<Courier>, table::Error> {
    table.unique('c')?;
    let read = |row: &Row| {
        let on_min = row.integer(3, 0, TIME_MIN_MAX)?;
        Ok(Courier {
            id: row.text(0).to_owned(),
            position: point(row, 1)?,
            on_min,
            off_min: row.integer(4, on_min, TIME_MIN_MAX)?,
        })
    };
    table.rows().iter().map(read).collect()
}

fn orders(table: &Table, restaurants: &HashMap<&str, usize>) -> Result<Vec<Order>, table::Error> {
    table.unique('o')?;
    let read = |row: &Row| {
        let placement_min = row.integer(3, 0, TIME_MIN_MAX)?;
        let restaurant = restaurants
            .get(row.text(4))
            .ok_or_else(|| row.error(4, format!("a restaurant of {RESTAURANTS_FILE}")))?;
        Ok(Order {
            id: row.text(0).to_owned(),
            dropoff: point(row, 1)?,
            placement_min,
            restaurant: *restaurant,
            ready_min: row.integer(5, placement_min, TIME_MIN_MAX)?,
        })
    };
    table.rows().iter().map(read).collect()
}

/// Two columns of metres.
fn point(row: &Row, column: usize) -> Result<Point, table::Error> {
    let x = row.integer(column, -COORDINATE_M_MAX, COORDINATE_M_MAX)?;
    let y = row.integer(column + 1, -COORDINATE_M_MAX, COORDINATE_M_MAX)?;
    Ok(Point::planar(x as f64, y as f64))
}

#[cfg(test)]
#[path = "day_tests.rs"]
mod tests;
