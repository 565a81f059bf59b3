//! Serves the engine to other processes of the machine.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::task::JoinSet;

use super::address::{self, AddressError};
use super::ask::{Ask, Job, Origin, ReplyTo};
use super::local::Embedded;
use super::peer::Peer;
use super::wire::{self, Malformed, Status};
use crate::limits::{EMBEDDED_ASK_BYTES_MAX, EMBEDDED_CONNECTIONS_MAX, EMBEDDED_GREETING_MAX};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Connections beyond the limit that are told so; those beyond that are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// What is read at once, in bytes.
const READ_BYTES: usize = 64 * 1_024;
/// Before accepting again when the system cannot have another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Why an engine cannot be served at an address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Somebody serves there.
    #[error("another server listens at {}; stop it or choose another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there, and stays.
    #[error("{} is not a socket; choose another path, nothing was changed", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An engine that listens on a Unix domain socket which only its user may use (mode 0600).
#[derive(Debug)]
pub struct Server {
    engine: Embedded,
    listener: UnixListener,
    clock: Clock,
    socket: SocketFile,
}

impl Server {
    /// Listens at a path. A socket that a server which is gone has left there is replaced. Beside it
    /// lies a lock file of the same name with `.lock`, so that two servers that start at once do
    /// not replace each other's.
    ///
    /// To be called on the tokio runtime that will serve.
    ///
    /// # Errors
    /// [`BindError`] says what stands in the way.
    pub fn bind(
        engine: &Embedded,
        path: impl AsRef<Path>,
        clock: Clock,
    ) -> Result<Self, BindError> {
        let path = std::path::absolute(path.as_ref()).map_err(|source| BindError::Io {
            action: "find",
            path: path.as_ref().to_owned(),
            source,
        })?;
        address::check(&path)?;
        let (listener, socket) = SocketFile::listen(path)?;
        Ok(Self { engine: engine.clone(), listener, clock, socket })
    }

    /// The address for [`Remote::connect`](super::Remote::connect).
    #[must_use]
    pub fn address(&self) -> String {
        address::format(&self.socket.path)
    }

