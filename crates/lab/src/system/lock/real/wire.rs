//! What the processes tell each other, as lines of JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;

use crate::history::Event;
use crate::real::engine::Engine;

/// What a worker does with its lock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Updates the register, over and over.
    Update {
        /// Between a read and its write.
        waits: Waits,
        /// Between a release and the next request.
        rest: Duration,
    },
    /// Holds it, until it is killed.
    Hold,
    /// Leads under its name as an election's, until it is killed.
    Lead,
}

/// The shortest and the longest wait between a read and its write; drawn evenly.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Waits {
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

impl Waits {
    pub(super) fn pick(self, random: &mut fastrand::Rng) -> Duration {
        self.min + self.max.saturating_sub(self.min).mul_f64(random.f64())
    }
}

/// What a worker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Where the storage is.
    pub hub: PathBuf,
    /// Its number, from 1. One that is started again has another: what was open stays open.
    pub worker: u64,
    pub engine: Engine,
    pub lock: String,
    pub length: Duration,
    /// How long it waits for the lock before it asks anew.
    pub patience: Duration,
    pub task: Task,
    pub seed: u64,
}

/// The first line of a connection to the hub.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Hello {
    Storage { worker: u64 },
    Reports { worker: u64 },
}

/// What the hub tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Not everybody is there yet.
    Gathering,
    /// To work.
    Working,
    /// It is enough.
    Ending,
}

/// What a worker tells, with the moment at which it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub at: u64,
    pub what: What,
}

/// What has happened at a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    /// It is connected to everything.
    Ready,
    /// It has the lock, as far as it knows.
    Held {
        /// The engine's token, if it has any.
        token: Option<FencingToken>,
        /// How long it had asked for it.
        waited: Duration,
    },
    /// It has read, and writes after this wait.
    HasRead {
        /// How long.
        wait: Duration,
    },
    /// It has written, or tried to.
    Wrote {
        /// Whether the storage took it.
        taken: bool,
        /// Whether it would still have thought that it holds the lock, had it looked.
        believed: bool,
    },
    /// It is about to give the lock back.
    LetsGo,
    /// It did not get the lock.
    Refused {
        /// What it was told.
        error: String,
        /// Whether that is what a wait with a deadline ends with.
        in_time: bool,
        /// By how much the wait was longer than it was to be.
        late: Duration,
    },
    /// It asks the storage, or was answered.
    History(Event),
    /// It has ended in order.
    Ended,
}
