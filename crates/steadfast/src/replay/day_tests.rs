//! Days are read whole or not at all, and what is wrong is named with its file and line.

use std::fs;

use super::*;

/// A folder with the four files, one of them with `from` replaced by `to`.
fn error(file: &str, from: &str, to: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        (ORDERS_FILE, "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t1\t2\t5\tr1\t9\n"),
        (RESTAURANTS_FILE, "restaurant\tx\ty\nr1\t10\t-20\n"),
        (COURIERS_FILE, "courier\tx\ty\ton_time\toff_time\nc1\t3\t4\t0\t90\n"),
        (
            PARAMETERS_FILE,
            "meters_per_minute\tpickup service minutes\tdropoff service minutes\t\
             target click-to-door\tmaximum click-to-door\tpay per order\t\
             guaranteed pay per hour\n320\t4\t4\t40\t90\t10\t15\n",
        ),
    ] {
        let text = if name == file { text.replacen(from, to, 1) } else { text.to_owned() };
        fs::write(dir.path().join(name), text).unwrap();
    }
    match Day::read(dir.path()) {
        Ok(day) => {
            assert_eq!((day.orders.len(), day.restaurants.len(), day.couriers.len()), (1, 1, 1));
            String::from("none")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_small_day_is_read() {
    assert_eq!(error("", "", ""), "none");
}

#[test]
fn errors_name_file_line_column_and_what_is_allowed() {
    for (file, from, to, said) in [
        (ORDERS_FILE, "r1", "r2", "line 2, column \"restaurant\": \"r2\" is not a restaurant of"),
        (ORDERS_FILE, "\t9\n", "\t4\n", "\"ready_time\": \"4\" is not a whole number from 5 to"),
        (ORDERS_FILE, "o1", "7", "\"7\" is not an identifier such as \"o12\""),
        (ORDERS_FILE, "x\ty", "y\tx", "line 1: the header must be"),
        (ORDERS_FILE, "\t9\n", "\t9\no1\t1\t2\t5\tr1\t9\n", "line 3, column \"order\""),
        (COURIERS_FILE, "\t90", "\t-1", "\"off_time\": \"-1\" is not a whole number from 0 to"),
        (COURIERS_FILE, "\t3", "\t3.5", "\"x\": \"3.5\" is not a whole number"),
        (RESTAURANTS_FILE, "\t-20", "", "line 2: 3 columns with a value each"),
        (PARAMETERS_FILE, "320", "0", "\"0\" is not a whole number from 1 to"),
        (PARAMETERS_FILE, "\t4", "\t5", "\"5\" is not an even number of minutes"),
        (PARAMETERS_FILE, "320\t4\t4\t40\t90\t10\t15\n", "", "exactly one line"),
    ] {
        let found = error(file, from, to);
        assert!(found.contains(file) && found.contains(said), "{found}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Day::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains(PARAMETERS_FILE), "{error}");
}

#[test]
fn the_recorded_days_are_read_whole() {
    let Some(data) = std::env::var_os("STEADFAST_DATA") else {
        println!("left out: STEADFAST_DATA does not name a folder with mdrp/");
        return;
    };
    for (name, orders, couriers) in [("day-1", 538, 94), ("day-4", 1185, 182), ("day-7", 3213, 404)]
    {
        let day = Day::read(&Path::new(&data).join("mdrp").join(name)).unwrap();
        assert_eq!((day.orders.len(), day.couriers.len()), (orders, couriers), "{name}");
    }
}
