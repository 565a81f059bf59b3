//! Connections: one for each session that was opened here, and one that all other calls share.
//!
//! ZooKeeper ties an entry to the session that made it, and a session to a connection; so every
//! session is a connection of its own. Reading, waiting, leaving and storing need no particular
//! session and go over the shared one, which is opened anew when it has ended.
//!
//! Requests that are made while a connection is down would pile up in the client library, so they
//! wait here for it to come back, where the caller can drop them.
//!
//! The library sends pings for as long as the process runs. A session would thus never end while
//! its holder hangs, and everybody would wait for it. So each session has a *watchman*: a task that
//! ends it when it was not renewed for its length, counted from the answer to the last renewal,
//! which is never before the server's own count or the holder's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};
use tokio::task::AbortHandle;
use zookeeper_client::{
    Acls, Client, CreateMode, CreateOptions, Error as Fault, SessionState, StateWatcher,
};

use super::options::host_and_port;
use super::{ENGINE, Options};
use crate::engine::probe::probe;
use crate::limits::ZOOKEEPER_SESSIONS_MAX;
use crate::port::{Error, SessionId};

/// How long the shared session lives without a word. Nothing hangs on it but waits.
const SHARED_LENGTH: Duration = Duration::from_secs(10);

/// A connection on which nothing came back for so long counts as lost, even if the session is
/// long; with a short one, two fifths of it do (the client library's default).
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// A session that was opened here.
struct Held {
    /// Gone once it is being closed.
    client: Option<Client>,
    watcher: StateWatcher,
    length: Duration,
    /// When it ends unless it is renewed.
    until: Monotonic,
    /// Sees to that.
    watchman: Option<AbortHandle>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(watchman) = &self.watchman {
            watchman.abort();
        }
    }
}

/// All connections.
pub(super) struct Link {
    options: Options,
    address: Arc<str>,
    clock: Clock,
    shared: tokio::sync::Mutex<Option<Client>>,
    sessions: Mutex<BTreeMap<SessionId, Held>>,
}

impl Link {
    pub(super) fn new(options: Options, clock: Clock) -> Self {
        let address = options.address();
        let (shared, sessions) = (tokio::sync::Mutex::new(None), Mutex::default());
        Self { options, address, clock, shared, sessions }
    }

    pub(super) fn root(&self) -> &str {
        &self.options.root
    }

