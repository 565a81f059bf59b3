//! Entries: entering a queue, one's place in it, waiting, leaving, and what is written there.
//!
//! Whatever changes an entry compares its create revision in the same transaction, and whatever
//! says whose turn it is was read by a majority.

use steadfast_fencing::FencingToken;

use super::failure::Failure;
use super::keys::Range;
use super::proto::{DeleteRequest, PutRequest, RangeResponse, TxnResponse, filter, path};
use super::seen::Sighting;
use super::table::Wanted;
use super::{Etcd, txn};
use crate::limits::ETCD_HISTORY_MAX;
use crate::port::{Error, Mode, Name, Place, Request, check_value};

/// Entries ahead that are counted when an entry asks for its place.
const COUNTED: i64 = 64;

impl Etcd {
    /// Finds an entry's key, from memory or at the server.
    async fn find(&self, queue: &Name, token: FencingToken) -> Result<Option<Sighting>, Error> {
        if let Some(known) = self.seen().get(token).cloned()
            && self.keys.mode(queue, &known.key).is_some()
        {
            return Ok(Some(known));
        }
        self.look_up(queue, token).await
    }

    /// Finds an entry's key at the server.
    async fn look_up(&self, queue: &Name, token: FencingToken) -> Result<Option<Sighting>, Error> {
        let Ok(create) = i64::try_from(token.get()) else { return Ok(None) };
        let request = txn::created_at(self.keys.queue(queue), create);
        let range: RangeResponse = self.pool.call(path::RANGE, request).await?;
        let revision = range.header.as_ref().map_or(0, |header| header.revision);
        let Some(found) = range.kvs.into_iter().next() else {
            self.seen().forget(token);
            return Ok(None);
        };
        let mut seen = self.seen();
        seen.note(token, &found.key, revision);
        Ok(Some(Sighting { key: found.key, revision }))
    }

    /// Reads who is nearest ahead out of entries sorted from the newest, and remembers its key.
    fn nearest(
        &self,
        range: &RangeResponse,
        before: FencingToken,
        revision: i64,
    ) -> Result<Option<FencingToken>, Error> {
        for entry in &range.kvs {
            let token = self.token(entry.create_revision)?;
            if token < before {
                self.seen().note(token, &entry.key, revision);
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    pub(super) async fn enter_queue(
        &self,
        queue: &Name,
        request: Request<'_>,
    ) -> Result<Place, Error> {
        let Request { session, id, mode, value, wait } = request;
        check_value("the value of an entry", value)?;
        let over = || Error::SessionOver { session };
        let lease = i64::try_from(session.0).map_err(|_| over())?;
        let key = self.keys.entry(queue, mode, session, id);
        let blocking = self.keys.blocking(queue, mode);
        let put =
            PutRequest { key: key.clone(), value: value.to_vec(), lease, ignore_lease: false };
        let request = txn::enter(put, blocking, wait);
        let link = self.pool.link().await?;
        let answer: Result<TxnResponse, Failure> =
            self.pool.call_on(&link, path::TXN, request).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Failure::LeaseGone) => return Err(over()),
            Err(failure) => return Err(self.pool.error(failure)),
        };
        let (revision, created) = (answer.revision(), answer.succeeded);
        self.pool.saw(revision);
        let mut ranges = answer.into_ranges();
        let (first, second) = (ranges.next().unwrap_or_default(), ranges.next());
        if created {
            let token = self.token(revision)?;
            self.seen().note(token, &key, revision);
            let ahead = self.nearest(&first, token, revision)?;
            // It is the newest, so all others that are counted are ahead of it.
            let own = i64::from(mode == Mode::Exclusive);
            let depth = ahead.map_or(0, |_| u32::try_from(first.count - own).unwrap_or(u32::MAX));
            return Ok(Place { token, ahead, depth });
        }
        if let Some(own) = first.kvs.first() {
            // The answer to an earlier request was lost.
            let token = self.token(own.create_revision)?;
            self.seen().note(token, &key, revision);
            return match self.place_of(queue, token).await {
                // Its session has ended in between: nothing else takes an entry that is entering.
                Err(Error::Over { .. }) => Err(over()),
                other => other,
            };
        }
        let holder = second.as_ref().and_then(|range| range.kvs.first());
        let holder = holder.ok_or_else(|| self.strange())?;
        let holder = self.token(holder.create_revision)?;
        Err(Error::Busy { name: queue.clone(), holder })
    }

    pub(super) async fn place_of(&self, queue: &Name, token: FencingToken) -> Result<Place, Error> {
        let over = || Error::Over { name: queue.clone(), token };
        let sighting = self.find(queue, token).await?.ok_or_else(over)?;
        let mode = self.keys.mode(queue, &sighting.key).ok_or_else(over)?;
        let create = i64::try_from(token.get()).map_err(|_| over())?;
        let blocking = self.keys.blocking(queue, mode);
        let answer = self.transact(txn::place(sighting.key, blocking, create, COUNTED)).await?;
        let revision = answer.revision();
        let mut ranges = answer.into_ranges();
        let own = ranges.next().unwrap_or_default();
        let Some(own) = own.kvs.first().filter(|own| own.create_revision == create) else {
            self.seen().forget(token);
            return Err(over());
        };
        self.seen().note(token, &own.key, revision);
        let before = ranges.next().ok_or_else(|| self.strange())?;
        let ahead = self.nearest(&before, token, revision)?;
        let depth = u32::try_from(before.kvs.len()).unwrap_or(u32::MAX);
        Ok(Place { token, ahead, depth })
    }

    pub(super) async fn await_gone(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
        let Some(mut sighting) = self.find(queue, token).await? else { return Ok(()) };
        if sighting.revision < self.pool.revision() - ETCD_HISTORY_MAX {
            let Some(now) = self.look_up(queue, token).await? else { return Ok(()) };
            sighting = now;
        }
        let wanted = Wanted {
            range: Range::one(sighting.key),
            from: sighting.revision + 1,
            filters: vec![filter::NO_PUT],
        };
        let waited = self.watches.wait(wanted).await;
        // The next look at it begins with the server, so an early end does not repeat itself.
        self.seen().forget(token);
        waited
    }

    pub(super) async fn leave_queue(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
        let Some(Sighting { key, .. }) = self.find(queue, token).await? else { return Ok(()) };
        let Ok(create) = i64::try_from(token.get()) else { return Ok(()) };
        let delete = DeleteRequest { key: key.clone() };
        self.transact(txn::if_created_at(key, create, delete)).await?;
        self.seen().forget(token);
        Ok(())
    }

    pub(super) async fn set_value(
        &self,
        queue: &Name,
        token: FencingToken,
        value: &[u8],
    ) -> Result<(), Error> {
        check_value("the value of an entry", value)?;
        let over = || Error::Over { name: queue.clone(), token };
        let Sighting { key, .. } = self.find(queue, token).await?.ok_or_else(over)?;
        let create = i64::try_from(token.get()).map_err(|_| over())?;
        let put =
            PutRequest { key: key.clone(), value: value.to_vec(), lease: 0, ignore_lease: true };
        if self.transact(txn::if_created_at(key, create, put)).await?.succeeded {
            return Ok(());
        }
        self.seen().forget(token);
        Err(over())
    }
}
