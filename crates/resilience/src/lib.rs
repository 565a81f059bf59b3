//! Policies for calls that may fail, be slow, or never be answered.
//!
//! Every protocol here is a state machine first, `(state, now, input) → decision`, without a
//! clock or a task inside; then a shell that threads share; then a `tower` layer over it; and
//! [`policy`] composes them in the right order from one set of options, for use with or without
//! tower. Whatever a policy decides, it says so: see [`event`].
//!
//! # Where to look
//!
//! | to | module | state machine | shared by threads | layers (feature `tower`) |
//! |---|---|---|---|---|
//! | have all of it, in the right order | [`policy`] | | [`policy::Policy`] | `policy::Layer` |
//! | know by when an answer is needed, over all hops | [`deadline`] | [`deadline::Deadline`], [`deadline::Hop`] | [`deadline::Context`] | `deadline::Layer`, `deadline::Outgoing` |
//! | stop waiting | [`timeout`] | [`timeout::Adaptive`] | [`timeout::Timeout`] | `timeout::Layer` |
//! | ask again | [`retry`] | [`retry::Machine`] | [`retry::Retry`] | `retry::layer::Layer` |
//! | pay for asking again | [`budget`] | [`budget::Machine`] | [`budget::Budget`] | |
//! | ask twice at once | [`hedge`] | [`hedge::Gate`] | [`hedge::Hedger`] | `hedge::Layer` |
//! | stop asking what is down | [`breaker`] | [`breaker::Machine`] | [`breaker::Breaker`] | `breaker::Layer` |
//! | keep one slow dependency from taking everything | [`bulkhead`] | [`bulkhead::Machine`] | [`bulkhead::Bulkhead`], [`bulkhead::Pool`] | `bulkhead::Layer` |
//! | find out how much at once is right | [`limit`] | [`limit::Machine`] | [`limit::Limit`] | `limit::Layer` |
//! | stay useful under overload | [`shed`] | [`shed::Queue`] | [`shed::Gate`] | `shed::Layer` |
//! | notice who has gone silent | [`detector`] | [`detector::Detector`] | [`detector::Monitor`] | |
//! | know how much failure is still allowed | [`objective`] | [`objective::Objective`] | [`objective::Shared`] | |
//! | know how long calls take lately | [`latency`] | [`latency::Window`] | [`latency::Shared`] | |
//! | count what happened lately | [`window`] | [`window::Count`], [`window::Time`] | | |
//! | hear what was decided, and why | [`event`] | | [`event::Events`], [`event::Recorder`] | |
//!
//! What all of them speak: a [`Class`] says what an outcome means, and [`Classify`] finds out; a
//! [`Refusal`] says which policy did not let a call through, why, and when to try again, and an
//! [`Error`] how a call ended; options that make no sense are [`Invalid`]; a [`Share`] is a part of
//! a whole. Every bound is in [`limits`].
//!
//! # Features
//!
//! None is on by itself. `tower`: the layers. `http`: deadlines in headers, classes of status
//! codes. `hyper`: limits on a client's connections (with `tower` and `http`). `serde`: options out
//! of a configuration, lengths of time in words. `tracing`, `metrics`: decisions as log events and
//! as counters.
#![forbid(unsafe_code)]

pub mod breaker;
pub mod budget;
pub mod bulkhead;
mod class;
pub mod deadline;
pub mod detector;
pub mod event;
mod figures;
pub mod hedge;
mod invalid;
pub mod latency;
pub mod limit;
pub mod limits;
pub mod objective;
pub mod policy;
mod refusal;
pub mod retry;
mod share;
pub mod shed;
mod sync;
pub mod timeout;
pub mod window;
#[cfg(feature = "serde")]
mod words;

pub use class::{ByError, Class, Classified, Classify};
pub use invalid::Invalid;
pub use refusal::{Error, Refusal};
pub use share::Share;

/// The README's examples, so that they stay true.
#[cfg(all(doctest, feature = "hyper"))]
#[doc = include_str!("../README.md")]
mod readme {}
