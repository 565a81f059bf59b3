//! The truth: who had seen what when he wrote.
//!
//! It is kept by the trial and not by the replicas, and needs no clock: each client's writes are a
//! chain, so what a write had seen is one number for each client. It is told of every version that
//! a replica drops, and judges it: dropped for a write that had seen it, as it should be; dropped
//! for one that neither had seen nor was seen by it, which loses one of two equals; or dropped for
//! one that *it* had seen, which loses the effect and keeps the cause.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast_time::Clock;

/// A write, and what its writer had seen.
#[derive(Clone, Debug)]
struct Write {
    client: usize,
    /// The client's first write is 1.
    number: u64,
    /// Of each client, how many writes the writer knew of; without this one.
    past: Vec<u64>,
    is_acknowledged: bool,
}

/// What happened to the writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    writes: Vec<Write>,
    /// Writes that were dropped for one that they had seen, and when that was first done.
    causal: Vec<(Duration, u64)>,
    /// Writes that were dropped for one that neither had seen them nor was seen by them.
    concurrent: Vec<(Duration, u64)>,
    lost: BTreeSet<(bool, u64)>,
    /// When a client read what it knew to be overwritten.
    regressions: Vec<Duration>,
    /// When a client read, and how many siblings.
    siblings: Vec<(Duration, usize)>,
    /// Stamps that a hybrid clock has refused.
    refused: u64,
    /// Reads and writes that had no answer.
    unanswered: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    clients: usize,
    clock: Clock,
    books: Mutex<Books>,
}

/// What a client knows.
#[derive(Clone, Debug)]
pub(super) struct Knowledge {
    /// Of each client, how many writes.
    seen: Vec<u64>,
    /// Of each client, how many writes are overwritten by one that it has seen.
    overwritten: Vec<u64>,
}

fn raise(numbers: &mut [u64], others: &[u64]) {
    for (number, other) in numbers.iter_mut().zip(others) {
        *number = (*number).max(*other);
    }
}

impl Knowledge {
    pub(super) fn new(clients: usize) -> Self {
        Self { seen: vec![0; clients], overwritten: vec![0; clients] }
    }

    fn learn(&mut self, write: &Write) {
        raise(&mut self.seen, &write.past);
        raise(&mut self.overwritten, &write.past);
        if let Some(seen) = self.seen.get_mut(write.client) {
            *seen = (*seen).max(write.number);
        }
    }
}

impl Books {
    fn write(&self, number: u64) -> Option<&Write> {
        // Writes are numbered from 1.
        self.writes.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Whether the first had seen the second.
    fn knew(&self, first: u64, second: u64) -> bool {
        match (self.write(first), self.write(second)) {
            (Some(first), Some(second)) => {
                first.past.get(second.client).is_some_and(|seen| *seen >= second.number)
            }
            _ => false,
        }
    }

    fn acknowledged<'a>(
        &'a self,
        lost: &'a [(Duration, u64)],
    ) -> impl Iterator<Item = Duration> + 'a {
        let told = |number: u64| self.write(number).is_some_and(|write| write.is_acknowledged);
        lost.iter().filter(move |(_, number)| told(*number)).map(|(at, _)| *at)
    }

    /// When acknowledged writes were dropped for one that they had seen.
    pub(super) fn causal_losses(&self) -> Vec<Duration> {
        self.acknowledged(&self.causal).collect()
    }

    /// When acknowledged writes were dropped for one that was written at the same time.
    pub(super) fn concurrent_losses(&self) -> Vec<Duration> {
        self.acknowledged(&self.concurrent).collect()
    }

    pub(super) fn acknowledged_writes(&self) -> u64 {
        self.writes.iter().filter(|write| write.is_acknowledged).count() as u64
    }

    pub(super) fn regressions(&self) -> &[Duration] {
        &self.regressions
    }

    pub(super) fn siblings(&self) -> &[(Duration, usize)] {
        &self.siblings
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered
    }
}

impl Ledger {
    pub(super) fn new(clients: usize, clock: Clock) -> Self {
        Self { clients, clock, books: Mutex::default() }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.clock.monotonic().since_start()
    }

    /// A copy of all that was written down.
    pub(super) fn read(&self) -> Books {
        self.books().clone()
    }

