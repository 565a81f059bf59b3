//! What kind of server answers at an address.
//!
//! An HTTP/2 client that meets another server reports a broken frame, which helps nobody. The
//! first bytes say what it is: a server of HTTP/2 begins with a SETTINGS frame (RFC 9113, section
//! 3.4). They are kept here as they pass, once per connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Enough to tell the kinds apart and to quote.
const KEPT: usize = 48;

/// The first bytes that a server sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Banner(Arc<Mutex<Vec<u8>>>);

impl Banner {
    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }

    /// Whether nothing was said at all.
    pub(super) fn is_silent(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What the server is, if it is certainly not one of gRPC.
    pub(super) fn stranger(&self, tls: bool) -> Option<String> {
        stranger(&self.0.lock().unwrap_or_else(PoisonError::into_inner), tls)
    }
}

fn stranger(bytes: &[u8], tls: bool) -> Option<String> {
    /// The type of a SETTINGS frame, after three bytes of length.
    const SETTINGS: u8 = 4;
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    match bytes {
        [] => None,
        [ALERT, 3, ..] if !tls => {
            Some("the server wants TLS; write the address as etcds://".to_owned())
        }
        [ALERT | HANDSHAKE, 3, ..] if tls => None,
        [_, _, _, SETTINGS, ..] if !tls => None,
        [b'-', ..] if bytes.starts_with(b"-ERR") || bytes.starts_with(b"-NOAUTH") => {
            Some("a Redis server answers there, not etcd".to_owned())
        }
        _ if bytes.starts_with(b"HTTP/") => {
            Some("a plain HTTP server answers there, not etcd".to_owned())
        }
        _ if tls && bytes.get(3) == Some(&SETTINGS) => {
            Some("the server does not speak TLS; write the address as etcd://".to_owned())
        }
        _ => {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
            Some(format!("something else than etcd answers there: {}", line.escape_ascii()))
        }
    }
}

/// A connection whose first bytes are kept.
pub(super) struct Listened<S> {
    stream: S,
    /// `None` once something was read.
    banner: Option<Banner>,
    /// Why a write has failed, while the last words are waited for.
    failed: Option<io::Error>,
}

impl<S> Listened<S> {
    pub(super) const fn new(stream: S, banner: Banner) -> Self {
        Self { stream, banner: Some(banner), failed: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = &buffer.filled()[before..];
        if !read.is_empty()
            && let Some(banner) = self.banner.take()
        {
            banner.add(read);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Listened<S> {
    /// A server that does not understand answers and closes, so that a write fails, perhaps before
    /// anything was read. What it said can still be read, and is waited for: the connection has
    /// ended, so either words or the end are on their way.
    fn failing<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match (self.failed.take(), polled) {
            (Some(error), _) | (None, Poll::Ready(Err(error))) => error,
            (None, other) => return other,
        };
        if self.banner.is_some() {
            let mut bytes = [0; KEPT];
            if Pin::new(&mut *self).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending() {
                self.failed = Some(error);
                return Poll::Pending;
            }
        }
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.failing(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.failing(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_their_first_bytes() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0];
        assert_eq!(stranger(&settings, false), None);
        assert_eq!(stranger(&[], false), None);
        assert_eq!(stranger(&[22, 3, 3, 0], true), None);
        for (bytes, tls, said) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], false, "plain HTTP"),
            (b"-ERR unknown command", false, "Redis"),
            (&[21, 3, 1, 0, 2], false, "etcds://"),
            (&settings, true, "does not speak TLS"),
            (b"220 mail\r\nx", false, "something else than etcd answers there: 220 mail"),
        ] {
            let found = stranger(bytes, tls).unwrap();
            assert!(found.contains(said) && !found.contains("x\""), "{found}");
        }
    }

    #[tokio::test]
    async fn what_was_said_before_a_write_fails_is_kept() {
        use tokio::io::AsyncWriteExt;
        let stream = closed_after_words();
        let banner = Banner::default();
        let mut stream = Listened::new(stream, banner.clone());
        assert!(stream.write_all(b"PRI").await.is_err());
        assert!(banner.stranger(false).unwrap().contains("HTTP"));
    }

    /// A stream whose writes fail, with something to read.
    fn closed_after_words() -> impl AsyncRead + AsyncWrite + Unpin {
        let (mut ours, theirs) = tokio::io::duplex(64);
        futures::FutureExt::now_or_never(tokio::io::AsyncWriteExt::write_all(
            &mut ours,
            b"HTTP/1.1 400 Bad Request",
        ))
        .unwrap()
        .unwrap();
        drop(ours);
        theirs
    }

    #[tokio::test]
    async fn the_first_bytes_pass_and_are_kept() {
        use tokio::io::AsyncReadExt;
        let banner = Banner::default();
        let mut stream = Listened::new(&b"HTTP/1.1 200 OK"[..], banner.clone());
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"HTTP/1.1 200 OK");
        assert!(banner.stranger(false).unwrap().contains("HTTP"));
        let banner = Banner::default();
        banner.add(&[b'z'; 1_000]);
        assert!(banner.stranger(false).unwrap().len() < 200);
    }
}
