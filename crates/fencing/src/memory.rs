//! The check for data kept in memory: one value behind one lock, with its high-water mark.

use std::sync::{Mutex, PoisonError};

use crate::{FencingToken, HighWater, Stale};

/// A value that only its current owner can change.
#[derive(Debug, Default)]
pub struct Fenced<T> {
    inner: Mutex<(HighWater, T)>,
}

impl<T> Fenced<T> {
    /// Protects `value`, which no one has owned yet.
    pub const fn new(value: T) -> Self {
        Self { inner: Mutex::new((HighWater { highest: None }, value)) }
    }

    /// Changes the value under the owner's token. Check and change are one step.
    ///
    /// # Errors
    /// [`Stale`] when a later owner has been here; the value is then untouched.
    pub fn write<R>(
        &self,
        token: FencingToken,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Stale> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.admit(token)?;
        Ok(change(&mut inner.1))
    }

    /// Reads the value as its owner, who is going to write what follows from it. From then on
    /// earlier owners are shut out, so what a write under the same token meets is what was read here.
    ///
    /// # Errors
    /// [`Stale`] when a later owner has been here.
    pub fn read_as<R>(&self, token: FencingToken, look: impl FnOnce(&T) -> R) -> Result<R, Stale> {
        self.write(token, |value| look(value))
    }

    /// Reads the value; reading alone needs no token. Whoever writes what follows from it wants
    /// [`Fenced::read_as`].
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        look(&inner.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paused_owner_changes_nothing() {
        let (old, new) = (FencingToken::FIRST, FencingToken::FIRST.next());
        let data = Fenced::new(String::new());
        data.write(old, |text| text.push('a')).unwrap();
        data.write(new, |text| text.push('b')).unwrap();
        assert!(data.write(old, |text| text.push('c')).is_err());
        assert_eq!(data.read(String::clone), "ab");
    }

    #[test]
    fn what_an_owner_has_read_is_what_its_write_meets() {
        let (old, new) = (FencingToken::FIRST, FencingToken::FIRST.next());
        // The fence is raised by writes alone: the old owner's comes between, and is lost.
        let count = Fenced::new(7);
        let seen_by_new = count.read(|count| *count);
        count.write(old, |count| *count = 8).unwrap();
        count.write(new, |count| *count = seen_by_new + 1).unwrap();
        assert_eq!(count.read(|count| *count), 8, "two were answered, and one counts");
        // The new owner's read raises it.
        let count = Fenced::new(7);
        let seen_by_new = count.read_as(new, |count| *count).unwrap();
        assert!(count.write(old, |count| *count = 8).is_err());
        assert!(count.read_as(old, |count| *count).is_err());
        count.write(new, |count| *count = seen_by_new + 1).unwrap();
        assert_eq!(count.read(|count| *count), 8);
    }
}
