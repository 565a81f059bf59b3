//! One kept-alive connection.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came of a request.
pub(super) enum Answer {
    /// 201.
    Placed,
    /// The problem's code, or what happened to the connection.
    Failed(String),
}

/// A connection that is opened again when it breaks.
pub(super) struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, sender: connect(address).await? })
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        if self.sender.is_closed() || self.sender.ready().await.is_err() {
            match connect(self.address).await {
                Ok(sender) => self.sender = sender,
                Err(error) => return Answer::Failed(format!("connect: {}", error.kind())),
            }
        }
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(_) => return Answer::Failed("connection_broken".to_owned()),
        };
        let status = response.status();
        match body(response.into_body(), status != StatusCode::CREATED).await {
            Ok(_) if status == StatusCode::CREATED => Answer::Placed,
            Ok(body) => Answer::Failed(code(status, &body)),
            Err(_) => Answer::Failed("connection_broken".to_owned()),
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        // A connection that ends shows at its sender.
        let _ = connection.await;
    });
    Ok(sender)
}

/// Reads a body to its end; only keeps it when it will be looked at.
async fn body(mut body: Incoming, keep: bool) -> Result<Vec<u8>, hyper::Error> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        if let (true, Ok(data)) = (keep, frame?.into_data()) {
            kept.extend_from_slice(&data);
        }
    }
    Ok(kept)
}

fn code(status: StatusCode, body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let code = problem.as_ref().and_then(|problem| problem["code"].as_str());
    code.map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned)
}
