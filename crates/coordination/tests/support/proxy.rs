//! A proxy, on the loopback or between Unix sockets, that can hold back one direction while its connections stay open: what a lost
//! route or a dead switch port looks like to both ends.
//!
//! What is held back is not lost: it arrives after the release, as TCP would deliver it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the clients to the server.
    Requests,
    /// From the server to the clients.
    Answers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gates {
    requests_held: bool,
    answers_held: bool,
    /// Connections made before the last cut end.
    generation: u64,
    /// Connections made before the last of these pass nothing ever again, and stay open.
    stranded: u64,
}

impl Gates {
    const fn held(&self, direction: Direction) -> bool {
        match direction {
            Direction::Requests => self.requests_held,
            Direction::Answers => self.answers_held,
        }
    }
}

/// A proxy in front of one server. Ends when dropped.
pub struct Proxy {
    /// Of one on the loopback.
    address: Option<SocketAddr>,
    gates: watch::Sender<Gates>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start(Some(address), |gates, accepted| async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let gates = gates.subscribe();
                tokio::spawn(async move {
                    let born = *gates.borrow();
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let (client, server) = (client.into_split(), server.into_split());
                    connection(client, server, gates, born).await;
                });
            }
        })
    }

    /// Starts a proxy at the path of a Unix socket, in front of a server at another.
    pub fn between(path: &Path, server: &Path) -> Self {
        let (listener, server) = (UnixListener::bind(path).unwrap(), PathBuf::from(server));
        Self::start(None, |gates, accepted| async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (gates, server) = (gates.subscribe(), server.clone());
                tokio::spawn(async move {
                    let born = *gates.borrow();
                    let Ok(server) = UnixStream::connect(server).await else { return };
                    let (client, server) = (client.into_split(), server.into_split());
                    connection(client, server, gates, born).await;
                });
            }
        })
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

    /// Where clients connect to, on the loopback.
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Lets nothing pass in a direction, on present and future connections, which stay open.
    pub fn hold(&self, direction: Direction) {
        self.set(direction, true);
    }

    /// Lets everything pass again.
    pub fn release(&self, direction: Direction) {
        self.set(direction, false);
    }

    fn set(&self, direction: Direction, held: bool) {
        self.gates.send_modify(|gates| match direction {
            Direction::Requests => gates.requests_held = held,
            Direction::Answers => gates.answers_held = held,
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
        self.accepting.abort();
        self.cut();
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
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let passes = |gates: &Gates| !gates.held(direction) && gates.stranded == born.stranded;
        if gates.wait_for(passes).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
