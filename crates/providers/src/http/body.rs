//! A request body that knows whether it has left.
//!
//! "Nothing was sent" and "something was sent" is the difference between a call that surely did
//! not happen and one that may have. The client library encodes a request's head just before it
//! asks for the body's bytes, and writes neither before. So a body that was never asked belongs
//! to a request of which no byte has left the process.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use steadfast_dispatch::provider::Failure;

/// Whether bytes of a request may have left.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(Arc<AtomicBool>);

impl Sent {
    /// What it means that a request came to no answer.
    pub(super) fn failure(&self, reason: String) -> Failure {
        if self.0.load(Relaxed) {
            Failure::Unknown { reason }
        } else {
            Failure::unavailable(reason)
        }
    }
}

/// A whole body in memory, never empty.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Full<Bytes>,
    sent: Sent,
}

impl Request {
    pub(super) fn new(bytes: Vec<u8>, sent: Sent) -> Self {
        debug_assert!(!bytes.is_empty(), "an empty body is never asked for");
        Self { bytes: Full::from(bytes), sent }
    }
}

impl Body for Request {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.0.store(true, Relaxed);
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        // Asked just before the head is encoded.
        self.sent.0.store(true, Relaxed);
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
