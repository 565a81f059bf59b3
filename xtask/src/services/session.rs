//! The servers of one test run.

use std::env;
use std::io;
use std::path::Path;

use super::in_use::{Guard, Lock};
use super::kind::Kind;
use super::{Missing, Places, up};

/// Servers that are there for a test run, and go with it unless they were there before.
pub struct Session {
    /// By which variables the tests find them.
    pub variables: Vec<(&'static str, String)>,
    /// Those that cannot be had.
    pub missing: Vec<Missing>,
    guard: Guard,
    lock: Lock,
}

impl Session {
    /// Starts what does not run yet. A kind whose variable the caller's environment already has
    /// is left alone: that server is the caller's.
    ///
    /// # Errors
    /// The state of the servers cannot be read or written.
    pub fn begin(root: &Path) -> io::Result<Self> {
        let places = Places::of(root);
        let lock = Lock::shared(&places.in_use)?;
        let guard = Guard::start()?;
        let wanted: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !is_given(*kind)).collect();
        let up = up(root, &places, &wanted, false)?;
        let ours = |name: &str| {
            wanted.iter().flat_map(|kind| kind.variables(&[])).any(|(own, _)| own == name)
        };
        let variables = up.state.variables().into_iter().filter(|(name, _)| ours(name)).collect();
        Ok(Self { variables, missing: up.missing, guard, lock })
    }

    /// Gives the servers back.
    ///
    /// # Errors
    /// They could not be taken down.
    pub fn end(self) -> io::Result<()> {
        drop(self.lock);
        self.guard.finish()
    }
}

/// Whether the caller's environment says where such a server is.
fn is_given(kind: Kind) -> bool {
    kind.variables(&[]).first().is_some_and(|(name, _)| env::var_os(name).is_some())
}
