//! How many retries and hedges calls may cost, all together.
//!
//! Retries help while few calls fail. When most do, they double and triple the load on a
//! dependency that is already down, and keep it there after the cause has gone: a database good
//! for 300 queries a second that is fed 280 gets 560 with one retry each, and stays down (Bronson
//! et al., *Metastable Failures in Distributed Systems*, HotOS 2021). So extra attempts are paid
//! for by calls: each first attempt is a [deposit](Budget::deposit) of [`Options::ratio`], each
//! retry or hedge [takes](Budget::take) one, and only what lies within the last
//! [`Options::window`] counts. With 5 % a dead dependency gets 105 % of its load, not 400 %.
//!
//! - [`Budget`] is shared by all threads, and by retries *and* hedges of one dependency.
//! - [`Machine`] is the rule itself, for one thread.
//! - [`Throttle`] is gRPC's variant, which needs no clock; see [`throttle`] for when to prefer it.
//!
//! # What is counted, and when
//!
//! - **When issued.** A retry is counted when it is decided on, so those that wait in backoff are
//!   in the figures; a budget that counts them when they are sent lets a whole wave through.
//! - **Exactly.** In whole millionths of an attempt: 0.9999 of 10,000 calls is 9,999. (Shares are
//!   rounded to the nearest millionth once, when the budget is made.)
//! - **In one step.** Check and take are one compare-and-swap. Two threads cannot both take the
//!   last attempt.
//! - **Never given back**, even when the caller goes away while its retry waits, and the retry is
//!   never sent. Callers give up most when things are worst, and a budget that refills then spends
//!   the same attempt many times over; a refund would also come after its slice of the window, and
//!   be there longer than the attempt was. The price is that such an attempt is missing for one
//!   window: a doubt about an attempt is settled on the side of fewer retries.
//!
//! # When to use it, and when not
//!
//! On everything that is retried or hedged: one budget for each dependency. Not for limiting calls
//! themselves; a budget never refuses a first attempt.
//!
//! # What it costs
//!
//! Deposit and take together 10.6 ns, where two bare atomic additions take 10.0 ns and tower's
//! `TpsBudget` 78 ns; with two threads on one budget without a pause 42, 34 and 425 ns for each.
//! A call that succeeds pays the deposit only, 5 ns. Reading the clock comes to 1.5 ns more. 2.7
//! KiB for each budget, and nothing is allocated after it was made. (Two-core virtual machine,
//! `cargo bench --bench budget`.)
//!
//! # What holds elsewhere
//!
//! Of 10,000 calls, each followed by an attempt to retry, as many as these are retried
//! (`tests/rivals_budget.rs`; the ratios are those of Finagle's `RetryBudgetTest` and of
//! tower#857):
//!
//! | ratio | exact | here | tower 0.5.3 |
//! |---|---|---|---|
//! | 0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5 | | exact | exact |
//! | 0.3 | 3,000 | 3,000 | 3,333 |
//! | 0.4 | 4,000 | 4,000 | 5,000 |
//! | 0.6 | 6,000 | 6,000 | 10,000 |
//! | 0.75 | 7,500 | 7,500 | 10,000 |
//! | 0.9, 0.99, 0.999, 0.9999 | 9,000 … 9,999 | exact | 10,000 |
//! | 2.0 | 20,000 | 20,000 | 20,000 |
//!
//! # Limits
//!
//! The window slides in steps of a hundredth, so it covers the last 9.9 to 10 seconds. Any stretch
//! of time as long as the window may therefore hold the extra attempts of one step more than the
//! rule says; where calls come in bursts that can be a few (15 were seen where 12 are allowed), but
//! never a whole window's. Calls count when they begin; an attempt that is slow
//! is not counted again.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::budget::{Budget, Options};
//! use steadfast_time::Monotonic;
//!
//! let budget = Budget::new(&Options { floor_per_second: 0.0, ..Options::default() })?;
//! let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
//! for _ in 0..100 {
//!     budget.deposit(at(1));
//! }
//! let issued = (0..100).filter(|_| budget.take(at(2)).is_ok()).count();
//! assert_eq!(issued, 5);
//! let spent = budget.take(at(2)).unwrap_err();
//! let text = "the budget is spent: 5 of 5 extra attempts on 100 calls";
//! assert_eq!(spent.to_string(), text);
//! assert_eq!(budget.figures(at(12)).calls, 0); // long ago
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

mod decision;
#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod machine;
mod options;
mod shared;
mod terms;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;
pub mod throttle;

pub use decision::{Figures, Spent};
pub use machine::Machine;
pub use options::Options;
pub use shared::Budget;
pub use throttle::{Throttle, Throttled};

/// Steps in which the window slides: a hundredth of its length each. Finer ones change no
/// decision that matters, and 2.4 KiB for each budget stay in the cache.
const SLICES: u32 = 100;
