//! HTTP/1.1 in a hundred lines, so that a test decides about every byte that is sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const JSON: &str = "Content-Type: application/json";

/// Longer than anything that the server lets a request take.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| {
            line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(|line| named(line))?;
        Some(line.split_once(':')?.1.trim())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn length(&self) -> usize {
        self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// The bytes of a request: `GET /zones`, whole header lines, and a body.
pub fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{line} HTTP/1.1\r\nHost: steadfast\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if !body.is_empty() || line.starts_with("POST") || line.starts_with("PUT") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads one answer.
pub async fn reply(stream: &mut TcpStream) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8 * 1024];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let status = head.get(9..12).and_then(|digits| digits.parse().ok());
            let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
            let mut reply = Reply { status, head, body: bytes.split_off(end + 4) };
            while reply.body.len() < reply.length() {
                match stream.read(&mut buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => reply.body.extend_from_slice(&buffer[..read]),
                }
            }
            return Ok(reply);
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// One connection that is kept alive, and made anew after it broke.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Goes on over a connection that is open.
    pub const fn over(stream: TcpStream, address: SocketAddr) -> Self {
        Self { address, stream: Some(stream) }
    }

    /// Sends bytes and reads an answer. A connection that breaks is an error, and whether the
    /// request had an effect is not known then.
    pub async fn exchange(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        // Only what went well is kept.
        let stream = self.stream.take();
        let address = self.address;
        let talk = async move {
            let mut stream = match stream {
                Some(stream) => stream,
                None => TcpStream::connect(address).await?,
            };
            stream.set_nodelay(true)?;
            stream.write_all(bytes).await?;
            let reply = reply(&mut stream).await?;
            Ok::<_, io::Error>((stream, reply))
        };
        let (stream, reply) = timeout(PATIENCE, talk).await??;
        if reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(reply)
    }

    pub async fn send(&mut self, line: &str, headers: &[&str], body: &[u8]) -> io::Result<Reply> {
        self.exchange(&request(line, headers, body)).await
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path}"), &[], b"").await
    }

    pub async fn json(&mut self, line: &str, body: &Value) -> io::Result<Reply> {
        self.send(line, &[JSON], body.to_string().as_bytes()).await
    }

    /// Places an order under a key.
    pub async fn place(&mut self, key: &str, body: &[u8]) -> io::Result<Reply> {
        // As many milliseconds as a busy machine may need.
        let deadline = "x-envoy-expected-rq-timeout-ms: 5000";
        let key = format!("Idempotency-Key: \"{key}\"");
        self.send("POST /orders", &[JSON, deadline, &key], body).await
    }
}