    /// A client writes; answers the number of the write.
    pub(super) fn write(&self, client: usize, knows: &mut Knowledge) -> u64 {
        debug_assert!(client < self.clients, "a client that is none of them");
        let mut books = self.books();
        let number = knows.seen.get(client).map_or(1, |seen| seen + 1);
        let past = knows.seen.clone();
        let write = Write { client, number, past, is_acknowledged: false };
        knows.learn(&write);
        books.writes.push(write);
        books.writes.len() as u64
    }

    /// A client heard that its write is done.
    pub(super) fn acknowledge(&self, write: u64) {
        let mut books = self.books();
        let at = usize::try_from(write).ok().and_then(|write| write.checked_sub(1));
        if let Some(write) = at.and_then(|at| books.writes.get_mut(at)) {
            write.is_acknowledged = true;
        }
    }

    /// A client has read these.
    pub(super) fn seen(&self, knows: &mut Knowledge, writes: &[u64]) {
        let now = self.now();
        let mut books = self.books();
        let is_overwritten = |write: &Write| {
            knows.overwritten.get(write.client).is_some_and(|number| *number >= write.number)
        };
        let known: Vec<_> = writes.iter().filter_map(|write| books.write(*write)).collect();
        let goes_back = known.iter().any(|write| is_overwritten(write));
        for write in known {
            knows.learn(write);
        }
        if goes_back {
            books.regressions.push(now);
        }
        books.siblings.push((now, writes.len()));
    }

    /// A replica has dropped a write for another one.
    pub(super) fn dropped(&self, write: u64, kept: u64) {
        let now = self.now();
        let mut books = self.books();
        let (knew, known) = (books.knew(write, kept), books.knew(kept, write));
        // That others drop it, too, makes it no greater loss.
        if !known && books.lost.insert((knew, write)) {
            let losses = if knew { &mut books.causal } else { &mut books.concurrent };
            losses.push((now, write));
        }
    }

    /// A hybrid clock has refused a stamp.
    pub(super) fn refused(&self) {
        self.books().refused += 1;
    }

    /// A client has given up.
    pub(super) fn unanswered(&self) {
        self.books().unanswered += 1;
    }
}

#[cfg(test)]
mod tests {
    use steadfast_time::sim::Simulation;

    use super::*;

    /// Client 0 writes 1; client 1 reads it and writes 2; client 2 writes 3 without having read.
    fn ledger() -> (Ledger, [Knowledge; 3]) {
        let ledger = Ledger::new(3, Simulation::new(1).clock());
        let mut clients = [(); 3].map(|()| Knowledge::new(3));
        assert_eq!(ledger.write(0, &mut clients[0]), 1);
        ledger.seen(&mut clients[1], &[1]);
        assert_eq!(ledger.write(1, &mut clients[1]), 2);
        assert_eq!(ledger.write(2, &mut clients[2]), 3);
        (1..=3).for_each(|write| ledger.acknowledge(write));
        (ledger, clients)
    }

    #[test]
    fn the_effect_that_is_dropped_for_its_cause_is_a_causal_loss() {
        let (ledger, _) = ledger();
        ledger.dropped(1, 2);
        assert!(ledger.read().causal_losses().is_empty(), "as it should be");
        ledger.dropped(2, 1);
        ledger.dropped(2, 1);
        assert_eq!(ledger.read().causal_losses().len(), 1, "on two replicas, and one loss");
        ledger.dropped(3, 2);
        let books = ledger.read();
        assert_eq!((books.causal_losses().len(), books.concurrent_losses().len()), (1, 1));
    }

    #[test]
    fn what_nobody_was_told_is_no_loss() {
        let ledger = Ledger::new(1, Simulation::new(1).clock());
        let mut client = Knowledge::new(1);
        ledger.write(0, &mut client);
        ledger.write(0, &mut client);
        ledger.dropped(2, 1);
        assert!(ledger.read().causal_losses().is_empty());
        ledger.acknowledge(2);
        assert_eq!(ledger.read().causal_losses().len(), 1);
    }

    #[test]
    fn to_read_what_one_has_seen_overwritten_is_to_go_back() {
        let (ledger, mut clients) = ledger();
        ledger.seen(&mut clients[1], &[2, 3]);
        assert!(ledger.read().regressions().is_empty());
        ledger.seen(&mut clients[0], &[3]);
        assert!(ledger.read().regressions().is_empty(), "its own is gone, but not overwritten");
        ledger.seen(&mut clients[1], &[1]);
        assert_eq!(ledger.read().regressions().len(), 1);
        assert_eq!(ledger.read().siblings().iter().map(|(_, n)| *n).max(), Some(2));
    }
}
