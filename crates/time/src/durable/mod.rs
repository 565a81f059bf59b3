//! A number that never comes back lower, across restarts.
//!
//! A generator that starts again must not hand out what it handed out before, and the wall clock
//! cannot promise that. So it *reserves*: before a number is used, a mark above it is made durable,
//! in blocks, so that one write covers many numbers. After a restart everything below the mark
//! counts as used. [`HighMark`] is that rule; [`Store`] is where the mark lives: [`FileMark`], or
//! [`MemoryMark`] for simulations.
//!
//! Two processes must not share a store; a lock on the data directory, or the lease that gives
//! out the node's number, sees to that.

mod file;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use file::FileMark;

/// Why a mark cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error("{what} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what was written. It must be restored or, once it is certain that every
    /// number below is used up, replaced by hand; starting from zero would repeat numbers.
    #[error(
        "{} is damaged: {what}; numbers would repeat, so nothing is handed out: restore the file",
        .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Numbers have come to their end.
    #[error("no numbers are left above {0}")]
    Exhausted(u64),
    /// A store of the user's own failed.
    #[error("the mark cannot be kept: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where a mark lives. Both calls may block on a disk.
pub trait Store: Send {
    /// The mark as it was saved last; zero if never.
    ///
    /// # Errors
    /// [`Error`] when it cannot be read whole.
    fn load(&mut self) -> Result<u64, Error>;

    /// Replaces the mark; durable before it returns. After a failure either mark may be the one
    /// that is loaded next.
    ///
    /// # Errors
    /// [`Error`] when it may not be durable.
    fn save(&mut self, mark: u64) -> Result<(), Error>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&mut self) -> Result<u64, Error> {
        (**self).load()
    }

    fn save(&mut self, mark: u64) -> Result<(), Error> {
        (**self).save(mark)
    }
}

/// A mark in memory, for simulations: clones are the same mark, so one that is kept outside
/// survives a simulated crash.
#[derive(Clone, Debug, Default)]
pub struct MemoryMark {
    mark: Arc<Mutex<u64>>,
}

impl MemoryMark {
    /// The mark now.
    #[must_use]
    pub fn get(&self) -> u64 {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryMark {
    fn load(&mut self) -> Result<u64, Error> {
        Ok(self.get())
    }

    fn save(&mut self, mark: u64) -> Result<(), Error> {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
        Ok(())
    }
}

/// The rule: no number is used before a mark above it is durable.
#[derive(Debug)]
pub struct HighMark<S> {
    store: S,
    /// Numbers below this may be used; it has been durable.
    reserved: u64,
    /// Numbers below this may have been used by those before us.
    floor: u64,
}

impl<S: Store> HighMark<S> {
    /// Loads the mark.
    ///
    /// # Errors
    /// [`Error`] when it cannot be read whole.
    pub fn open(mut store: S) -> Result<Self, Error> {
        let floor = store.load()?;
        Ok(Self { store, reserved: floor, floor })
    }

    /// Where the numbers of this run begin: everything below may have been used before.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Numbers below this may be used without another write.
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Makes `number` usable: if no durable mark is above it, one is written at `number + block`
    /// (at least one above).
    ///
    /// # Errors
    /// [`Error`] when that cannot be made durable; then `number` must not be used.
    pub fn cover(&mut self, number: u64, block: u64) -> Result<(), Error> {
        if number < self.reserved {
            return Ok(());
        }
        let mark = number.checked_add(block.max(1)).ok_or(Error::Exhausted(number))?;
        self.store.save(mark)?;
        self.reserved = mark;
        Ok(())
    }

    /// Gives back what was reserved and not used, so that the next run may begin right there.
    /// `next` is the first number that was not used; this run must use none from there on without
    /// [`HighMark::cover`].
    ///
    /// # Errors
    /// [`Error`] when it cannot be made durable; the reservation then stays.
    pub fn give_back(&mut self, next: u64) -> Result<(), Error> {
        let next = next.max(self.floor);
        if next < self.reserved {
            self.store.save(next)?;
            self.reserved = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_covers_a_block_and_a_crash_skips_the_rest_of_it() {
        let store = MemoryMark::default();
        let mut mark = HighMark::open(store.clone()).unwrap();
        assert_eq!(mark.floor(), 0);
        mark.cover(100, 50).unwrap();
        assert_eq!(store.get(), 150);
        mark.cover(149, 50).unwrap();
        assert_eq!(store.get(), 150, "covered already");
        drop(mark);
        let mut mark = HighMark::open(store.clone()).unwrap();
        assert_eq!(mark.floor(), 150);
        mark.cover(200, 0).unwrap();
        mark.give_back(180).unwrap();
        assert_eq!((store.get(), mark.reserved()), (180, 180));
        mark.give_back(3).unwrap();
        assert_eq!(store.get(), 150, "never below where this run began");
    }

    #[test]
    fn what_is_not_durable_is_not_covered() {
        struct Full;
        impl Store for Full {
            fn load(&mut self) -> Result<u64, Error> {
                Ok(7)
            }
            fn save(&mut self, _: u64) -> Result<(), Error> {
                Err(Error::Other("the disk is full".into()))
            }
        }
        let mut mark = HighMark::open(Full).unwrap();
        assert!(mark.cover(6, 10).is_ok());
        assert!(mark.cover(7, 10).is_err());
        assert_eq!(mark.reserved(), 7);
        assert!(matches!(mark.cover(u64::MAX, 1), Err(Error::Exhausted(_))));
    }
}
