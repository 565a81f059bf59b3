//! This test program again, as the other processes of its tests.
//!
//! Whoever uses it has a test `another_process` that does nothing but call [`play`].
#![allow(dead_code, reason = "each program uses a part of it")]

use std::process::Command;
use std::sync::Arc;

use steadfast_lab::real::{self, Again, Stage};

const ROLE: &str = "STEADFAST_LAB_ROLE";

/// The other process, when this is one.
pub fn play() {
    if let Ok(role) = std::env::var(ROLE) {
        real::play(&role).unwrap();
    }
}

/// How this test program is started again.
pub fn again() -> Again {
    Arc::new(|role| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "another_process", "--nocapture"]).env(ROLE, role);
        command
    })
}

pub fn stage() -> Stage {
    Stage::new(again()).unwrap()
}
