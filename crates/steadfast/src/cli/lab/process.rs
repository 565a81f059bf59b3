//! This program as other processes of a real experiment.

use std::process::Command;
use std::sync::Arc;

use steadfast_lab::real::{self, Again};

use crate::cli::Failure;

/// How this program is started again in a role.
pub(super) fn again() -> Result<Again, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot find this program's own file: {error}"))
    })?;
    Ok(Arc::new(move |role| {
        let mut command = Command::new(&program);
        command.args(["lab", "role", role]);
        command
    }))
}

/// Plays a role until it is over.
pub(super) fn play(role: &str) -> Result<(), Failure> {
    real::play(role).map_err(Failure::failed)
}
