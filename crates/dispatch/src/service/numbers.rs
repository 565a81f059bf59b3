//! The short numbers that people call orders by.
//!
//! An order's id is made for machines. On the telephone, on a receipt and on a paper bag it is a
//! number: short, unique, and larger for later orders, roughly (each process takes a block of
//! [`ORDER_NUMBERS_BLOCK`] from the coordinator's [`Sequence`] and gives it out by itself, so a
//! number costs no round trip).
//!
//! # Never a number twice
//! The sequence is unique as long as its register is kept. A register can be lost: another engine is
//! configured, a data folder is deleted, a backup restored. So the journal remembers which blocks
//! have been used, in a record that the first order of a block brings along: a sequence that begins
//! anew begins above them, and one that has gone back is refused before it gives a number.
//!
//! Numbers have gaps: what a process had left of its blocks when it ended.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use steadfast_coordination::port::Name;
use steadfast_coordination::recipe::sequence::Options;
use steadfast_coordination::{Client, Sequence};
use steadfast_journal::{Journal, RecordChange, StorageError, Write};
use steadfast_resilience::deadline::Deadline;
use steadfast_time::Clock;

use crate::Error;
use crate::limits::ORDER_NUMBERS_BLOCK;

/// The sequence of order numbers.
const SEQUENCE: &str = "orders";

/// The set of records that name the blocks of which numbers were used: key: the block's number, in
/// twelve digits; no value.
const BLOCKS: &str = "order-number-blocks";

/// Why orders cannot be numbered.
#[derive(Debug, thiserror::Error)]
pub enum NumbersError {
    /// The journal cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal holds something else under the name of a block.
    #[error("{key:?} is no block of order numbers")]
    Unreadable {
        /// The record.
        key: String,
    },
    /// The sequence is not possible.
    #[error(transparent)]
    Sequence(#[from] steadfast_coordination::recipe::sequence::Error),
    /// The sequence's name is not one.
    #[error(transparent)]
    Name(#[from] steadfast_coordination::NameError),
}

/// Numbers for the orders of one journal.
#[derive(Debug)]
pub struct Numbers {
    sequence: Sequence,
    clock: Clock,
    /// Every number below may have been used before this process began.
    floor: u64,
    /// The block after the one that is known to be remembered; 0: none is.
    remembered: AtomicU64,
}

/// A number, and the block that the journal has to remember with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) number: u64,
    block: Option<u64>,
}

impl Numbers {
    /// The numbers of a journal's orders, reserved by a client.
    ///
    /// # Errors
    /// See [`NumbersError`].
    pub fn new(journal: &Journal, client: &Client) -> Result<Self, NumbersError> {
        let used = last_block(journal)?;
        let floor = used.map_or(0, |block| (block + 1).saturating_mul(ORDER_NUMBERS_BLOCK));
        // Blocks begin at multiples of their length. No order has the number zero.
        let start = floor.max(ORDER_NUMBERS_BLOCK);
        let options = Options { start, block: ORDER_NUMBERS_BLOCK, ..Options::default() };
        let sequence = client.sequence(&Name::new(SEQUENCE)?, options)?;
        let clock = client.clock().clone();
        Ok(Self { sequence, clock, floor, remembered: AtomicU64::new(0) })
    }

    /// The next number. As a rule it is at hand; otherwise a block is waited for until `deadline`.
    pub(super) async fn next(&self, deadline: Deadline) -> Result<Numbered, Error> {
        let left = deadline.left(self.clock.monotonic());
        let number = match self.clock.timeout(left, self.sequence.next()).await {
            Ok(Ok(number)) => number,
            Ok(Err(error)) => return Err(unavailable(&error)),
            Err(late) => return Err(unavailable(&late)),
        };
        if number < self.floor {
            let floor = self.floor;
            let reason = format!(
                "the sequence {SEQUENCE:?} gave {number}, and numbers below {floor} have been \
                 used: its register was restored from an older copy"
            );
            return Err(Error::Unavailable { reason });
        }
        let block = number / ORDER_NUMBERS_BLOCK;
        let new = self.remembered.load(Relaxed) != block + 1;
        Ok(Numbered { number, block: new.then_some(block) })
    }

