//! The real program, started as a user starts it, and a client that sends what it is told to.
//!
//! Nothing here knows the program's insides: what these tests find, a user could find.
#![allow(dead_code, reason = "each test uses its part of this")]

pub mod http;
pub mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The minimal body of the documentation.
pub const BENTO: &str = r#"{"merchant":"r1","pickup":{"x":22135,"y":16867},"dropoff":{"x":22226,"y":13960},"items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":18000}}"#;

/// Waits.
pub async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// A wait in milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A variable of the environment that holds a number.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is not a number")))
}

/// Every file below a directory and what is in it, to see that nothing was touched.
pub fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}
