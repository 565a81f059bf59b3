//! The three output files of a replay as text.

use std::path::{Path, PathBuf};

/// A line a trip.
pub const ASSIGNMENTS_FILE: &str = "solution_info_assignments.txt";
/// A line a delivered order.
pub const ORDERS_FILE: &str = "solution_info_orders.txt";
/// A line a movement of a courier.
pub const COURIERS_FILE: &str = "solution_info_couriers.txt";

/// The text of the three files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Of [`ASSIGNMENTS_FILE`].
    pub assignments: String,
    /// Of [`ORDERS_FILE`].
    pub orders: String,
    /// Of [`COURIERS_FILE`].
    pub couriers: String,
}

/// Why the files can not be written or read back.
#[derive(Debug, thiserror::Error)]
#[error("can not {action} {}: {source}", path.display())]
pub struct Error {
    /// `write` or `read`.
    action: &'static str,
    /// The file or folder.
    path: PathBuf,
    /// What the system said.
    source: std::io::Error,
}

impl Files {
    /// Writes the files into `dir`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, with the path.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { action: "write", path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed(dir))?;
        for (name, text) in [
            (ASSIGNMENTS_FILE, &self.assignments),
            (ORDERS_FILE, &self.orders),
            (COURIERS_FILE, &self.couriers),
        ] {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Reads the files back from `dir`.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, with the path.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|source| Error { action: "read", path, source })
        };
        Ok(Self {
            assignments: read(ASSIGNMENTS_FILE)?,
            orders: read(ORDERS_FILE)?,
            couriers: read(COURIERS_FILE)?,
        })
    }
}
