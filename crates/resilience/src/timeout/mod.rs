//! How long to wait for an answer.
//!
//! Silence is the only sign that a call has failed, and it is an ambiguous one: a timeout that is
//! too short takes slowness for failure and repeats work that is being done; one that is too long
//! keeps threads, connections and callers waiting. If a message takes at most `d` on its way and
//! the work at most `r`, then the answer is there after `2d + r`, or never comes. Real networks
//! promise no such `d`; they have a distribution, and it changes. So the timeout follows it.
//!
//! - [`Timeout::Fixed`] is always as long.
//! - [`Timeout::Adaptive`] is as long as nearly all calls take at present; [`Adaptive`] is the
//!   machine inside.
//! - [`within`] and [`Within`] give work up at a [`Limit`]; `Layer` does so around a `tower`
//!   service, under the caller's deadline.
//!
//! # How it adapts
//!
//! Whoever is asked can say how long it worked (`Server-Timing`; see [`Processing`]). Then the
//! round trip minus the work is `2d`, the work is `r`, and the timeout is
//!
//! > q(2d) + q(r) + jitter · (deviation of 2d + deviation of r)
//!
//! Both are taken as bounds, so their sum holds for the call that meets the worst of both, even
//! if none has been seen yet. The same is done with the round trip as a whole, from which alone
//! the timeout follows when nobody reports, and the larger of the two counts: a sum of quantiles
//! may fall short of the quantile of the sum when tails are very heavy.
//!
//! **The quantile** is 99.8 %, because fewer than 0.2 % of calls are to time out.
//!
//! **The jitter.** A timeout at the very quantile is missed by 0.2 % of calls: by chance by more
//! in every second window, so the objective would be broken half of the time. Jacobson and Karels
//! (*Congestion Avoidance and Control*, SIGCOMM 1988) add four mean deviations, but to a mean; a
//! quantile contains the jitter of its window already, and four more would make every outage
//! last longer than needed. One is enough: if times are distributed normally, 0.2 % become
//! 0.01 %, and if exponentially, 0.1 %. (Only beside a very heavy tail it is nothing: with a
//! Pareto exponent of 1.5 take 99.9 % as the quantile.) It is taken from the newest two slices of
//! the window, so it rises within moments when a network becomes unsteady, when 99.8 % of the
//! window still say that it is not. (Their estimator looks back over about four samples, which is a
//! flight of packets for TCP, but nothing at a thousand calls a second.)
//!
//! **No answer is a long answer.** An attempt that was given up took longer than its limit. If
//! it were left out, only the fast ones would count, the timeout would never rise above what it
//! is, and a dependency that became slower for good would look dead from then on. So it counts
//! as twice its limit: as soon as more than 0.2 % are given up, the timeout doubles with each
//! refresh, until nearly all are answered or the ceiling is reached.
//!
//! **At the start** it is the ceiling, until [`options::Adaptive::samples_min`] calls have been
//! answered within the window.
//!
//! # When to use it, and when not
//!
//! An adaptive one for a dependency that is called at least twice a second and whose answers take
//! about as long as each other. A fixed one for rare calls, for calls that differ widely in what
//! they ask (give each kind its own), and around retries. None at all instead of a deadline: the
//! deadline belongs to the request, and caps both.
//!
//! # What it costs
//!
//! Nothing is allocated for a call that is answered at once; otherwise the timer. Asking for the
//! limit takes 1 ns, counting an answer 7 ns and a reading of the clock. Around a service
//! (`benches/timeout.rs`, 2 virtual cores, other work beside it):
//!
//! | per call | fixed | adaptive | `tower` 0.5 | `seatbelt` 0.11 |
//! |---|---|---|---|---|
//! | answered at once | 29 ns | 44 ns | 36 ns | 33 ns |
//! | has to wait, so needs a timer | 145 ns | 158 ns | 110 ns | 210 ns |
//!
//! Memory: 39 KiB for each dependency, three times as much when it reports its work.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::timeout::{Adaptive, options};
//! use steadfast_time::Monotonic;
//!
//! let ms = Duration::from_millis;
//! let mut timeout = Adaptive::new(options::Adaptive::default())?;
//! let mut now = Monotonic::default();
//! assert_eq!(timeout.limit(now), ms(100)); // the ceiling, until 500 calls were answered
//! for call in 0..1_000 {
//!     now = now + ms(10);
//!     timeout.observe(now, ms(20 + call % 5), None);
//! }
//! let limit = timeout.limit(now); // 24 ms, the bucket's width, and a deviation of 1.2 ms
//! assert!(limit > ms(25) && limit < ms(27), "{limit:?}");
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

mod adaptive;
mod decision;
#[cfg(feature = "tower")]
mod layer;
pub mod options;
mod reported;
mod shared;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;
mod within;

use std::time::Duration;

pub use adaptive::Adaptive;
pub use decision::{Scope, TimedOut};
#[cfg(feature = "tower")]
pub use layer::{Calling, Layer, Service};
pub use options::{Attempt, Options};
#[cfg(feature = "http")]
pub use reported::ServerTiming;
pub use reported::{Processing, Unreported};
pub use shared::{REFRESH, Shared, Timeout};
pub use within::{Limit, Within, within};

/// A round trip as (2d, r), if the work is reported. Work that is said to have taken longer than
/// the round trip was measured by a clock that differs, and takes all of it.
fn split(round_trip: Duration, processing: Option<Duration>) -> Option<[Duration; 2]> {
    let work = processing?.min(round_trip);
    Some([round_trip - work, work])
}
