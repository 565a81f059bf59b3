//! The protected register.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use steadfast_fencing::{FencingToken, HighWater};

/// An operation: the worker's number and a count. Never used twice.
pub type Operation = u64;

/// What the storage does with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fence {
    /// Nothing: who says that it holds the lock may write.
    None,
    /// Refuses writes below the highest token of all writes.
    Writes,
    /// Refuses reads and writes below the highest token of all reads and writes.
    Full,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "unfenced",
            Self::Writes => "writes-only",
            Self::Full => "fenced",
        })
    }
}

impl FromStr for Fence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Writes, Self::Full]
            .into_iter()
            .find(|fence| fence.to_string() == text)
            .ok_or(format!("{text:?} is not unfenced, writes-only or fenced"))
    }
}

/// What a worker asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// What the register is, to be updated.
    Read { token: Option<FencingToken> },
    /// The register is to be this.
    Write { token: Option<FencingToken>, value: Vec<Operation> },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The register.
    Value(Vec<Operation>),
    /// It is written.
    Written,
    /// Another holder has been here; nothing was done.
    Stale { highest: FencingToken },
}

/// The register, the highest token that it has seen, and what became of what was asked.
#[derive(Debug)]
pub struct Storage {
    fence: Fence,
    mark: HighWater,
    /// All operations that the present value went through.
    value: Vec<Operation>,
    /// Who came with a token first.
    holders: BTreeMap<FencingToken, u32>,
    /// Writes that were let in, in order, with the workers that they came from.
    pub written: Vec<(u32, Operation)>,
    pub refused_reads: u64,
    pub refused_writes: u64,
    /// How often a worker came with the token of another: what no fence can tell apart.
    pub shared_tokens: u64,
}

impl Storage {
    pub fn new(fence: Fence) -> Self {
        Self {
            fence,
            mark: HighWater::default(),
            value: Vec::new(),
            holders: BTreeMap::new(),
            written: Vec::new(),
            refused_reads: 0,
            refused_writes: 0,
            shared_tokens: 0,
        }
    }

    /// How many tokens have been presented.
    pub fn tokens(&self) -> usize {
        self.holders.len()
    }

    pub fn value(&self) -> &[Operation] {
        &self.value
    }

    /// Check and effect are one step: the caller has the storage for itself.
    pub fn answer(&mut self, worker: u32, ask: Ask) -> Answer {
        let (token, fenced) = match &ask {
            Ask::Read { token } => (*token, self.fence == Fence::Full),
            Ask::Write { token, .. } => (*token, self.fence != Fence::None),
        };
        if let Some(token) = token {
            let holder = *self.holders.entry(token).or_insert(worker);
            self.shared_tokens += u64::from(holder != worker);
        }
        if let Some(token) = token.filter(|_| fenced)
            && let Err(stale) = self.mark.admit(token)
        {
            match ask {
                Ask::Read { .. } => self.refused_reads += 1,
                Ask::Write { .. } => self.refused_writes += 1,
            }
            return Answer::Stale { highest: stale.highest };
        }
        match ask {
            Ask::Read { .. } => Answer::Value(self.value.clone()),
            Ask::Write { value, .. } => {
                self.written.extend(value.last().map(|operation| (worker, *operation)));
                self.value = value;
                Answer::Written
            }
        }
    }
}
