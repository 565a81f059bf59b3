//! Coordination by an etcd cluster (feature `etcd`).
//!
//! Why: etcd is what most who coordinate already run. It survives the loss of a minority of its
//! members, and its store numbers every change, which is all that a fence needs.
//!
//! | port | etcd |
//! |---|---|
//! | session | lease; its length in whole seconds, at least about 2 s |
//! | entry | a key under that lease: session, mode and id in the key, the user's value as its value |
//! | token | the key's create revision |
//! | `enter` | one transaction: create the key if it is not there, and look who is ahead |
//! | `gone` | a watch on that one key, from the revision at which it was seen |
//! | `leave`, `set` | a transaction that compares the create revision first |
//! | register | a key; its version is the mod revision |
//!
//! The server is spoken to in its public gRPC interface with messages written by hand (`proto`):
//! the usual client generates them with a protocol compiler, which a build here must not need.
//!
//! # What is done about etcd's own weak points
//!
//! - A leader that has lost its majority, or was frozen until another one led, renews leases for a
//!   moment longer, and the new leader never hears of it. A renewal here counts only once the same
//!   member has answered a linearizable read after it, in the same term.
//! - A member that is frozen or cut off keeps its connection. Whoever waits in vain, or drops a
//!   call, puts it under suspicion, and the next member takes over (`pool`).
//! - Watches are told from a revision on, so one that was lost with its connection is taken up
//!   without a gap, and one whose revision is compacted or long past ends early: its caller looks
//!   again, which is linearizable.
//! - Reads are linearizable, so a member in a minority answers none.
//!
//! # Limits
//!
//! etcd 3.4 or later. Finding who is ahead costs the server a pass over the queue, as with etcd's
//! own locks: queues of thousands are slow. Waiting needs a tokio runtime: one task reads the
//! events. The length of sessions is rounded up to whole seconds and to the server's minimum (1.5
//! election timeouts); [`Opened::length`] says to what.

mod banner;
mod failure;
mod keys;
mod link;
mod options;
mod pool;
mod proto;
mod seen;
mod table;
mod txn;
mod watches;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;

use self::failure::Failure;
use self::keys::{Keys, Range};
use self::pool::Pool;
use self::proto::{
    DeleteRequest, Header, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest,
    LeaseKeepAliveResponse, LeaseRevokeRequest, LeaseRevokeResponse, PutRequest, RangeResponse,
    TxnRequest, TxnResponse, filter, path,
};
use self::seen::{Seen, Sighting};
use self::table::Wanted;
use self::watches::Watches;
use crate::limits::{
    ETCD_HISTORY_MAX, ETCD_SEEN_MAX, LENGTH_MAX, LENGTH_MIN, LIST_MAX, VALUE_BYTES_MAX,
};
use crate::port::{
    Answer, Capabilities, Coordinator, Entry, Error, Listing, Mode, Name, Notification, Opened,
    Place, Register, Request, SessionId,
};

pub use self::options::{Credentials, Invalid, Options, Tls};

/// The engine's name.
const ENGINE: &str = "etcd";

/// Entries ahead that are counted when an entry asks for its place.
const COUNTED: i64 = 64;

/// Keys of one page when the queues are listed.
const PAGE: i64 = 512;

/// An etcd cluster as an engine.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use steadfast_coordination::engine::etcd::{Etcd, Options};
/// use steadfast_time::Clock;
///
/// let options: Options = "etcd://user:password@10.0.0.1:2379,10.0.0.2:2379/orders".parse()?;
/// let etcd = Etcd::connect(options, Clock::system()).await?;
/// # Ok(())
/// # }
/// ```
pub struct Etcd {
    pool: Arc<Pool>,
    keys: Keys,
    seen: Mutex<Seen>,
    watches: Arc<Watches>,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("options", &self.pool.options).finish_non_exhaustive()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.watches.close();
    }
}

impl Etcd {
    /// An engine that connects when it is first used.
    ///
    /// # Errors
    /// [`Invalid`] says which option cannot be used.
    pub fn new(options: Options, clock: Clock) -> Result<Self, Invalid> {
        options.check()?;
        for index in 0..options.endpoints.len() {
            link::endpoint(&options, index)?;
        }
        let keys = Keys::new(&options.prefix);
        let probe = keys.queues_after(None).key;
        let pool = Arc::new(Pool::new(options, clock));
        let watches = Arc::new(Watches::new(Arc::clone(&pool), probe));
        Ok(Self { pool, keys, seen: Mutex::new(Seen::new(ETCD_SEEN_MAX)), watches })
    }

