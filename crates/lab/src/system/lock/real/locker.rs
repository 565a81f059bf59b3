//! A lock of any engine, as a naive program sees it.

use std::time::Duration;

use steadfast_coordination::{Client, Error, Guard, Name, Patience};
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use crate::real::Failure;
use crate::real::engine::{Engine, Kind};

/// Takes the lock.
pub(super) enum Locker {
    Fenced {
        client: Client,
        name: Name,
    },
    #[cfg(feature = "redis")]
    Redlock {
        redlock: steadfast_coordination::redlock::Redlock,
        name: Name,
        length: Duration,
    },
}

impl Locker {
    pub(super) async fn new(
        engine: &Engine,
        lock: &str,
        length: Duration,
        owner: &str,
    ) -> Result<Self, Failure> {
        let name = Name::new(lock)?;
        #[cfg(feature = "redis")]
        if engine.kind() == Kind::Redlock {
            let servers = engine.url().trim_start_matches("redlock://").split(',');
            let urls: Vec<_> = servers.map(|server| format!("redis://{server}")).collect();
            let urls: Vec<_> = urls.iter().map(String::as_str).collect();
            let clock = crate::real::clock::machine();
            let redlock = steadfast_coordination::redlock::Redlock::new(&urls, clock)?;
            return Ok(Self::Redlock { redlock, name, length });
        }
        if engine.kind() == Kind::Redlock {
            return Err("redlock is not built in".into());
        }
        Ok(Self::Fenced { client: engine.client(length, owner).await?, name })
    }

    pub(super) async fn lock(&self, end: Monotonic) -> Result<Held, Error> {
        match self {
            Self::Fenced { client, name } => {
                let guard = client.lock(name).acquire(Patience::Until(end)).await?;
                Ok(Held::Guard(guard))
            }
            #[cfg(feature = "redis")]
            Self::Redlock { redlock, name, length } => {
                let patience = end - crate::real::clock::machine().monotonic();
                Ok(Held::Redlock(redlock.lock(name, *length, patience).await?))
            }
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Fenced { client, .. } => client.shutdown().await,
            #[cfg(feature = "redis")]
            Self::Redlock { .. } => {}
        }
    }
}

/// What its holder has.
pub(super) enum Held {
    Guard(Guard),
    #[cfg(feature = "redis")]
    Redlock(steadfast_coordination::redlock::Unfenced),
}

impl Held {
    pub(super) fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Guard(guard) => Some(guard.token()),
            #[cfg(feature = "redis")]
            Self::Redlock(_) => None,
        }
    }

    /// Whether the holder, if it looked, would think that it is one.
    pub(super) fn is_believed(&self) -> bool {
        match self {
            Self::Guard(guard) => guard.check().is_ok(),
            #[cfg(feature = "redis")]
            Self::Redlock(lock) => lock.is_believed(),
        }
    }

    /// Gives it back. What was lost before, or cannot be told to the server now, is not the
    /// worker's concern.
    pub(super) async fn unlock(self) {
        match self {
            Self::Guard(guard) => drop(guard.release().await),
            #[cfg(feature = "redis")]
            Self::Redlock(lock) => drop(lock.unlock().await),
        }
    }
}
