//! When this process did not run.
//!
//! A process can be stopped at any instruction, for minutes, and not know: SIGSTOP, a frozen or
//! migrated virtual machine, a suspended laptop, a starved CPU, a page that comes off a slow disk.
//! What it checked before ("my lease is valid") is then old. A thread that should wake each 10 ms
//! and wakes later shows it; whoever is about to act on an old check asks
//! [`Stalls::longest_since`] first.
//!
//! | part | what it is |
//! |---|---|
//! | [`Recorder`] | beats in, stalls out; lock-free, fed by anything (also a simulation) |
//! | [`Stalls`] | the handle to ask |
//! | [`Detector`] | the heartbeat thread; stops when dropped |
//!
//! A worker may wake from a stop *before* the heartbeat thread does. So a stall that is going on is
//! computed from the time of the last beat, not waited for. While a machine is suspended the
//! monotonic clock may stand still; on Linux, `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC` tells, and
//! is asked at each question.
//!
//! Limits: a stop shorter than a beat can hide between two; the length is how much later than due
//! a beat came, so up to one period less than the stop. It is no proof: a process can be stopped
//! right after asking. Only a fencing token at the storage is safe; this saves useless work and
//! tells operators why leases were lost.

mod detector;
mod recorder;
mod suspend;

pub use detector::{Detector, Options, Stalls};
pub use recorder::{Recorder, Stall};
