//! One holder at a time.

use std::time::Duration;

use crate::client::{Client, Guard, Patience};
use crate::port::{Error, Mode, Name};

/// A lock with a fair queue. Clones are the same lock.
///
/// The protected storage decides who holds it (see `steadfast-fencing`): put the guard's
/// [token](Guard::token) into every write.
#[derive(Clone, Debug)]
pub struct Lock {
    client: Client,
    name: Name,
}

impl Client {
    /// The lock of that name.
    #[must_use]
    pub fn lock(&self, name: &Name) -> Lock {
        Lock { client: self.clone(), name: name.clone() }
    }
}

impl Lock {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Takes it if it is free.
    ///
    /// # Errors
    /// [`Error::Busy`] when it is not; otherwise as [`Client::enter`].
    pub async fn try_acquire(&self) -> Result<Guard, Error> {
        self.acquire(Patience::Try).await
    }

    /// Waits for it, in the order of arrival.
    ///
    /// # Errors
    /// As [`Client::enter`].
    pub async fn acquire(&self, patience: Patience) -> Result<Guard, Error> {
        let owner = self.client.owner().as_bytes();
        self.client.enter(&self.name, Mode::Exclusive, owner, patience).await
    }

    /// Waits for it for at most `limit`.
    ///
    /// # Errors
    /// As [`Client::enter`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Guard, Error> {
        let end = self.client.clock().monotonic() + limit;
        self.acquire(Patience::Until(end)).await
    }
}
