//! The number of somebody who waits.

/// The number of somebody who waits; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    pub(crate) const FIRST: Self = Self(0);

    /// This one, and counts on.
    pub(crate) const fn take(&mut self) -> Self {
        let taken = *self;
        self.0 += 1;
        taken
    }
}
