//! The memory engine keeps the port's promises, and the suite finds engines that do not.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

mod memory {
    pub mod crashes;
    pub mod flaws;
}

use std::sync::Arc;

use steadfast_coordination::conformance::{Check, Subject};
use steadfast_coordination::engine::memory::{Memory, Net};
use steadfast_time::sim::Simulation;

/// One check against a server behind a network without faults, by two clients.
fn run(check: Check) {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let (net, carrier) = Net::new(Arc::new(Memory::new(clock.clone())), clock.clone(), 1);
    sim.spawn(carrier.run());
    let subject = Subject::new(net.link(), clock, "memory/").with_other(net.link());
    sim.block_on(async move { check.run(&subject).await }).expect(check.name);
}

steadfast_coordination::conformance_tests!(run);
