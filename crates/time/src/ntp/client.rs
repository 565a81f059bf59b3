//! Asks over UDP.

use tokio::net::UdpSocket;

use super::packet::{LENGTH, Packet};
use super::poll::{Ask, Error, Servers};
use super::sample::{Refused, Sample};
use crate::clock::Clock;

/// NTP servers over UDP. Needs a tokio runtime with I/O and time.
///
/// Each question goes out of a new socket on a random port, connected to the server's address, and
/// carries a random nonce, so an answer that was not asked for is not taken for one.
#[derive(Clone, Debug)]
pub struct Udp {
    names: Vec<String>,
}

impl Udp {
    /// Servers by `host:port` or `host` (port 123). Names are looked up at each question, so that
    /// a pool's name leads to changing servers.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: servers.into_iter().map(Into::into).collect() }
    }

    async fn exchange(
        &self,
        server: usize,
        clock: &Clock,
        drift_ppm: u32,
    ) -> Result<Sample, Error> {
        let missing = || std::io::Error::other("no such server in the list");
        let name = self.names.get(server).ok_or_else(missing)?;
        let address = lookup(name).await?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let nonce = high ^ low.rotate_left(32);
        // In this order: if the thread is preempted between the two, the round trip is longer than it
        // was, and covers what the date is off by. The other way round nothing would.
        let sent_at = clock.monotonic();
        let sent = clock.now();
        socket.send(&Packet::question(nonce).encode()).await?;
        let mut buffer = [0; LENGTH];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let arrived_at = clock.monotonic();
            // Not what was asked for, so it may be from somebody who only knows the address.
            let Ok(answer) = Packet::decode(&buffer[..length]) else { continue };
            match Sample::from_answer(&answer, nonce, sent, (sent_at, arrived_at), drift_ppm) {
                // Somebody else's, or forged: the right one may still come.
                Err(Refused::OtherQuestion) => {}
                result => return Ok(result?),
            }
        }
    }
}

async fn lookup(name: &str) -> Result<std::net::SocketAddr, Error> {
    let with_port = name.parse::<std::net::SocketAddr>().is_ok()
        || name
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok());
    let mut found = if with_port {
        tokio::net::lookup_host(name).await?.collect::<Vec<_>>()
    } else {
        let host = name.trim_start_matches('[').trim_end_matches(']');
        tokio::net::lookup_host((host, 123)).await?.collect::<Vec<_>>()
    };
    let none = || std::io::Error::other(format!("{name} has no address"));
    if found.is_empty() { Err(none().into()) } else { Ok(found.swap_remove(0)) }
}

impl Servers for Udp {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn ask<'a>(&'a self, server: usize, clock: &'a Clock, drift_ppm: u32) -> Ask<'a> {
        Box::pin(self.exchange(server, clock, drift_ppm))
    }
}
