//! The lab: run the argument, see the verdict.
//!
//! "Fencing tokens keep a late write out" is a sentence until somebody has seen the late write come
//! in without them. The lab turns such sentences into experiments: a [`scenario`] names a
//! [`system`] under test, its load, what goes wrong and when, and what must hold all the same; it is
//! run once with the protection and once without. The experiment passes when the protected variants
//! hold **and** the broken twins are caught.
//!
//! ```
//! use steadfast_lab::{experiment, run};
//!
//! let scenario = experiment::find("hash-ring").unwrap();
//! let report = run::simulate(&scenario, &run::Options::seeded(7), &run::Silent)?;
//! assert_eq!(report.verdict, steadfast_lab::Verdict::Holds);
//! # Ok::<(), steadfast_lab::Error>(())
//! ```
//!
//! # Where to look
//!
//! | to | module |
//! |---|---|
//! | write down what clients did and heard, read it again (JSON lines, Jepsen's EDN) | [`history`] |
//! | find out whether a history is what a model allows | [`check`] |
//! | read a scenario file | [`scenario`] |
//! | know what can go wrong, and plan it | [`fault`] |
//! | run code on simulated hosts and links | [`sim`] |
//! | run it as processes, with signals and proxies | `real` (feature `real`) |
//! | see what can be put under test, or add to it | [`system`] |
//! | run a scenario | [`run`] |
//! | find the built-in ones | [`experiment`] |
//! | show what came out | [`report`] |
//!
//! Every bound is in [`limits`].
#![forbid(unsafe_code)]

pub mod check;
mod error;
pub mod experiment;
pub mod fault;
pub mod history;
pub mod limits;
pub mod observed;
pub mod quantity;
#[cfg(feature = "real")]
pub mod real;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sim;
pub mod system;
mod verdict;

pub use error::Error;
pub use observed::Observed;
pub use quantity::{Quantity, Unit};
pub use scenario::Scenario;
pub use system::System;
pub use verdict::Verdict;

/// The README's examples, so that they stay true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