    /// How a node is made: for the user of the credentials only, where there are any.
    pub(super) fn making(&self, mode: CreateMode) -> CreateOptions<'static> {
        mode.with_acls(match self.options.credentials {
            Some(_) => Acls::creator_all(),
            None => Acls::anyone_all(),
        })
    }

    /// Connects, and opens a session.
    pub(super) async fn connect(&self, length: Duration) -> Result<Client, Error> {
        // Each server is tried once: whoever asks again decides for how long.
        let mut connector = Client::connector().with_session_timeout(length).with_fail_eagerly();
        if length * 2 / 5 > SILENCE_MAX {
            connector = connector.with_connection_timeout(SILENCE_MAX);
        }
        if let Some((user, password)) = &self.options.credentials {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
        match connector.connect(&self.options.servers.join(",")).await {
            Ok(client) => Ok(client),
            Err(Fault::AuthFailed) => Err(self.fault(&Fault::AuthFailed)),
            Err(fault) => Err(self.nobody(&fault).await),
        }
    }

    /// Why no server would have us: perhaps they are no ZooKeeper servers.
    async fn nobody(&self, fault: &Fault) -> Error {
        for server in &self.options.servers {
            let Some((host, port)) = host_and_port(server) else { continue };
            if let Some(kind) = probe(&self.clock, host, port).await {
                let reason =
                    format!("{kind} answers at {server}, not ZooKeeper; check the address");
                return self.refused(reason);
            }
        }
        match fault {
            Fault::NoHosts => self.unavailable("none of the servers answers"),
            fault => self.unavailable(&fault.to_string()),
        }
    }

    /// The shared connection, once it can be asked.
    pub(super) async fn shared(&self) -> Result<Client, Error> {
        let client = {
            let mut shared = self.shared.lock().await;
            match shared.as_ref().filter(|client| !client.state().is_terminated()) {
                Some(client) => client.clone(),
                None => shared.insert(self.connect(SHARED_LENGTH).await?).clone(),
            }
        };
        self.ready(&client).await.map_err(|fault| self.fault(&fault))?;
        Ok(client)
    }

    /// Waits until a connection is there.
    async fn ready(&self, client: &Client) -> Result<(), Fault> {
        let mut watcher = client.state_watcher();
        let mut state = client.state();
        loop {
            match state {
                SessionState::SyncConnected | SessionState::ConnectedReadOnly => return Ok(()),
                SessionState::Disconnected => state = watcher.changed().await,
                SessionState::AuthFailed => return Err(Fault::AuthFailed),
                SessionState::Expired | SessionState::Closed => return Err(Fault::SessionExpired),
            }
        }
    }

    /// Makes room for a session, if there is any.
    pub(super) fn check_room(&self) -> Result<(), Error> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, held| !held.watcher.peek_state().is_terminated());
        if sessions.len() >= ZOOKEEPER_SESSIONS_MAX {
            return Err(Error::Full { what: "sessions", limit: ZOOKEEPER_SESSIONS_MAX });
        }
        Ok(())
    }

    /// Keeps the connection of a session that was opened just now.
    pub(super) fn keep(self: &Arc<Self>, client: Client) -> SessionId {
        let session = session_id(client.session_id().0);
        let length = client.session_timeout();
        let watcher = client.state_watcher();
        let until = self.clock.monotonic() + length;
        let held = Held { client: Some(client), watcher, length, until, watchman: None };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session, held);
        let watching = watch_over(Arc::downgrade(self), self.clock.clone(), session);
        let watchman = tokio::spawn(watching).abort_handle();
        if let Some(held) = sessions.get_mut(&session) {
            held.watchman = Some(watchman);
        }
        session
    }

    /// Notes that the server has just answered a renewal. Says whether that came in time: a session
    /// that was given up meanwhile ends, although the server still had it.
    pub(super) fn renewed(&self, session: SessionId) -> bool {
        let now = self.clock.monotonic();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sessions.get_mut(&session).filter(|held| held.client.is_some());
        held.map(|held| held.until = held.until.max(now + held.length)).is_some()
    }

    /// When a session is to end; `None` when it has. Ends it if that is now.
    fn due(&self, session: SessionId) -> Option<Monotonic> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sessions.get_mut(&session)?;
        if self.clock.monotonic() >= held.until {
            // The library tells the server when the last of a session's clients is gone.
            held.client = None;
        }
        held.client.as_ref().map(|_| held.until)
    }

    /// The connection of a session, once it can be asked.
    ///
    /// # Errors
    /// [`Error::SessionOver`] when it has ended, or was not opened here.
    pub(super) async fn session(&self, session: SessionId) -> Result<Client, Error> {
        let client = {
            let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.get(&session).and_then(|held| held.client.clone())
        };
        let client = client.ok_or(Error::SessionOver { session })?;
        self.ready(&client).await.map_err(|fault| self.session_fault(&fault, session))?;
        Ok(client)
    }

    /// Ends a session, and waits until the server has.
    pub(super) async fn close(&self, session: SessionId) -> Result<(), Error> {
        let (client, mut watcher) = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(held) = sessions.get_mut(&session) else {
                return Ok(());
            };
            (held.client.take(), held.watcher.clone())
        };
        // The library ends a session when the last of its clients is gone.
        drop(client);
        let mut state = watcher.peek_state();
        let ended_before = state == SessionState::Expired;
        while !state.is_terminated() {
            state = watcher.changed().await;
        }
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        if state == SessionState::Closed || ended_before {
            return Ok(());
        }
        Err(self.unavailable("the session could not be closed in time; it ends by itself"))
    }

    /// What a failed request means for a call that needs no particular session.
    pub(super) fn fault(&self, fault: &Fault) -> Error {
        match fault {
            Fault::NoAuth | Fault::AuthFailed | Fault::InvalidAcl => self.refused(format!(
                "{fault}; the nodes below {} belong to another user, or the credentials are wrong",
                self.options.root
            )),
            Fault::Unimplemented => {
                self.refused("the server is older than 3.5.3, which is needed".to_owned())
            }
            Fault::BadArguments(_) | Fault::NotReadOnly => self.refused(fault.to_string()),
            _ => self.unavailable(&fault.to_string()),
        }
    }

    /// What it means for a call within a session.
    pub(super) fn session_fault(&self, fault: &Fault, session: SessionId) -> Error {
        match fault {
            Fault::SessionExpired | Fault::SessionMoved | Fault::ClientClosed => {
                Error::SessionOver { session }
            }
            fault => self.fault(fault),
        }
    }

    pub(super) fn unavailable(&self, reason: &str) -> Error {
        let address = Arc::clone(&self.address);
        Error::Unavailable { engine: ENGINE, address, reason: reason.into() }
    }

    fn refused(&self, reason: String) -> Error {
        let address = Arc::clone(&self.address);
        Error::Refused { engine: ENGINE, address, reason: reason.into() }
    }

    /// Makes the nodes below which queues and registers are, if they are not there.
    pub(super) async fn make_roots(&self, client: &Client) -> Result<(), Fault> {
        for below in ["q", "r"] {
            let path = format!("{}/{below}", self.options.root);
            client.mkdir(&path, &self.making(CreateMode::Persistent)).await?;
        }
        Ok(())
    }
}

/// Ends a session when it is not renewed.
async fn watch_over(link: Weak<Link>, clock: Clock, session: SessionId) {
    // The engine itself is not kept alive by this.
    while let Some(until) = link.upgrade().and_then(|link| link.due(session)) {
        clock.sleep_until(until).await;
    }
}

/// ZooKeeper's number of a session, which is signed, as ours, which is not.
pub(super) const fn session_id(id: i64) -> SessionId {
    SessionId(id.cast_unsigned())
}
