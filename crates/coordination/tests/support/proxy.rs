//! A loopback proxy that can hold back one direction while its connections stay open: what a lost
//! route or a dead switch port looks like to both ends.
//!
//! What is held back is not lost: it arrives after the release, as TCP would deliver it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
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
    address: SocketAddr,
    gates: watch::Sender<Gates>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gates = watch::Sender::new(Gates::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let (watched, counted) = (gates.clone(), Arc::clone(&accepted));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(client, server, watched.subscribe()));
            }
        });
        Self { address, gates, accepted, accepting }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
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

async fn connection(client: TcpStream, server: SocketAddr, gates: watch::Receiver<Gates>) {
    let generation = gates.borrow().generation;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut end = gates.clone();
    tokio::select! {
        biased;
        _ = end.wait_for(|gates| gates.generation != generation) => {}
        () = async {
            let requests = pump(from_client, to_server, gates.clone(), Direction::Requests);
            let answers = pump(from_server, to_client, gates, Direction::Answers);
            tokio::join!(requests, answers);
        } => {}
    }
}

/// Copies one direction; an end is passed on too, once what came before it has passed.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut gates: watch::Receiver<Gates>,
    direction: Direction,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if gates.wait_for(|gates| !gates.held(direction)).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