    /// An engine whose cluster has been found and takes its credentials.
    ///
    /// # Errors
    /// [`Error::Refused`] when the options cannot be used, the credentials are wrong, or another
    /// kind of server is there; [`Error::Unavailable`] when no member answers in time.
    pub async fn connect(options: Options, clock: Clock) -> Result<Self, Error> {
        let address = options.endpoints.join(",").into();
        let etcd = Self::new(options, clock).map_err(|invalid| Error::Refused {
            engine: ENGINE,
            address,
            reason: invalid.to_string().into(),
        })?;
        let probe = txn::count(etcd.keys.queues_after(None).key);
        let _: RangeResponse = etcd.pool.call(path::RANGE, probe).await?;
        Ok(etcd)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn transact(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let answer: TxnResponse = self.pool.call(path::TXN, request).await?;
        self.pool.saw(answer.revision());
        Ok(answer)
    }

    fn strange(&self) -> Error {
        self.pool.unavailable("it gave an answer that does not fit the question")
    }

    fn token(&self, revision: i64) -> Result<FencingToken, Error> {
        let number = u64::try_from(revision).ok().and_then(FencingToken::new);
        number.ok_or_else(|| self.strange())
    }

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

    async fn enter_queue(&self, queue: &Name, request: Request<'_>) -> Result<Place, Error> {
        let Request { session, id, mode, value, wait } = request;
        fits(value)?;
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

    async fn place_of(&self, queue: &Name, token: FencingToken) -> Result<Place, Error> {
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

    async fn await_gone(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
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

    async fn leave_queue(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
        let Some(Sighting { key, .. }) = self.find(queue, token).await? else { return Ok(()) };
        let Ok(create) = i64::try_from(token.get()) else { return Ok(()) };
        let delete = DeleteRequest { key: key.clone() };
        self.transact(txn::if_created_at(key, create, delete)).await?;
        self.seen().forget(token);
        Ok(())
    }

    async fn set_value(
        &self,
        queue: &Name,
        token: FencingToken,
        value: &[u8],
    ) -> Result<(), Error> {
        fits(value)?;
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

    async fn list_queue(&self, queue: &Name, since: Option<u64>) -> Result<Listing, Error> {
        let range = self.keys.queue(queue);
        loop {
            let answer = self.transact(txn::list(range.clone())).await?;
            let revision = answer.revision();
            let mut ranges = answer.into_ranges();
            let all = ranges.next().unwrap_or_default();
            let newest = ranges.next().unwrap_or_default();
            let changed = newest.kvs.first().map_or(0, |entry| entry.mod_revision);
            let version = version(changed, all.count);
            if since != Some(version) {
                let mut entries = Vec::with_capacity(all.kvs.len());
                for entry in all.kvs {
                    // Keys that another program has put there are none of ours.
                    let Some(mode) = self.keys.mode(queue, &entry.key) else { continue };
                    let token = self.token(entry.create_revision)?;
                    let session = SessionId(u64::try_from(entry.lease).unwrap_or(0));
                    entries.push(Entry { token, session, mode, value: entry.value });
                }
                return Ok(Listing { version, entries });
            }
            let wanted = Wanted { range: range.clone(), from: revision + 1, filters: Vec::new() };
            self.watches.wait(wanted).await?;
        }
    }

    async fn list_queues(&self, after: Option<&Name>) -> Result<Vec<Name>, Error> {
        let mut names: Vec<Name> = Vec::new();
        let mut range = self.keys.queues_after(after);
        while names.len() < LIST_MAX {
            let request = txn::page(range.clone(), PAGE);
            let page: RangeResponse = self.pool.call(path::RANGE, request).await?;
            for entry in &page.kvs {
                if let Some(name) = self.keys.queue_of(&entry.key)
                    && names.last() != Some(&name)
                    && names.len() < LIST_MAX
                {
                    names.push(name);
                }
            }
            let Some(last) = page.kvs.into_iter().next_back().filter(|_| page.more) else { break };
            range.key = match self.keys.queue_of(&last.key) {
                // The rest of that queue is passed over.
                Some(name) => self.keys.queue(&name).end,
                None => [last.key, vec![0]].concat(),
            };
        }
        Ok(names)
    }

    async fn load_register(&self, register: &Name) -> Result<Option<Register>, Error> {
        let request = txn::get(self.keys.register(register));
        let range: RangeResponse = self.pool.call(path::RANGE, request).await?;
        Ok(range.kvs.into_iter().next().map(|found| Register {
            version: u64::try_from(found.mod_revision).unwrap_or(0),
            value: found.value,
        }))
    }

    async fn store_register(
        &self,
        register: &Name,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<u64, Error> {
        fits(value)?;
        let key = self.keys.register(register);
        // No key was ever changed at revision -1: what is not a version fits nothing.
        let expected =
            expected.map(|version| i64::try_from(version).ok().filter(|v| *v > 0).unwrap_or(-1));
        let answer = self.transact(txn::store(key, expected, value.to_vec())).await?;
        let revision = answer.revision();
        if answer.succeeded {
            return u64::try_from(revision).map_err(|_| self.strange());
        }
        let found = answer.into_ranges().next().unwrap_or_default();
        let version = found.kvs.first().and_then(|found| u64::try_from(found.mod_revision).ok());
        Err(Error::Conflict { register: register.clone(), version })
    }

    async fn open_session(&self, length: Duration) -> Result<Opened, Error> {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return Err(Error::Length { asked: length, min: LENGTH_MIN, max: LENGTH_MAX });
        }
        let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
        let ttl = i64::try_from(seconds).unwrap_or(i64::MAX);
        let granted: LeaseGrantResponse =
            self.pool.call(path::LEASE_GRANT, LeaseGrantRequest { ttl }).await?;
        match (u64::try_from(granted.id), u64::try_from(granted.ttl)) {
            (Ok(id @ 1..), Ok(ttl)) if ttl >= seconds => {
                Ok(Opened { session: SessionId(id), length: Duration::from_secs(ttl) })
            }
            _ => Err(self.strange()),
        }
    }

    async fn renew_session(&self, session: SessionId) -> Result<(), Error> {
        let over = || Error::SessionOver { session };
        let id = i64::try_from(session.0).map_err(|_| over())?;
        let link = self.pool.link().await?;
        let kept: Result<LeaseKeepAliveResponse, Failure> =
            self.pool.call_on(&link, path::LEASE_KEEP_ALIVE, LeaseKeepAliveRequest { id }).await;
        let before = match kept {
            Ok(kept) if kept.ttl > 0 => term(kept.header.as_ref()),
            Ok(_) | Err(Failure::LeaseGone) => return Err(over()),
            Err(failure) => return Err(self.pool.error(failure)),
        };
        let probe = txn::count(self.keys.queues_after(None).key);
        let confirmed: Result<RangeResponse, Failure> =
            self.pool.call_on(&link, path::RANGE, probe).await;
        let confirmed = confirmed.map_err(|failure| self.pool.error(failure))?;
        if led(before, term(confirmed.header.as_ref())) {
            return Ok(());
        }
        Err(self.pool.unavailable("its leader changed during the renewal"))
    }

    async fn close_session(&self, session: SessionId) -> Result<(), Error> {
        let Ok(id) = i64::try_from(session.0) else { return Ok(()) };
        let link = self.pool.link().await?;
        let ended: Result<LeaseRevokeResponse, Failure> =
            self.pool.call_on(&link, path::LEASE_REVOKE, LeaseRevokeRequest { id }).await;
        match ended {
            Ok(_) | Err(Failure::LeaseGone) => Ok(()),
            Err(failure) => Err(self.pool.error(failure)),
        }
    }
}

/// The term of a member, as its answer says.
fn term(header: Option<&Header>) -> u64 {
    header.map_or(0, |header| header.raft_term)
}

/// Whether a renewal was done by the leader that counts, by the terms that the member had applied
/// before the renewal and after the linearizable read that followed it.
///
/// Leases are renewed by whoever takes itself for the leader, without asking a majority. If the
/// terms are equal, that leader had been elected before the renewal, since an entry of its term had
/// been applied, and had a majority after it, since a read was answered in that term: it led in
/// between. If they are not, an old leader may have answered that had just been frozen or cut off,
/// and the new one knows nothing of the renewal.
fn led(before: u64, after: u64) -> bool {
    before == after && before != 0
}

/// A version of a queue: the revision of the last change to what is there, and how much is there.
/// Between two equal ones nothing was added or changed, for that takes a higher revision; so
/// nothing was removed either, for then there would be less.
fn version(changed: i64, count: i64) -> u64 {
    /// 2^44 revisions are 50 years of ten thousand a second; 2^20 entries no queue has.
    const COUNT_BITS: u32 = 20;
    let number = |it: i64| u64::try_from(it).unwrap_or(0);
    number(changed) << COUNT_BITS | number(count) & ((1 << COUNT_BITS) - 1)
}

fn fits(value: &[u8]) -> Result<(), Error> {
    let bytes = value.len();
    if bytes > VALUE_BYTES_MAX {
        return Err(Error::TooLarge { what: "the value", bytes, limit: VALUE_BYTES_MAX });
    }
    Ok(())
}

impl Etcd {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::Yes,
        fair: Answer::Yes,
        fenced: Answer::Yes,
        survives_restart: Answer::Yes,
        survives_leader_loss: Answer::If("the cluster has three members or more"),
        notification: Notification::Pushed,
        session_min: Duration::from_secs(2),
        session_max: LENGTH_MAX,
        note: "sessions are rounded up to whole seconds and to 1.5 election timeouts of the \
               server, 2 s by default; after a change of leader they start anew",
    };
}

impl Coordinator for Etcd {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.open_session(length).boxed()
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.renew_session(session).boxed()
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.close_session(session).boxed()
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.enter_queue(queue, request).boxed()
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.place_of(queue, token).boxed()
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.await_gone(queue, token).boxed()
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.leave_queue(queue, token).boxed()
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.set_value(queue, token, value).boxed()
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        self.list_queue(queue, since).boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        self.list_queues(after).boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        self.load_register(register).boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.store_register(register, expected, value).boxed()
    }
}
