//! The storage as an observer sees it who knows which process asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;

use super::super::storage::{Answer, Ask, Fence, Grant, Operation, Storage};

/// What a worker asks, with its token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub token: Option<FencingToken>,
    pub ask: Ask,
}

/// A worker that came after a later one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    /// In nanoseconds of the machine's clock.
    pub at: u64,
    pub worker: u64,
    /// A write that was let in all the same; otherwise a read or a write that was refused.
    pub is_let_in: bool,
}

/// The document, and who came to it.
#[derive(Debug)]
pub struct Register {
    storage: Storage,
    /// Turns without a token, numbered in the order of their reads.
    turns: Grant,
    /// The turn of each worker that came without a token.
    grants: BTreeMap<u64, Grant>,
    /// Who came with a token first.
    holders: BTreeMap<FencingToken, u64>,
    late: Vec<Late>,
    refused_reads: u64,
    refused_writes: u64,
    shared_tokens: u64,
}

impl Register {
    pub(super) fn new(fence: Fence) -> Self {
        Self {
            storage: Storage::new(fence),
            turns: 0,
            grants: BTreeMap::new(),
            holders: BTreeMap::new(),
            late: Vec::new(),
            refused_reads: 0,
            refused_writes: 0,
            shared_tokens: 0,
        }
    }

    /// The document.
    #[must_use]
    pub fn value(&self) -> Vec<Operation> {
        self.storage.value()
    }

    /// Who came after a later one, in order of time.
    pub(super) fn late(&self) -> &[Late] {
        &self.late
    }

    /// How many tokens have been presented.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.holders.len()
    }

    /// Writes that were let in though a later holder had been here.
    #[must_use]
    pub fn stale_writes(&self) -> u64 {
        self.storage.stale_writes()
    }

    /// Reads that the fence refused.
    #[must_use]
    pub fn refused_reads(&self) -> u64 {
        self.refused_reads
    }

    /// Writes that the fence refused.
    #[must_use]
    pub fn refused_writes(&self) -> u64 {
        self.refused_writes
    }

    /// How often a worker came with the token of another: what no fence can tell apart.
    #[must_use]
    pub fn shared_tokens(&self) -> u64 {
        self.shared_tokens
    }

    /// Check and effect are one step: the caller has the register for itself.
    pub(super) fn serve(&mut self, worker: u64, request: &Request, now: u64) -> Answer {
        let Request { token, ask } = request;
        let grant = self.grant(worker, *token, ask);
        if let Some(token) = token {
            let holder = *self.holders.entry(*token).or_insert(worker);
            self.shared_tokens += u64::from(holder != worker);
        }
        let served = self.storage.serve(grant, *token, ask);
        let is_refused = matches!(served.answer, Answer::Stale(_));
        if is_refused {
            match ask {
                Ask::Read => self.refused_reads += 1,
                Ask::Write(_) => self.refused_writes += 1,
            }
        }
        if is_refused || served.is_stale_write {
            self.late.push(Late { at: now, worker, is_let_in: served.is_stale_write });
        }
        served.answer
    }

    /// The turn that somebody comes with. A lock without tokens does not number them; then whoever
    /// reads later has the later one.
    fn grant(&mut self, worker: u64, token: Option<FencingToken>, ask: &Ask) -> Grant {
        if let Some(token) = token {
            return token.get();
        }
        if *ask == Ask::Read {
            self.turns += 1;
            self.grants.insert(worker, self.turns);
        }
        self.grants.get(&worker).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(register: &mut Register, worker: u64, token: Option<u64>, ask: Ask) -> Answer {
        let token = token.and_then(FencingToken::new);
        register.serve(worker, &Request { token, ask }, worker)
    }

    #[test]
    fn turns_without_tokens_are_told_apart_by_their_reads() {
        let mut register = Register::new(Fence::None);
        serve(&mut register, 1, None, Ask::Read);
        serve(&mut register, 2, None, Ask::Read);
        assert_eq!(serve(&mut register, 1, None, Ask::Write(vec![1])), Answer::Written);
        assert_eq!(serve(&mut register, 2, None, Ask::Write(vec![2])), Answer::Written);
        assert_eq!((register.stale_writes(), register.tokens()), (1, 0));
        assert!(matches!(register.late[..], [Late { worker: 1, is_let_in: true, .. }]));
    }

    #[test]
    fn refusals_and_the_tokens_of_others_are_counted() {
        let mut register = Register::new(Fence::Full);
        serve(&mut register, 1, Some(1), Ask::Read);
        serve(&mut register, 2, Some(2), Ask::Read);
        let late = serve(&mut register, 1, Some(1), Ask::Write(vec![1]));
        assert!(matches!(late, Answer::Stale(_)));
        assert_eq!((register.refused_writes(), register.stale_writes()), (1, 0));
        assert!(matches!(register.late[..], [Late { worker: 1, is_let_in: false, .. }]));
        serve(&mut register, 3, Some(2), Ask::Read);
        assert_eq!((register.shared_tokens(), register.tokens()), (1, 2));
    }
}
