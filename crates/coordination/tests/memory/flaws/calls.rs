//! The calls of a flawed engine.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use steadfast_coordination::port::{
    Capabilities, Coordinator, Error, Listing, Name, Opened, Place, Register, Request, SessionId,
};
use steadfast_fencing::FencingToken;

use super::Flaw;
use super::engine::{Answer, Flawed, Poison, yield_once};

impl Coordinator for Flawed {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open(&self, mut length: Duration) -> Answer<'_, Opened> {
        let Capabilities { session_min, session_max, .. } = self.capabilities();
        let asked = length;
        if self.is(Flaw::AnyLength) {
            length = length.clamp(session_min, session_max);
        }
        if self.is(Flaw::ShortSessions) {
            length = length.max(session_min * 4) / 4;
        }
        async move {
            let known = self.state().sessions.first().copied();
            if let (Flaw::OneSession, Some(session)) = (self.flaw, known) {
                return Ok(Opened { session, length });
            }
            let mut opened = self.inner.open(length).await?;
            match self.flaw {
                Flaw::ShortSessions => opened.length = asked * 4,
                Flaw::GrantsLess => opened.length = opened.length.min(session_min),
                _ => {}
            }
            self.state().sessions.push(opened.session);
            Ok(opened)
        }
        .boxed()
    }

    fn renew(&self, session: SessionId) -> Answer<'_, ()> {
        async move {
            match self.flaw {
                Flaw::RenewDoesNothing if self.is_over(session).await => {
                    Err(Error::SessionOver { session })
                }
                Flaw::RenewRevives | Flaw::RenewDoesNothing => Ok(()),
                Flaw::RenewForAll => {
                    let sessions = self.state().sessions.clone();
                    for session in sessions {
                        drop(self.inner.renew(session).await);
                    }
                    self.inner.renew(session).await
                }
                Flaw::RenewForEver => {
                    self.state().renewed.insert(session);
                    self.inner.renew(session).await
                }
                _ => self.inner.renew(session).await,
            }
        }
        .boxed()
    }

    fn close(&self, session: SessionId) -> Answer<'_, ()> {
        async move {
            if self.is(Flaw::CloseDoesNothing) {
                return Ok(());
            }
            self.inner.close(session).await?;
            if self.is(Flaw::CloseEndsAll) {
                for queue in self.inner.queues(None).await? {
                    for entry in self.inner.list(&queue, None).await?.entries {
                        self.inner.leave(&queue, entry.token).await?;
                    }
                }
            }
            if self.is(Flaw::TokensFallAtClose) {
                self.state().tokens.clear();
            }
            if !self.is(Flaw::CloseWakesNobody) {
                self.has_changed();
            }
            Ok(())
        }
        .boxed()
    }

    fn enter<'a>(&'a self, queue: &'a Name, request: Request<'a>) -> Answer<'a, Place> {
        async move {
            let known = self.known(queue);
            let value = self.value(request.value);
            let entered = self.entered(&known, Request { value: &value, ..request }).await;
            let mut place = entered.map_err(|error| self.shown_error(&known, error))?;
            self.state().places.insert(place.token, place);
            self.has_changed();
            if self.is(Flaw::LastComesFirst) {
                place.ahead = None;
            }
            let mut place = self.shown_place(&known, place);
            if self.is(Flaw::TokensTwice) {
                place.token = FencingToken::FIRST;
            }
            Ok(place)
        }
        .boxed()
    }

    fn place<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, Place> {
        async move {
            let queue = self.known(queue);
            let token = self.real(&queue, token);
            let first = self.state().places.get(&token).copied();
            let place = match (self.flaw, first, self.inner.place(&queue, token).await) {
                (Flaw::StalePlace, Some(first), Ok(_)) => Ok(first),
                (Flaw::PlaceOfTheGone, _, Err(_)) => Ok(Place { token, ahead: None, depth: 0 }),
                (Flaw::TwoAtOnce, _, Ok(place)) if place.depth < 2 => {
                    Ok(Place { ahead: None, depth: 0, ..place })
                }
                (_, _, place) => place,
            };
            let place = place.map_err(|error| self.shown_error(&queue, error))?;
            Ok(self.shown_place(&queue, place))
        }
        .boxed()
    }

    fn gone<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let token = self.real(&queue, token);
            let mut poison = Poison(&self.poisoned, self.is(Flaw::DroppedWaitsPoison));
            if self.poisoned.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            match self.flaw {
                Flaw::GoneIsForgotten if self.inner.place(&queue, token).await.is_err() => {
                    std::future::pending().await
                }
                Flaw::LeaveWakesNobody | Flaw::CloseWakesNobody | Flaw::ExpiryWakesNobody => loop {
                    let changed = self.changed.notified();
                    if self.inner.place(&queue, token).await.is_err() {
                        return Ok(());
                    }
                    changed.await;
                },
                Flaw::TwoAtOnce => match self.inner.place(&queue, token).await {
                    Ok(place) if place.ahead.is_none() => {}
                    _ => self.inner.gone(&queue, token).await?,
                },
                Flaw::Herd => {
                    let version = self.inner.list(&queue, None).await?.version;
                    if self.inner.place(&queue, token).await.is_ok() {
                        self.inner.list(&queue, Some(version)).await?;
                    }
                }
                _ => self.inner.gone(&queue, token).await?,
            }
            poison.1 = false;
            Ok(())
        }
        .boxed()
    }

    fn leave<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let real = self.real(&queue, token);
            let is_there = self.inner.place(&queue, real).await.is_ok();
            match self.flaw {
                Flaw::LeavingEndsTheFirst if !is_there => {
                    let entries = self.inner.list(&queue, None).await?.entries;
                    if let Some(first) = entries.first() {
                        self.inner.leave(&queue, first.token).await?;
                    }
                }
                Flaw::LeavingFailsTwice if self.state().left.contains(&real) => {
                    return Err(Error::Over { name: queue, token });
                }
                Flaw::LeavingFailsForNobody if real == FencingToken::FIRST => {
                    return Err(Error::Over { name: queue, token });
                }
                Flaw::LeavingIgnoresTheQueue => {
                    for queue in self.inner.queues(None).await? {
                        self.inner.leave(&queue, real).await?;
                    }
                }
                Flaw::ListMissesDepartures => {
                    let before = self.listed(&queue).await?.version;
                    self.inner.leave(&queue, real).await?;
                    let after = self.inner.list(&queue, None).await?.version;
                    self.state().shown.insert((queue.clone(), after), before);
                }
                _ => {}
            }
            self.state().left.insert(real);
            self.inner.leave(&queue, real).await?;
            if !self.is(Flaw::LeaveWakesNobody) {
                self.has_changed();
            }
            Ok(())
        }
        .boxed()
    }

    fn set<'a>(&'a self, queue: &'a Name, token: FencingToken, value: &'a [u8]) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let real = self.real(&queue, token);
            let value = self.value(value);
            let before = self.listed(&queue).await?;
            if self.is(Flaw::SetMovesToTheEnd)
                && let Some(entry) = before.entries.iter().find(|entry| entry.token == real)
            {
                let (session, mode, id) = (entry.session, entry.mode, self.another_id());
                self.inner.leave(&queue, real).await?;
                let request = Request { session, id, mode, value: &value, wait: true };
                self.inner.enter(&queue, request).await?;
                return Ok(());
            }
            let result = self.inner.set(&queue, real, &value).await;
            self.has_changed();
            if self.is(Flaw::VersionMissesValues) {
                let after = self.inner.list(&queue, None).await?.version;
                self.state().shown.insert((queue.clone(), after), before.version);
            }
            match result {
                Err(Error::Over { .. }) if self.is(Flaw::SetOfTheGone) => Ok(()),
                other => other.map_err(|error| self.shown_error(&queue, error)),
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, queue: &'a Name, since: Option<u64>) -> Answer<'a, Listing> {
        async move {
            let queue = self.known(queue);
            let mut poison =
                Poison(&self.poisoned, self.is(Flaw::DroppedWaitsPoison) && since.is_some());
            if self.is(Flaw::SinceIsNow) && since.is_some() {
                let now = self.inner.list(&queue, None).await?.version;
                self.inner.list(&queue, Some(now)).await?;
            }
            loop {
                let changed = self.changed.notified();
                let now = self.inner.list(&queue, None).await?.version;
                let listing = self.listed(&queue).await?;
                let ours = self.state().shown.get(&(queue.clone(), now)).copied();
                let is_missed =
                    self.is(Flaw::ListMissesDepartures) && ours.is_some() && ours == since;
                if since.is_none()
                    || self.is(Flaw::SinceIsIgnored)
                    || (since != Some(listing.version) && !is_missed)
                {
                    poison.1 = false;
                    return Ok(listing);
                }
                match self.flaw {
                    Flaw::VersionOfAllQueues => changed.await,
                    Flaw::ExpiryWakesNobody | Flaw::CloseWakesNobody => changed.await,
                    _ => drop(self.inner.list(&queue, Some(now)).await?),
                }
            }
        }
        .boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> Answer<'a, Vec<Name>> {
        async move {
            let after = after.filter(|_| !self.is(Flaw::QueuesFromTheStart));
            let mut names = self.inner.queues(after).await?;
            if self.is(Flaw::QueuesReversed) {
                names.reverse();
            }
            Ok(names)
        }
        .boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> Answer<'a, Option<Register>> {
        async move {
            let name = self.known(register);
            let mut found = self.inner.load(&name).await?;
            match self.flaw {
                Flaw::StaleLoad => {
                    if let Some(before) = self.state().last.remove(&name) {
                        return Ok(before);
                    }
                }
                Flaw::AbsentIsEmpty if found.is_none() => {
                    found = Some(Register { value: vec![], version: 1 });
                }
                Flaw::OneNameSpace if found.is_none() => {
                    let entries = self.inner.list(&name, None).await?.entries;
                    let first = entries.into_iter().next();
                    found = first.map(|it| Register { value: it.value, version: it.token.get() });
                }
                Flaw::VersionOfContent => {
                    if let Some(register) = &mut found {
                        register.version = of_content(&register.value);
                    }
                }
                _ => {}
            }
            Ok(found)
        }
        .boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> Answer<'a, u64> {
        async move {
            let name = self.known(register);
            let value = self.value(value);
            let found = self.inner.load(&name).await?;
            let real = found.as_ref().map(|register| register.version);
            let mut expected = expected;
            match self.flaw {
                Flaw::StoreOverwrites => expected = real,
                Flaw::CreateOverwrites if expected.is_none() => expected = real,
                Flaw::VersionOfContent => {
                    let current = found.as_ref().map(|register| of_content(&register.value));
                    if current != expected {
                        return Err(Error::Conflict { register: name, version: current });
                    }
                    self.inner.store(&name, real, &value).await?;
                    return Ok(of_content(&value));
                }
                Flaw::StoreRaces if expected == real => {
                    // Compares, and sets later.
                    yield_once().await;
                    expected = self.inner.load(&name).await?.map(|register| register.version);
                }
                _ => {}
            }
            let stored = self.inner.store(&name, expected, &value).await;
            match stored {
                Ok(version) => {
                    self.state().last.insert(name, found);
                    Ok(version)
                }
                Err(Error::Conflict { register, .. }) if self.is(Flaw::ConflictHidesTheVersion) => {
                    Err(Error::Conflict { register, version: None })
                }
                other => other,
            }
        }
        .boxed()
    }
}

/// A number that only the content decides.
fn of_content(value: &[u8]) -> u64 {
    value.iter().fold(7, |sum, byte| (sum * 257 + u64::from(*byte)) % 1_000_000_007)
}
