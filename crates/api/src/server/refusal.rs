//! Telling a connection that there is no room for it.

use std::io;
use std::sync::OnceLock;

use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits::{HEAD_BYTES_MAX, REFUSAL_TIME};
use crate::problem::{Code, Problem};

/// Answers 503 without looking at the request, and closes.
pub(super) async fn refuse(mut stream: TcpStream, clock: Clock) {
    let told = clock.timeout(REFUSAL_TIME, tell(&mut stream)).await;
    if let Ok(Err(error)) = told {
        tracing::debug!(%error, "a refused connection was gone already");
    }
}

async fn tell(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(answer()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes resets the connection, and the client would lose the answer.
    let mut buffer = [0; 1024];
    let mut left = HEAD_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

fn answer() -> &'static [u8] {
    static ANSWER: OnceLock<Vec<u8>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        let body = Problem::new(Code::Overloaded, "there are too many connections").to_json();
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-cache\r\nretry-after: 1\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    })
}
