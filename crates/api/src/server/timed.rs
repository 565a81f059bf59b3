//! A body that must arrive in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use steadfast_time::{Clock, Sleep};

use crate::extract::body::TimedOut;

/// Ends the body with [`TimedOut`] when it is not whole within a time, counted from the first
/// wait. A small body arrives together with its head and never starts the timer.
pub(super) struct Timed<B> {
    body: B,
    clock: Clock,
    limit: Duration,
    late: Option<Sleep>,
}

impl<B> Timed<B> {
    pub(super) const fn new(body: B, clock: Clock, limit: Duration) -> Self {
        Self { body, clock, limit, late: None }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let late = this.late.get_or_insert_with(|| this.clock.sleep(this.limit));
        late.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(TimedOut))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
