//! One request, and no longer than it makes sense to wait for its answer.

use std::future::Future;
use std::time::Duration;

use futures::future::{Either, select};
use steadfast_time::Monotonic;

use super::lease::Lease;
use super::shared::Shared;

/// What came of a request.
pub(super) enum Answer<T> {
    /// The server has answered.
    Given(T),
    /// It has not, for so long.
    Late(Duration),
    /// The session was lost first.
    Lost,
}

/// Waits for an answer: at most for [`Options::call_limit`](crate::Options::call_limit), at most
/// until `end`, and only while the session can be relied on. An answer that is there is taken
/// first.
pub(super) async fn call<T>(
    shared: &Shared,
    lease: &Lease,
    end: Option<Monotonic>,
    work: impl Future<Output = T>,
) -> Answer<T> {
    let sent = shared.clock.monotonic();
    let limit = sent + shared.options.call_limit();
    let limit = end.map_or(limit, |end| end.min(limit));
    let lost = std::pin::pin!(shared.lost(lease, None));
    let stop = select(lost, shared.clock.sleep_until(limit));
    match select(std::pin::pin!(work), stop).await {
        Either::Left((answer, _)) => Answer::Given(answer),
        Either::Right((Either::Left(_), _)) => Answer::Lost,
        Either::Right((Either::Right(_), _)) => Answer::Late(shared.clock.monotonic() - sent),
    }
}
