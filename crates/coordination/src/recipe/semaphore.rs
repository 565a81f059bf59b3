//! At most N at a time, each with a token of its own.
//!
//! A counter of permits has nothing that a storage could check. So a semaphore of N permits is N
//! *slots*, each a queue of its own with one holder: a [`Permit`] has a slot and a token that rises
//! with each holder of that slot. A write names the slot as its resource and carries the token, and
//! the storage refuses whoever was replaced: then at most N have written at the same time, whatever
//! the clients believe.
//!
//! # How
//!
//! In front of the slots is a *gate*, a fair queue. Whoever is first there takes any slot that is
//! free, or else waits for the first of the holders to be gone, and then leaves the gate: permits
//! are given in the order of arrival. Only the first at the gate watches the slots.
//!
//! The gate is for fairness alone. Should somebody lose it while taking a slot, the slot still has
//! one holder.
//!
//! # Limits
//!
//! The number of permits belongs to the name: it is stored with the first use, and another number
//! is refused. An attempt may ask for each slot once; so there are at most
//! [`PERMITS_MAX`] of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use crate::client::{Client, Guard, Lost, Patience};
use crate::event::Event;
use crate::limits::PERMITS_MAX;
use crate::port::{Error, Name};

/// What the value of the first at the gate begins with while it waits for a slot.
const WAITING: &[u8] = b"waiting: ";

/// A semaphore of a fixed number of permits. Clones are the same semaphore.
#[derive(Clone, Debug)]
pub struct Semaphore {
    client: Client,
    name: Name,
    permits: u32,
    /// Whether the stored number of permits is known to be this one.
    agreed: Arc<AtomicBool>,
}

impl Client {
    /// The semaphore of that name with so many permits.
    #[must_use]
    pub fn semaphore(&self, name: &Name, permits: u32) -> Semaphore {
        let (client, name) = (self.clone(), name.clone());
        Semaphore { client, name, permits, agreed: Arc::default() }
    }
}

impl Semaphore {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How many may hold a permit at the same time.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// The name of a slot: what its holders' writes are fenced by.
    ///
    /// # Errors
    /// [`Error::Name`] when the semaphore's name leaves no room for the slot's number.
    pub fn slot(&self, slot: u32) -> Result<Name, Error> {
        Ok(self.name.join(&format!("/slot/{slot}"))?)
    }

    /// Takes a permit if one is free and nobody waits for it.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is none; otherwise as [`Semaphore::acquire`].
    pub async fn try_acquire(&self) -> Result<Permit, Error> {
        self.acquire(Patience::Try).await
    }

    /// Waits for a permit for at most `limit`.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Permit, Error> {
        let end = self.client.clock().monotonic() + limit;
        self.acquire(Patience::Until(end)).await
    }

    /// Waits for a permit, in the order of arrival.
    ///
    /// # Errors
    /// As [`Client::enter`]; [`Error::Differs`] when the semaphore was first used with another
    /// number of permits; [`Error::Full`] for more permits than [`PERMITS_MAX`], and for none.
    pub async fn acquire(&self, patience: Patience) -> Result<Permit, Error> {
        let limit = PERMITS_MAX as usize;
        if self.permits > PERMITS_MAX {
            return Err(Error::Full { what: "permits of a semaphore", limit });
        }
        if self.permits == 0 {
            return Err(Error::Full { what: "permits of a semaphore", limit: 0 });
        }
        Acquisition::new(self, patience).run().await
    }
}

/// A permit. Dropping it gives it back, without waiting.
///
/// As with every [`Guard`], the token belongs into every write; the resource that it fences is
/// [`Permit::resource`].
#[must_use = "dropping a permit gives it back"]
#[derive(Debug)]
pub struct Permit {
    guard: Guard,
    slot: u32,
}

impl Permit {
    /// Which of the semaphore's slots it is, from 0.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// What to fence at the storage: the slot's own name.
    #[must_use]
    pub fn resource(&self) -> &Name {
        self.guard.name()
    }

    /// Its token: higher than those of all who had this slot before.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.guard.token()
    }

    /// As [`Guard::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.guard.deadline()
    }

    /// Whether it may be relied on now.
    ///
    /// # Errors
    /// [`Lost`], and from then on always.
    pub fn check(&self) -> Result<FencingToken, Lost> {
        self.guard.check()
    }

    /// Completes when it is lost.
    pub async fn lost(&self) -> Lost {
        self.guard.lost().await
    }

    /// As [`Guard::release`].
    ///
    /// # Errors
    /// As [`Guard::release`].
    pub async fn release(self) -> Result<(), Error> {
        self.guard.release().await
    }
}

/// One attempt to get a permit.
struct Acquisition<'a> {
    semaphore: &'a Semaphore,
    client: &'a Client,
    patience: Patience,
    started: Monotonic,
    contended: bool,
    /// Whether it is still to be reported that it came to nothing.
    open: bool,
}