    /// The order with this number has been placed, and its block is remembered.
    pub(super) fn placed(&self, numbered: Numbered) {
        if let Some(block) = numbered.block {
            self.remembered.store(block + 1, Relaxed);
        }
    }
}

impl Numbered {
    /// Makes the journal remember the block, if it may not know it yet.
    pub(super) fn remember(self, write: &mut Write) {
        if let Some(block) = self.block {
            write.records.push(RecordChange {
                space: Cow::Borrowed(BLOCKS),
                key: format!("{block:012}"),
                value: Some(Bytes::new()),
            });
        }
    }
}

fn unavailable(error: &dyn std::error::Error) -> Error {
    Error::Unavailable { reason: format!("no order number: {error}") }
}

/// The highest block of which numbers were used.
fn last_block(journal: &Journal) -> Result<Option<u64>, NumbersError> {
    let last = journal.store().records_reverse(BLOCKS, "", None, 1)?;
    let parse =
        |(key, _): (String, Bytes)| key.parse().map_err(|_| NumbersError::Unreadable { key });
    last.into_iter().next().map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use steadfast_coordination::engine::memory::Memory;
    use steadfast_journal::memory;
    use steadfast_time::sim::Simulation;

    use super::*;

    /// So many numbers out of a fresh coordinator, used in a journal.
    fn life(sim: &mut Simulation, journal: &Journal, engine: Arc<Memory>, count: u64) -> Vec<u64> {
        let leases = steadfast_coordination::Options::default();
        let (client, _keeper) = Client::new(engine, sim.clock(), leases).unwrap();
        let numbers = Numbers::new(journal, &client).unwrap();
        let (journal, clock) = (journal.clone(), sim.clock());
        sim.block_on(async move {
            let deadline = Deadline::within(clock.monotonic(), Duration::from_secs(3_600));
            let mut used = Vec::new();
            for _ in 0..count {
                let numbered = numbers.next(deadline).await.unwrap();
                let mut write = Write::at(clock.now());
                numbered.remember(&mut write);
                if !write.records.is_empty() {
                    journal.commit(write).await.unwrap();
                    numbers.placed(numbered);
                }
                used.push(numbered.number);
            }
            used
        })
    }

    fn world() -> (Simulation, Journal) {
        let mut sim = Simulation::new(1);
        let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
        sim.on_idle(move || writer.run_once().unwrap() > 0);
        (sim, journal)
    }

    #[test]
    fn numbers_increase_and_stay_unique_when_the_coordinator_is_replaced() {
        let (mut sim, journal) = world();
        let mut all = Vec::new();
        for count in [1, 999, 1_000, 1_001, 2_500] {
            let engine = Arc::new(Memory::new(sim.clock()));
            all.extend(life(&mut sim, &journal, engine, count));
        }
        assert_eq!(all[0], ORDER_NUMBERS_BLOCK);
        assert!(all.is_sorted_by(|a, b| a < b), "a number was given twice");
        // The broken twin: a journal that remembers nothing.
        let forgetful = [(); 2].map(|()| {
            let (mut sim, journal) = world();
            let engine = Arc::new(Memory::new(sim.clock()));
            life(&mut sim, &journal, engine, 1)
        });
        assert_eq!(forgetful[0], forgetful[1]);
    }

    #[test]
    fn a_register_that_has_gone_back_gives_no_number() {
        let (mut sim, journal) = world();
        let engine = Arc::new(Memory::new(sim.clock()));
        life(&mut sim, &journal, engine, 3_500);
        // As it was before, restored from a copy.
        let old = Arc::new(Memory::new(sim.clock()));
        let (_, empty) = world();
        let leases = steadfast_coordination::Options::default();
        let (client, _keeper) = Client::new(old, sim.clock(), leases).unwrap();
        let stale = Numbers::new(&empty, &client).unwrap();
        let numbers = Numbers::new(&journal, &client).unwrap();
        let clock = sim.clock();
        let refused = sim.block_on(async move {
            let deadline = Deadline::within(clock.monotonic(), Duration::from_secs(1));
            stale.next(deadline).await.unwrap();
            numbers.next(deadline).await.unwrap_err()
        });
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
        assert!(refused.to_string().contains("below 5000"), "{refused}");
    }

    #[test]
    fn without_the_coordinator_a_number_is_refused_by_the_deadline() {
        let (mut sim, journal) = world();
        let engine = Arc::new(Memory::new(sim.clock()));
        engine.stop();
        let leases = steadfast_coordination::Options::default();
        let (client, _keeper) = Client::new(engine, sim.clock(), leases).unwrap();
        let numbers = Numbers::new(&journal, &client).unwrap();
        let clock = sim.clock();
        let (refused, waited) = sim.block_on(async move {
            let start = clock.monotonic();
            let deadline = Deadline::within(start, Duration::from_millis(350));
            let refused = numbers.next(deadline).await.unwrap_err();
            (refused, clock.monotonic() - start)
        });
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
        assert!(waited <= Duration::from_millis(350), "{waited:?}");
    }
}
