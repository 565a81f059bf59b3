//! Ports that nobody listens on.
//!
//! They are taken from below the range from which the system serves outgoing connections: there,
//! a client that asks for a stopped server again and again would one day get that very port for
//! its own end, be connected to itself, and keep the server from coming back.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The ports that are tried: above those of well-known servers, below 32,768, where Linux begins
/// to give ports to outgoing connections (`net.ipv4.ip_local_port_range`).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// So many free ports on the loopback interface, all different.
///
/// Somebody else may take one before it is used; whoever starts a server has to try again then.
///
/// # Errors
/// There are not so many.
pub fn free(count: usize) -> io::Result<Vec<u16>> {
    // Another run at the same time begins elsewhere.
    let offset = (std::process::id() % u32::from(COUNT)) * 7;
    let candidates = (0..u32::from(COUNT)).map(|step| (offset + step) % u32::from(COUNT));
    // Each is held until all are found, so that none is found twice.
    let mut held = Vec::new();
    for candidate in candidates {
        if held.len() == count {
            break;
        }
        let port = FIRST + u16::try_from(candidate).unwrap_or_default();
        held.extend(
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|listener| (port, listener)),
        );
    }
    if held.len() < count {
        return Err(io::Error::other(format!("there are no {count} free ports on 127.0.0.1")));
    }
    Ok(held.into_iter().map(|(port, _)| port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let mut ports = free(20).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
        assert!(!free(20).unwrap().contains(&ports[0]), "one that is taken is not free");
        drop(taken);
        ports.dedup();
        assert_eq!(ports.len(), 20);
        assert!(ports.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)));
    }
}