/// Who has a slot that is not free.
type Holder = (u32, FencingToken);

impl<'a> Acquisition<'a> {
    fn new(semaphore: &'a Semaphore, patience: Patience) -> Self {
        let client = &semaphore.client;
        let started = client.clock().monotonic();
        Self { semaphore, client, patience, started, contended: false, open: true }
    }

    async fn run(mut self) -> Result<Permit, Error> {
        self.agree().await?;
        let gate = self.semaphore.name.join("/gate")?;
        loop {
            let owner = self.client.owner().as_bytes();
            let guard = match self.client.enter_quietly(&gate, owner, self.patience).await {
                Ok(guard) => Some(guard),
                Err(Error::Busy { holder, .. }) => {
                    if self.is_waited_at(&gate).await? {
                        return Err(self.busy(holder));
                    }
                    // Whoever is there is only passing: a slot may be free all the same.
                    None
                }
                Err(Error::Timeout { .. }) => return Err(self.late()),
                Err(error) => return Err(error),
            };
            self.contended |= guard.as_ref().is_some_and(Guard::contended);
            if let Some(permit) = self.pass(guard.as_ref()).await? {
                self.open = false;
                let waited = self.client.clock().monotonic() - self.started;
                let (name, token) = (permit.resource().clone(), permit.token());
                let contended = self.contended;
                self.client.emit(&Event::Acquired { name, token, waited, contended });
                return Ok(permit);
            }
            // The gate was lost: to the end of the line.
        }
    }

    /// Whether somebody waits at the gate for a slot to come free.
    async fn is_waited_at(&self, gate: &Name) -> Result<bool, Error> {
        let entries = self.ask(self.client.coordinator().list(gate, None)).await?.entries;
        Ok(entries.len() > 1 || entries.first().is_some_and(|e| e.value.starts_with(WAITING)))
    }

