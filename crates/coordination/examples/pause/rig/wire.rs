//! What the processes tell each other, as lines of JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;

use super::engine::Engine;
use super::history::Line;

/// What a worker does with its lock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Updates the register, over and over, with waits of a random length between these.
    Update { waits: Waits },
    /// Holds it, until it is killed.
    Hold,
    /// Leads under its name as an election's, until it is killed.
    Lead,
}

/// The shortest and the longest wait between a read and its write.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Waits {
    pub min: Duration,
    pub max: Duration,
}

impl Waits {
    pub fn pick(self, random: &mut fastrand::Rng) -> Duration {
        self.min + self.max.saturating_sub(self.min).mul_f64(random.f64())
    }
}

/// What a worker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where the storage is.
    pub hub: PathBuf,
    pub number: u32,
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
pub enum Hello {
    Storage { worker: u32 },
    Reports { worker: u32 },
}

/// What a worker tells, with the moment at which it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub at: u64,
    pub what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    Ready,
    /// It has the lock, as far as it knows.
    Held {
        token: Option<FencingToken>,
    },
    /// It has read, and writes after this wait.
    HasRead {
        wait: Duration,
    },
    /// It has written or tried to. `believed`: it would still have thought that it holds the lock.
    Wrote {
        taken: bool,
        believed: bool,
    },
    /// It is about to give the lock back.
    LetsGo,
    /// It did not get the lock.
    Refused {
        error: String,
        in_time: bool,
        late: Duration,
    },
    History(Line),
    Ended,
}
