//! Waiting for one of several things, some of which may not be there.

use std::future::{Future, pending};

use futures::future::BoxFuture;
use steadfast_time::{Clock, Monotonic, Sleep};

/// Waits for `work` if it is wanted, else forever.
pub(crate) async fn when<F: Future>(wanted: bool, work: F) -> F::Output {
    if wanted { work.await } else { pending().await }
}

/// Waits for the work in `slot` and empties it; forever when there is none. Dropping the future
/// leaves the work where it is.
pub(crate) async fn finish<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(work) => {
            let output = work.await;
            *slot = None;
            output
        }
        None => pending().await,
    }
}

/// The earliest of several moments, if there is any.
pub(crate) fn earliest<const N: usize>(moments: [Option<Monotonic>; N]) -> Option<Monotonic> {
    moments.into_iter().flatten().min()
}

/// A wait that is set up anew only when its end changes.
#[derive(Default)]
pub(crate) struct Alarm {
    set: Option<(Monotonic, Sleep)>,
}

impl Alarm {
    /// Waits until `moment`; forever when there is none.
    pub(crate) async fn at(&mut self, clock: &Clock, moment: Option<Monotonic>) {
        let Some(moment) = moment else {
            return pending().await;
        };
        if self.set.as_ref().is_none_or(|(end, _)| *end != moment) {
            self.set = Some((moment, clock.sleep_until(moment)));
        }
        if let Some((_, sleep)) = &mut self.set {
            sleep.await;
            self.set = None;
        }
    }
}