    /// Being first at the gate, takes a slot or waits for one. `None` when the gate was lost.
    async fn pass(&mut self, gate: Option<&Guard>) -> Result<Option<Permit>, Error> {
        let permits = self.semaphore.permits;
        // Not always the same slots first, so that one that is slow to be given back is no obstacle.
        let first = gate.map_or(0, |gate| gate.token().get() % u64::from(permits));
        let first = u32::try_from(first).unwrap_or(0);
        let mut failures = 0;
        let mut to_try: Vec<u32> = (0..permits).map(|slot| (first + slot) % permits).collect();
        let mut holders: Vec<Holder> = Vec::new();
        loop {
            let mut failed = Vec::new();
            for slot in to_try.drain(..) {
                match self.take(slot).await {
                    Ok(Ok(guard)) => return Ok(Some(Permit { guard, slot })),
                    Ok(Err(holder)) => holders.push((slot, holder)),
                    Err(Error::Unavailable { .. }) if self.patience != Patience::Try => {
                        failed.push(slot);
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(gate) = gate.filter(|_| self.patience != Patience::Try) else {
                let holder = holders.iter().map(|(_, holder)| *holder).min();
                return Err(self.busy(holder.unwrap_or(FencingToken::FIRST)));
            };
            if gate.check().is_err() {
                return Ok(None);
            }
            if !failed.is_empty() {
                self.pause(failures).await?;
                failures += 1;
                to_try = failed;
                continue;
            }
            if !self.contended {
                self.contended = true;
                let name = self.semaphore.name.clone();
                self.client.emit(&Event::Contended { name, depth: 1 });
            }
            // So that whoever only tries does not go ahead. Should it fail, somebody may.
            let value = [WAITING, self.client.owner().as_bytes()].concat();
            if let Err(error) = gate.set(&value).await {
                tracing::debug!(%error, "a wait at the gate could not be announced");
            }
            to_try = match self.wait(gate, &mut holders).await? {
                Some(slots) => slots,
                None => return Ok(None),
            };
        }
    }

    /// Asks for a slot. `Err` of the inner result is its holder.
    async fn take(&self, slot: u32) -> Result<Result<Guard, FencingToken>, Error> {
        let name = self.semaphore.slot(slot)?;
        let owner = self.client.owner().as_bytes();
        let take = self.client.try_enter_quietly(&name, owner);
        let taken = match self.patience.end() {
            None => take.await,
            Some(end) => {
                let left = end - self.client.clock().monotonic();
                let taken = self.client.clock().timeout(left, take).await;
                taken.unwrap_or_else(|_| Err(self.late()))
            }
        };
        match taken {
            Ok(guard) => Ok(Ok(guard)),
            Err(Error::Busy { holder, .. }) => Ok(Err(holder)),
            Err(error) => Err(error),
        }
    }

    /// Waits for a holder to be gone, and returns the slots to try again: its own, or all of them
    /// when none was heard of for long. `None` when the gate was lost.
    async fn wait(
        &self,
        gate: &Guard,
        holders: &mut Vec<Holder>,
    ) -> Result<Option<Vec<u32>>, Error> {
        let client = self.client;
        let names: Vec<(Name, Holder)> = holders
            .iter()
            .map(|&(slot, holder)| Ok((self.semaphore.slot(slot)?, (slot, holder))))
            .collect::<Result<_, Error>>()?;
        let mut gone: FuturesUnordered<BoxFuture<'_, Option<u32>>> = names
            .iter()
            .map(|(name, (slot, holder))| -> BoxFuture<'_, Option<u32>> {
                Box::pin(async move {
                    client.coordinator().gone(name, *holder).await.ok().map(|()| *slot)
                })
            })
            .collect();
        let heard = async {
            // A watch that fails is made up for by asking again.
            while let Some(answer) = gone.next().await {
                if let Some(slot) = answer {
                    return slot;
                }
            }
            std::future::pending().await
        };
        let ask = client.clock().monotonic() + client.options().ask_every;
        let until = self.patience.end().map_or(ask, |end| end.min(ask));
        let lost = std::pin::pin!(gate.lost());
        let stop = select(lost, client.clock().sleep_until(until));
        let slots = match select(std::pin::pin!(heard), stop).await {
            Either::Left((slot, _)) => vec![slot],
            Either::Right((Either::Left(_), _)) => return Ok(None),
            Either::Right((Either::Right(_), _)) => {
                self.still_patient()?;
                holders.iter().map(|(slot, _)| *slot).collect()
            }
        };
        holders.retain(|(slot, _)| !slots.contains(slot));
        Ok(Some(slots))
    }

    /// Makes sure that everybody goes by the same number of permits.
    async fn agree(&self) -> Result<(), Error> {
        let Semaphore { name, permits, agreed, .. } = self.semaphore;
        if agreed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let register = name.join("/permits")?;
        let mut failures = 0;
        loop {
            if let Some(refusal) = self.client.refusal() {
                return Err(refusal);
            }
            let coordinator = self.client.coordinator();
            let stored = match self.ask(coordinator.load(&register)).await {
                Ok(Some(stored)) => String::from_utf8_lossy(&stored.value).into_owned(),
                Ok(None) => {
                    let mine = permits.to_string();
                    match self.ask(coordinator.store(&register, None, mine.as_bytes())).await {
                        Ok(_) => mine,
                        Err(Error::Conflict { .. }) => continue,
                        Err(error) => {
                            self.again(error, failures).await?;
                            failures += 1;
                            continue;
                        }
                    }
                }
                Err(error) => {
                    self.again(error, failures).await?;
                    failures += 1;
                    continue;
                }
            };
            if stored != permits.to_string() {
                let (name, stored, asked) = (name.clone(), stored.into(), *permits);
                return Err(Error::Differs { what: "permits", name, stored, asked });
            }
            agreed.store(true, Ordering::Relaxed);
            return Ok(());
        }
    }

    /// Waits for an answer, but not too long.
    async fn ask<T>(&self, work: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
        let now = self.client.clock().monotonic();
        let limit = self.client.options().call_limit();
        let limit = self.patience.end().map_or(limit, |end| limit.min(end - now));
        match self.client.clock().timeout(limit, work).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(self.client.silent(elapsed.0)),
        }
    }

    /// Whether a request is to be repeated after an error; waits a little.
    async fn again(&self, error: Error, failures: u32) -> Result<(), Error> {
        if !matches!(error, Error::Unavailable { .. }) || self.patience == Patience::Try {
            return Err(error);
        }
        self.pause(failures).await
    }

    async fn pause(&self, failures: u32) -> Result<(), Error> {
        let pause = self.client.clock().monotonic() + self.client.options().backoff(failures);
        let until = self.patience.end().map_or(pause, |end| end.min(pause));
        self.client.clock().sleep_until(until).await;
        self.still_patient()
    }

    fn still_patient(&self) -> Result<(), Error> {
        if self.patience.is_over(self.client.clock().monotonic()) {
            Err(self.late())
        } else {
            Ok(())
        }
    }

    fn late(&self) -> Error {
        let waited = self.client.clock().monotonic() - self.started;
        Error::Timeout { name: self.semaphore.name.clone(), waited }
    }

    fn busy(&self, holder: FencingToken) -> Error {
        Error::Busy { name: self.semaphore.name.clone(), holder }
    }
}

impl Drop for Acquisition<'_> {
    fn drop(&mut self) {
        if self.open {
            let name = self.semaphore.name.clone();
            let waited = self.client.clock().monotonic() - self.started;
            self.client.emit(&Event::Abandoned { name, waited });
        }
    }
}
