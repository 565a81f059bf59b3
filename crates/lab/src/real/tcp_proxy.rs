//! A proxy at the level of bytes, on the loopback or between Unix sockets.
//!
//! It can hold back one direction while its connections stay open (what a lost route or a dead switch
//! port looks like to both ends), make bytes late and slow, and end connections. What is held back is
//! not lost: it arrives after the release, as TCP would deliver it.
//!
//! # Limits
//! A proxy of bytes knows no messages: it cannot lose, double or reorder them, for TCP would not.
//! What is on the way is bounded ([`ON_THE_WAY_MAX`]); a sender that is faster than the link waits, as
//! it does for a full window.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What may be on its way in one direction of a connection, in bytes: what a link of 50 Mbit/s holds
/// in 160 ms.
pub const ON_THE_WAY_MAX: usize = 1 << 20;

/// What is read at once, in bytes.
const READ_BYTES: usize = 16 * 1_024;

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the clients to the server.
    Requests,
    /// From the server to the clients.
    Answers,
}

/// What a direction does to its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// How late they are.
    pub delay: Duration,
    /// How many pass in a second; as many as there are when none.
    pub bytes_per_second: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gates {
    requests: Gate,
    answers: Gate,
    /// Connections made before the last cut end.
    generation: u64,
    /// Connections made before the last of these pass nothing ever again, and stay open.
    stranded: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    is_held: bool,
    pace: Pace,
}

impl Gates {
    const fn gate(&self, direction: Direction) -> Gate {
        match direction {
            Direction::Requests => self.requests,
            Direction::Answers => self.answers,
        }
    }
}

/// A proxy in front of one server. Ends when dropped, with its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Of one on the loopback.
    address: Option<SocketAddr>,
    gates: watch::Sender<Gates>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback, in tasks of the tokio runtime.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self::start(Some(address), |gates, accepted| async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                while connections.try_join_next().is_some() {}
                let gates = gates.subscribe();
                connections.spawn(async move {
                    let born = *gates.borrow();
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    connection(client.into_split(), server.into_split(), gates, born).await;
                });
            }
        }))
    }

    /// Starts a proxy at the path of a Unix socket, in front of a server at another.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn between(path: &Path, server: &Path) -> io::Result<Self> {
        let (listener, server) = (UnixListener::bind(path)?, PathBuf::from(server));
        Ok(Self::start(None, |gates, accepted| async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                while connections.try_join_next().is_some() {}
                let (gates, server) = (gates.subscribe(), server.clone());
                connections.spawn(async move {
                    let born = *gates.borrow();
                    let Ok(server) = UnixStream::connect(server).await else { return };
                    connection(client.into_split(), server.into_split(), gates, born).await;
                });
            }
        }))
    }

    fn start<A, F>(address: Option<SocketAddr>, accept: A) -> Self
    where
        A: FnOnce(watch::Sender<Gates>, Arc<AtomicUsize>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let gates = watch::Sender::new(Gates::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(gates.clone(), Arc::clone(&accepted)));
        Self { address, gates, accepted, accepting }
    }

    /// Where clients connect to, on the loopback; none between Unix sockets.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Lets nothing pass in a direction, on present and future connections, which stay open.
    pub fn hold(&self, direction: Direction) {
        self.change(direction, |gate| gate.is_held = true);
    }

    /// Lets everything pass again.
    pub fn release(&self, direction: Direction) {
        self.change(direction, |gate| gate.is_held = false);
    }

    /// Makes a direction late and slow, on present and future connections, for what comes from now
    /// on. The default pace is none of it.
    pub fn pace(&self, direction: Direction, pace: Pace) {
        self.change(direction, |gate| gate.pace = pace);
    }

    fn change(&self, direction: Direction, change: impl FnOnce(&mut Gate)) {
        self.gates.send_modify(|gates| {
            change(match direction {
                Direction::Requests => &mut gates.requests,
                Direction::Answers => &mut gates.answers,
            });
        });
    }

    /// Lets nothing pass on present connections ever again, in either direction, and does not close
    /// them: what is left when a firewall has forgotten them. New ones work.
    pub fn strand(&self) {
        self.gates.send_modify(|gates| gates.stranded += 1);
    }

    /// Closes all present connections.
    pub fn cut(&self) {
        self.gates.send_modify(|gates| gates.generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections are its own, and end with it.
        self.accepting.abort();
    }
}

async fn connection<CR, CW, SR, SW>(
    (from_client, to_client): (CR, CW),
    (from_server, to_server): (SR, SW),
    gates: watch::Receiver<Gates>,
    born: Gates,
) where
    CR: AsyncRead + Unpin,
    CW: AsyncWrite + Unpin,
    SR: AsyncRead + Unpin,
    SW: AsyncWrite + Unpin,
{
    let mut end = gates.clone();
    tokio::select! {
        biased;
        _ = end.wait_for(|gates| gates.generation != born.generation) => {}
        () = async {
            let requests = pump(from_client, to_server, gates.clone(), born, Direction::Requests);
            let answers = pump(from_server, to_client, gates, born, Direction::Answers);
            tokio::join!(requests, answers);
        } => {}
    }
}

/// Bytes on their way, and when they arrive. None of them is the end of the stream.
struct OnTheWay {
    clock: Clock,
    chunks: VecDeque<(Monotonic, Vec<u8>)>,
    bytes: usize,
    /// When the wire is free again.
    free: Monotonic,
}

impl OnTheWay {
    fn send(&mut self, chunk: Vec<u8>, pace: Pace) {
        let now = self.clock.monotonic();
        let wire = pace.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(chunk.len() as f64 / rate).unwrap_or(Duration::MAX)
        });
        self.free = self.free.max(now) + wire;
        let before = self.chunks.back().map_or(now, |(at, _)| *at);
        self.bytes += chunk.len();
        // Bytes do not overtake each other, whatever the pace was when they were sent.
        self.chunks.push_back(((self.free + pace.delay).max(before), chunk));
    }
}

/// Copies one direction; an end is passed on too, once what came before it has passed.
async fn pump<R, W>(
    mut from: R,
    mut to: W,
    mut gates: watch::Receiver<Gates>,
    born: Gates,
    direction: Direction,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let clock = Clock::system();
    let free = clock.monotonic();
    let mut way = OnTheWay { clock: clock.clone(), chunks: VecDeque::new(), bytes: 0, free };
    let mut buffer = vec![0; READ_BYTES];
    let mut is_over = false;
    loop {
        let due = way.chunks.front().map(|(at, _)| *at);
        let arrival = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrival => {}
            read = from.read(&mut buffer), if !is_over && way.bytes < ON_THE_WAY_MAX => {
                let read = read.unwrap_or(0);
                is_over = read == 0;
                let pace = gates.borrow().gate(direction).pace;
                way.send(buffer[..read].to_vec(), pace);
                continue;
            }
        }
        let passes =
            |gates: &Gates| !gates.gate(direction).is_held && gates.stranded == born.stranded;
        if gates.wait_for(passes).await.is_err() {
            return;
        }
        let Some((_, chunk)) = way.chunks.pop_front() else { continue };
        way.bytes -= chunk.len();
        if chunk.is_empty() || to.write_all(&chunk).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
