//! A connection as the server sees it: answers on their way out.
//!
//! The commit thread writes a batch's answers to the socket itself, as far as the socket takes them
//! at once, which it nearly always does; the connection's own task writes the rest.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

use super::ask::Reply;
use super::wire;
use crate::limits::{EMBEDDED_ANSWER_BYTES_MAX, EMBEDDED_PEER_BYTES};

#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
    is_broken: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) number: u64,
    stream: OwnedWriteHalf,
    out: Mutex<Out>,
    /// Told when there is more to write than the socket takes.
    more: Notify,
    /// Told when there is room again, or the connection is broken.
    room: Notify,
}

impl Peer {
    pub(super) fn new(number: u64, stream: OwnedWriteHalf) -> Self {
        let (more, room) = (Notify::new(), Notify::new());
        Self { number, stream, out: Mutex::default(), more, room }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer. A client that reads too little to keep up is cut off.
    pub(super) fn answer(&self, request: u64, reply: &Reply) {
        let mut out = self.out();
        if out.is_broken {
            return;
        }
        wire::append(request, reply, &mut out.bytes);
        if out.bytes.len() - out.sent > EMBEDDED_PEER_BYTES + EMBEDDED_ANSWER_BYTES_MAX {
            out.is_broken = true;
            drop(out);
            self.more.notify_one();
        }
    }

    /// Sends what the socket takes at once.
    pub(super) fn flush(&self) {
        let mut out = self.out();
        if self.send(&mut out).is_err() {
            out.is_broken = true;
        }
        let is_left = out.is_broken || out.sent < out.bytes.len();
        drop(out);
        if is_left {
            self.more.notify_one();
        }
    }

    fn send(&self, out: &mut Out) -> io::Result<()> {
        while out.sent < out.bytes.len() {
            match self.stream.try_write(&out.bytes[out.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => out.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if out.sent >= EMBEDDED_PEER_BYTES {
                        out.bytes.drain(..out.sent);
                        out.sent = 0;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.bytes.clear();
        out.bytes.shrink_to(EMBEDDED_PEER_BYTES);
        out.sent = 0;
        Ok(())
    }

    /// Writes what [`Peer::flush`] could not. Ends when the connection is broken.
    pub(super) async fn write(&self) {
        loop {
            self.more.notified().await;
            loop {
                {
                    let mut out = self.out();
                    if out.is_broken || self.send(&mut out).is_err() {
                        return;
                    }
                    if out.sent == out.bytes.len() {
                        break;
                    }
                }
                if self.stream.writable().await.is_err() {
                    return;
                }
            }
            self.room.notify_one();
        }
    }

    /// Waits until the client has read enough of its answers to ask for more.
    pub(super) async fn room(&self) {
        loop {
            {
                let out = self.out();
                if out.bytes.len() - out.sent < EMBEDDED_PEER_BYTES {
                    return;
                }
            }
            self.room.notified().await;
        }
    }
}
