//! ZooKeeper: ephemeral sequential nodes as entries, `czxid` as token.
//!
//! | the port | in ZooKeeper |
//! |---|---|
//! | session | a session, with a connection of its own |
//! | entry | an ephemeral sequential node below the queue's node, its `czxid` the token |
//! | place | the queue's children, after a `sync` |
//! | gone | a watch on that one node |
//! | register | a persistent node, its `mzxid` the version |
//!
//! A queue's node is a container, which the server removes when it is empty. An entry's name has
//! the caller's id, so that an entry whose answer was lost is found again instead of made twice.
//!
//! # Which reads wait for the leader
//! A ZooKeeper server answers reads from its own copy. It never goes back for one client, but it
//! may be behind. `enter` needs no more than that after its own write: those before it are in any
//! copy that has it. Everything that decides something for another client (`place`, `list`,
//! `load`, the look for a lost answer) is read behind a `sync`, sent on the same connection
//! without waiting in between, so it costs the leader's way and no further round trip.
//!
//! # Renewal
//! The client library sends pings by itself, whether or not anybody still works here. They keep a
//! connection, not a session: what counts is [`renew`](crate::port::Coordinator::renew), and a
//! session that is not renewed for its length is ended from here. A renewal is a `sync`, too, since
//! the leader answers it only for a session that it still has: a server that is cut off from its
//! leader cannot renew. A session belongs to the client that opened it, as it does in ZooKeeper.
//!
//! # Limits
//! - `sync` is no vote: a leader that has just been deposed and does not know it yet may answer,
//!   for at most `syncLimit` ticks. Entries and registers are safe, as writes are votes.
//! - Servers report to the leader once in half a tick which sessions they have heard of. If one is
//!   cut off in between, the leader counts from the report before, and a session ends earlier than
//!   its holder thinks. The token stops what that holder still sends.
//! - A session ends at the next whole tick, so up to one later.
//! - The answer to a listing is at most `jute.maxbuffer` long at the server, 1 MiB unless set:
//!   enough for the entries that a queue may have, and for some ten thousand queues.

mod link;
mod names;
mod options;
mod queue;
mod registers;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use options::Options;

use self::link::Link;
use self::seen::Seen;
use crate::limits::{LENGTH_MAX, ZOOKEEPER_LENGTH_MIN, ZOOKEEPER_WATCHES_MAX};
use crate::port::{
    Answer, Capabilities, Coordinator, Error, Listing, Name, Notification, Opened, Place, Register,
    Request, SessionId,
};

const ENGINE: &str = "zookeeper";

/// The engine. Needs ZooKeeper 3.5.3 or later, and a tokio runtime.
pub struct ZooKeeper {
    link: Arc<Link>,
    seen: Seen,
    watches: Arc<Semaphore>,
}

impl std::fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZooKeeper").field("root", &self.link.root()).finish_non_exhaustive()
    }
}

impl ZooKeeper {
    /// Connects once, to see that the servers will do, and makes the root's nodes if they are not
    /// there. `clock` measures how long a server of another kind has to show itself.
    ///
    /// # Errors
    /// [`Error::Refused`] when they will not, [`Error::Unavailable`] when none answers.
    pub async fn connect(options: Options, clock: Clock) -> Result<Self, Error> {
        options.check()?;
        let link = Arc::new(Link::new(options, clock));
        let client = link.shared().await?;
        link.make_roots(&client).await.map_err(|fault| link.fault(&fault))?;
        let watches = Arc::new(Semaphore::new(ZOOKEEPER_WATCHES_MAX));
        Ok(Self { link, seen: Seen::default(), watches })
    }

    /// Makes room for watches, for as long as the permit is kept.
    fn watch(&self, count: usize) -> Result<OwnedSemaphorePermit, Error> {
        let full = Error::Full { what: "watches", limit: ZOOKEEPER_WATCHES_MAX };
        let count = u32::try_from(count).map_err(|_| full.clone())?;
        Arc::clone(&self.watches).try_acquire_many_owned(count).map_err(|_| full)
    }

    async fn do_open(&self, length: Duration) -> Result<Opened, Error> {
        let wrong = |max| Error::Length { asked: length, min: ZOOKEEPER_LENGTH_MIN, max };
        if length < ZOOKEEPER_LENGTH_MIN || length > LENGTH_MAX {
            return Err(wrong(LENGTH_MAX));
        }
        self.link.check_room()?;
        // ZooKeeper counts in milliseconds.
        let millis = u64::try_from(length.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let client = self.link.connect(Duration::from_millis(millis)).await?;
        let granted = client.session_timeout();
        if granted < length {
            // The server's `maxSessionTimeout`; the session goes with the client.
            return Err(wrong(granted));
        }
        Ok(Opened { session: self.link.keep(client), length: granted })
    }

    async fn do_renew(&self, session: SessionId) -> Result<(), Error> {
        let client = self.link.session(session).await?;
        let answer = client.sync(self.link.root()).await;
        answer.map_err(|fault| self.link.session_fault(&fault, session))?;
        if self.link.renewed(session) { Ok(()) } else { Err(Error::SessionOver { session }) }
    }
}

impl ZooKeeper {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::If("a deposed leader learns of it before it answers a sync"),
        fair: Answer::Yes,
        fenced: Answer::Yes,
        survives_restart: Answer::If("the servers run with forceSync=yes, their default"),
        survives_leader_loss: Answer::Yes,
        notification: Notification::Pushed,
        session_min: ZOOKEEPER_LENGTH_MIN,
        session_max: LENGTH_MAX,
        note: "sessions are at least minSessionTimeout long, two ticks of the servers unless \
               set, and at most maxSessionTimeout, twenty",
    };
}

impl Coordinator for ZooKeeper {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.do_open(length).boxed()
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.do_renew(session).boxed()
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.link.close(session).boxed()
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.do_enter(queue, request).boxed()
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.do_place(queue, token).boxed()
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.do_gone(queue, token).boxed()
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.do_leave(queue, token).boxed()
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.do_set(queue, token, value).boxed()
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        self.do_list(queue, since).boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        self.do_queues(after).boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        self.do_load(register).boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.do_store(register, expected, value).boxed()
    }
}