    /// Serves until it is dropped or the engine ends; answers why that did. Sessions outlive the
    /// connections of their clients.
    ///
    /// Each connection is a task of its own on the runtime.
    pub async fn run(self) -> Arc<str> {
        let mut connections = JoinSet::new();
        let served = Arc::<AtomicUsize>::default();
        let mut ended = pin!(self.engine.ended());
        loop {
            let accepted = {
                let accepting = pin!(self.listener.accept());
                match select(ended.as_mut(), accepting).await {
                    Either::Left((reason, _)) => return reason,
                    Either::Right((accepted, _)) => accepted,
                }
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _))
                    if connections.len() < EMBEDDED_CONNECTIONS_MAX + TURNED_AWAY_MAX =>
                {
                    let (engine, clock) = (self.engine.clone(), self.clock.clone());
                    let place = Place::take(&served);
                    connections.spawn(async move { serve(engine, stream, clock, place).await });
                }
                Ok((stream, _)) => drop(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    self.clock.sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// One of the connections that are served at once.
struct Place {
    served: Arc<AtomicUsize>,
    is_beyond: bool,
}

impl Place {
    fn take(served: &Arc<AtomicUsize>) -> Self {
        let before = served.fetch_add(1, Ordering::Relaxed);
        Self { served: Arc::clone(served), is_beyond: before >= EMBEDDED_CONNECTIONS_MAX }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.served.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(engine: Embedded, mut stream: UnixStream, clock: Clock, place: Place) {
    let greeted = clock.timeout(EMBEDDED_GREETING_MAX, greet(&mut stream, &place)).await;
    match greeted {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return,
        Ok(Err(error)) => return tracing::warn!(%error, "a client that cannot be served"),
        Err(_) => return tracing::warn!("a client that says nothing is cut off"),
    }
    let (read, write) = stream.into_split();
    let peer = Arc::new(Peer::new(engine.next_peer(), write));
    let _waits = CancelAll { engine: &engine, peer: peer.number };
    let reading = pin!(read_asks(&engine, read, &peer));
    let writing = pin!(peer.write());
    if let Either::Left((Err(error), _)) = select(reading, writing).await {
        tracing::warn!(%error, "a client is cut off");
    }
}

/// Forgets the waits of a connection that has ended.
struct CancelAll<'a> {
    engine: &'a Embedded,
    peer: u64,
}

impl Drop for CancelAll<'_> {
    fn drop(&mut self) {
        self.engine.push([Job::CancelAll { peer: self.peer }]);
    }
}

/// Whether the client is to be served.
async fn greet(stream: &mut UnixStream, place: &Place) -> io::Result<bool> {
    let mut bytes = [0; wire::GREETING];
    let mut filled = 0;
    let status = loop {
        let read = stream.read(&mut bytes[filled..]).await?;
        if read == 0 {
            // Somebody looked whether anybody listens.
            return Ok(false);
        }
        filled += read;
        match wire::read_greeting(&bytes[..filled]) {
            Ok(None) => {}
            Ok(Some(())) if place.is_beyond => break Status::Full,
            Ok(Some(())) => break Status::Welcome,
            Err(error) => {
                stream.write_all(&wire::welcome(Status::Version)).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    };
    stream.write_all(&wire::welcome(status)).await?;
    Ok(status == Status::Welcome)
}

#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it asks for what only the server does")]
    Forbidden,
}

/// Hands on what a client asks, until it has gone.
async fn read_asks(
    engine: &Embedded,
    mut stream: OwnedReadHalf,
    peer: &Arc<Peer>,
) -> Result<(), Cut> {
    let mut buffer = vec![0; READ_BYTES];
    let mut filled = 0;
    let mut jobs = Vec::new();
    loop {
        peer.room().await;
        let read = match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(read) => read,
        };
        filled += read;
        let mut rest = &buffer[..filled];
        while let Some((frame, taken)) = wire::split(rest, EMBEDDED_ASK_BYTES_MAX)? {
            let (request, ask) = wire::decode::<Ask>(frame)?;
            if !ask.is_for_clients() {
                return Err(Cut::Forbidden);
            }
            let origin = Origin { peer: peer.number, request };
            jobs.push(match ask {
                Ask::Cancel(request) => Job::Cancel(Origin { request, ..origin }),
                ask => Job::Ask { ask, origin, to: ReplyTo::Peer(Arc::clone(peer)) },
            });
            rest = &rest[taken..];
        }
        let left = rest.len();
        buffer.copy_within(filled - left..filled, 0);
        filled = left;
        engine.push(jobs.drain(..));
    }
}

/// A socket's file, which is ours until this is dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Locked as long as it is open. It stays when the socket goes: whoever removes a lock file may
    /// remove another's.
    _lock: File,
}

impl SocketFile {
    fn listen(path: PathBuf) -> Result<(UnixListener, Self), BindError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BindError::Io { action, path, source }
        };
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BindError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(io("lock", &lock_path)(error)),
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket { path });
            }
            // A server that knows nothing of our lock file may be there.
            Ok(_) => match std::os::unix::net::UnixStream::connect(&path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(&path).map_err(io("remove", &path))?;
                }
                _ => return Err(BindError::InUse { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("look at", &path)(error)),
        }
        let socket = UnixSocket::new_stream().map_err(io("make", &path))?;
        socket.bind(&path).map_err(io("listen at", &path))?;
        // Before it listens, so that nobody else can have connected.
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(io("set the mode of", &path))?;
        let listener = socket.listen(BACKLOG).map_err(io("listen at", &path))?;
        let inode = fs::symlink_metadata(&path).map_err(io("look at", &path))?.ino();
        Ok((listener, Self { path, inode, _lock: lock }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|it| it.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}
