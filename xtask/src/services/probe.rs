//! Whether a server answers: a real request to each kind, not an open port.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::kind::Kind;

/// How long an answer may take. A server that was frozen accepts connections all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most of an answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Asks the server at a port of this machine.
///
/// # Errors
/// It does not answer, or not as a healthy server of its kind does.
pub fn ask(kind: Kind, port: u16) -> io::Result<()> {
    exchange(kind, port).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"))
        }
        _ => error,
    })
}

fn exchange(kind: Kind, port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&request(kind))?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while !is_healthy(kind, &answer) {
        let read = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..read]);
        if read == 0 || answer.len() > ANSWER_BYTES_MAX {
            let start: String = String::from_utf8_lossy(&answer).chars().take(80).collect();
            return Err(io::Error::other(format!("answers {start:?}")));
        }
    }
    Ok(())
}

/// What is asked.
fn request(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Etcd | Kind::EtcdCluster => {
            b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n".to_vec()
        }
        Kind::Zookeeper => b"srvr".to_vec(),
        Kind::Redis => b"*1\r\n$4\r\nPING\r\n".to_vec(),
        Kind::Postgres => {
            // A start of protocol 3.0, as the user of the tests.
            let mut body = 196_608_u32.to_be_bytes().to_vec();
            body.extend(b"user\0steadfast\0database\0steadfast\0\0");
            let length = u32::try_from(body.len() + 4).unwrap_or_default();
            [length.to_be_bytes().to_vec(), body].concat()
        }
    }
}

/// Whether this is, so far, the answer of a healthy server.
fn is_healthy(kind: Kind, answer: &[u8]) -> bool {
    let has = |part: &[u8]| answer.windows(part.len()).any(|window| window == part);
    match kind {
        // Without a leader it says 503 and "false".
        Kind::Etcd | Kind::EtcdCluster => answer.starts_with(b"HTTP/1.1 200") && has(b"\"true\""),
        Kind::Zookeeper => has(b"Mode: "),
        Kind::Redis => answer == b"+PONG\r\n",
        Kind::Postgres => is_ready(answer),
    }
}

/// Whether PostgreSQL has let the user in and waits for a query: a message `Z` after others.
fn is_ready(mut answer: &[u8]) -> bool {
    while let [kind, a, b, c, d, ..] = *answer {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        match kind {
            b'Z' => return true,
            b'E' => return false,
            _ => answer = answer.get(1 + length..).unwrap_or_default(),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_healthy_answer_will_do() {
        let etcd = |status: &str, health: &str| {
            let answer = format!("HTTP/1.1 {status}\r\n\r\n{{\"health\":\"{health}\"}}");
            is_healthy(Kind::EtcdCluster, answer.as_bytes())
        };
        assert!(etcd("200 OK", "true"));
        assert!(!etcd("503 Service Unavailable", "false"));
        assert!(!etcd("200 OK", "false"));
        assert!(is_healthy(Kind::Redis, b"+PONG\r\n"));
        assert!(!is_healthy(Kind::Redis, b"-LOADING Redis is loading\r\n"));
        assert!(is_healthy(Kind::Zookeeper, b"Zookeeper version: 3.8\nMode: standalone\n"));
        assert!(!is_healthy(Kind::Zookeeper, b"This ZooKeeper instance is not serving\n"));
    }

    #[test]
    fn postgres_is_ready_when_it_says_so_and_not_when_it_refuses() {
        let let_in = [b"R\0\0\0\x08\0\0\0\0".as_slice(), b"S\0\0\0\x06Z\0"].concat();
        assert!(!is_ready(&let_in), "a Z within a message is none");
        assert!(is_ready(&[&let_in[..], b"Z\0\0\0\x05I"].concat()));
        assert!(!is_ready(b"E\0\0\0\x09Ztext"));
        assert!(!is_ready(b"R\0\0"));
    }

    #[test]
    fn a_server_of_another_kind_is_not_taken_for_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"SSH-2.0-somebody else\r\n").unwrap();
        });
        assert!(ask(Kind::Redis, port).is_err());
        server.join().unwrap();
        assert!(ask(Kind::Redis, port).is_err(), "nobody listens");
    }
}
