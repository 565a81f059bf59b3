//! What kind of server is at an address, asked when a conversation makes no sense: a person who
//! has mixed up two ports should be told so, not "unexpected end of file".

use std::fmt;
use std::time::Duration;

use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a server has to answer. Those that know the question do at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// What answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A PostgreSQL server.
    Postgres,
    /// A server that speaks the Redis protocol.
    Redis,
    /// An HTTP server; etcd is one.
    Http,
    /// Something that answers, but as none of these.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "a PostgreSQL server",
            Self::Redis => "a Redis server",
            Self::Http => "an HTTP server (etcd's, perhaps)",
            Self::Other => "a server of another kind",
        })
    }
}

/// PostgreSQL's request for TLS, which its servers answer with one letter. The length is the first
/// number; the code stands in the protocol's description ("SSLRequest").
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A request that Redis answers with one line, signed in or not, and HTTP servers with an error.
const PING: &[u8] = b"PING\r\n\r\n";

/// Asks; `None` when nothing can be told: nobody is there, or says nothing.
pub(crate) async fn probe(clock: &Clock, host: &str, port: u16) -> Option<Kind> {
    match ask(clock, host, port, &TLS_REQUEST).await {
        Some(b'S' | b'N') => return Some(Kind::Postgres),
        Some(b'H') => return Some(Kind::Http),
        _ => {}
    }
    Some(match ask(clock, host, port, PING).await? {
        b'+' | b'-' => Kind::Redis,
        b'H' => Kind::Http,
        _ => Kind::Other,
    })
}

/// Sends a few bytes and reads the first of the answer.
async fn ask(clock: &Clock, host: &str, port: u16, question: &[u8]) -> Option<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(question).await.ok()?;
        stream.read_u8().await.ok()
    };
    clock.timeout(PATIENCE, exchange).await.ok().flatten()
}
