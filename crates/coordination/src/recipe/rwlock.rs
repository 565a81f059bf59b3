//! Many readers or one writer.

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use crate::client::{Client, Guard, Lost, Patience};
use crate::port::{Error, Mode, Name};

/// A lock that readers share and a writer has alone, with one fair queue for both: a reader that
/// comes after a waiting writer waits behind it, so writers do not starve. Clones are the same lock.
#[derive(Clone, Debug)]
pub struct RwLock {
    client: Client,
    name: Name,
}

impl Client {
    /// The read-write lock of that name. It is the same queue as the [lock](Client::lock) of that
    /// name: whoever takes that one writes.
    #[must_use]
    pub fn rw_lock(&self, name: &Name) -> RwLock {
        RwLock { client: self.clone(), name: name.clone() }
    }
}

impl RwLock {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Waits to share it with other readers.
    ///
    /// # Errors
    /// As [`Client::enter`].
    pub async fn read(&self, patience: Patience) -> Result<ReadGuard, Error> {
        let owner = self.client.owner().as_bytes();
        let guard = self.client.enter(&self.name, Mode::Shared, owner, patience).await?;
        Ok(ReadGuard(guard))
    }

    /// Waits to have it alone. The guard's token goes into every write, as with a
    /// [`Lock`](super::Lock).
    ///
    /// # Errors
    /// As [`Client::enter`].
    pub async fn write(&self, patience: Patience) -> Result<Guard, Error> {
        let owner = self.client.owner().as_bytes();
        self.client.enter(&self.name, Mode::Exclusive, owner, patience).await
    }
}

/// A shared hold. Dropping it gives it back, without waiting.
///
/// Its token is for *checking* and not for raising: let the storage refuse a read whose token is
/// lower than the highest seen ([`HighWater::check`](steadfast_fencing::HighWater::check)), but
/// never let it remember a reader's. Readers hold at the same time under different tokens, and a
/// fence that one of them has raised shuts out the others.
#[must_use = "dropping a guard gives back what it holds"]
#[derive(Debug)]
pub struct ReadGuard(Guard);

impl ReadGuard {
    /// What is shared.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.0.name()
    }

    /// The token with which a read may be checked. Do not write under it.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.0.token()
    }

    /// As [`Guard::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.0.deadline()
    }

    /// Whether it may be relied on now.
    ///
    /// # Errors
    /// [`Lost`], and from then on always.
    pub fn check(&self) -> Result<FencingToken, Lost> {
        self.0.check()
    }

    /// Completes when it is lost.
    pub async fn lost(&self) -> Lost {
        self.0.lost().await
    }

    /// As [`Guard::release`].
    ///
    /// # Errors
    /// As [`Guard::release`].
    pub async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}
