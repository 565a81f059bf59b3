//! The coordinator inside one process.
//!
//! Its leases live as long as the process, and so do their holders, so nothing but the tokens
//! needs to survive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};

use crate::coordinator::{Coordinator, Error, Grant};
use crate::limits::{LEASES_MAX, RESOURCE_BYTES_MAX, TOKENS_RESERVED};
use crate::table::{Command, Outcome, Table};
use crate::tokens::{StoreError, TokenStore};

struct State {
    table: Table,
    tokens: Box<dyn TokenStore>,
    /// Why no more tokens can be granted, once a save has failed.
    failed: Option<Arc<StoreError>>,
}

/// A coordinator inside one process. Clones are the same one.
#[derive(Clone)]
pub struct Embedded {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Embedded {
    /// A coordinator whose tokens go on after those in the store. Reserves the first block.
    ///
    /// # Errors
    /// The store cannot be read or written, or is damaged.
    pub fn open(mut tokens: impl TokenStore, clock: Clock) -> Result<Self, StoreError> {
        let mut table = Table::new(tokens.load()?);
        let reserved = table.reserved().saturating_add(TOKENS_RESERVED);
        tokens.save(reserved)?;
        table.reserve(reserved);
        let state = State { table, tokens: Box::new(tokens), failed: None };
        Ok(Self { clock, state: Arc::new(Mutex::new(state)) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many leases are out.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.state().table.len()
    }

    fn grant_now(&self, resource: &str, length: Duration) -> Result<Grant, Error> {
        if !(1..=RESOURCE_BYTES_MAX).contains(&resource.len()) {
            let resource = resource.to_owned();
            return Err(Error::Name { resource, limit: RESOURCE_BYTES_MAX });
        }
        let now = self.clock.monotonic();
        let command = Command::Grant { resource, length };
        let mut state = self.state();
        let mut outcome = state.table.apply(now, command);
        if outcome == Outcome::Reserve {
            state.reserve()?;
            outcome = state.table.apply(self.clock.monotonic(), command);
        }
        match outcome {
            Outcome::Granted { token, .. } => Ok(Grant { token, length }),
            Outcome::Full => Err(Error::Full { limit: LEASES_MAX }),
            Outcome::Held { until } => Err(held(resource, until, now)),
            // The answers to other questions.
            Outcome::Reserve | Outcome::Renewed { .. } | Outcome::Released | Outcome::Over => {
                unreachable!("a grant after a reservation cannot come out as {outcome:?}")
            }
        }
    }

    fn renew_now(&self, resource: &str, token: FencingToken) -> Result<(), Error> {
        let now = self.clock.monotonic();
        match self.state().table.apply(now, Command::Renew { resource, token }) {
            Outcome::Renewed { .. } => Ok(()),
            _ => Err(Error::Over { resource: resource.to_owned(), token }),
        }
    }
}

fn held(resource: &str, until: Monotonic, now: Monotonic) -> Error {
    Error::Held { resource: resource.to_owned(), remaining: until - now }
}

impl State {
    fn reserve(&mut self) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(Error::Unavailable(Arc::clone(error) as _));
        }
        let reserved = self.table.reserved().saturating_add(TOKENS_RESERVED);
        if let Err(error) = self.tokens.save(reserved) {
            // Whether it is durable is unknown. A second try could succeed on top of a write
            // that the operating system has given up on, so there is none.
            let error = Arc::new(error);
            self.failed = Some(Arc::clone(&error));
            return Err(Error::Unavailable(error));
        }
        self.table.reserve(reserved);
        Ok(())
    }
}

impl Coordinator for Embedded {
    fn grant<'a>(
        &'a self,
        resource: &'a str,
        length: Duration,
    ) -> BoxFuture<'a, Result<Grant, Error>> {
        async move { self.grant_now(resource, length) }.boxed()
    }

    fn renew<'a>(
        &'a self,
        resource: &'a str,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        ready(()).map(move |()| self.renew_now(resource, token)).boxed()
    }

    fn release(&self, resource: &str, token: FencingToken) {
        // That it has ended already is fine.
        let _ =
            self.state().table.apply(self.clock.monotonic(), Command::Release { resource, token });
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("leases", &self.leases()).finish_non_exhaustive()
    }
}
