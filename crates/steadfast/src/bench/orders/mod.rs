//! How many orders a second this machine carries, and how long each takes.
//!
//! The whole platform runs in this process as `up` would run it, and a generator on a thread of
//! its own talks to it over HTTP like anybody else. The journal's feed says when an order has
//! become `assigned`, so what is counted is what is durable, not what somebody answered.
//!
//! | module | does |
//! |---|---|
//! | [`load`] | sends orders: closed loop (as many as come back) or open loop (at a rate) |
//! | [`follow`] | counts assignments and measures the way there |
//! | [`city`] | zones and couriers, over HTTP |
//! | [`report`] | the result, as JSON and as a table |
//!
//! # Limits
//! Generator and platform share the machine, and its memory is counted with the platform's. A
//! remote generator would show a higher rate.

pub mod city;
pub mod follow;
pub mod load;
pub mod report;
pub mod request;
pub mod window;

use std::time::Duration;

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that are kept alive.
    pub connections: usize,
    /// How long is measured.
    pub duration: Duration,
    /// How long runs before that.
    pub warmup: Duration,
    /// Orders a second, in open loop; as many as come back, when absent.
    pub rate: Option<f64>,
    /// Couriers, who take every offer at once.
    pub couriers: usize,
}
