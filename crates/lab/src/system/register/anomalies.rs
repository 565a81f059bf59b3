//! What no register may do, counted in a history.
//!
//! Lamport ("On Interprocess Communication", 1986) calls a register *regular* when a read returns the
//! last finished write or one that is under way, and *atomic* when reads besides never go back from
//! a new value to an old one. A stale read breaks the first, an inversion the second. Values are
//! unique, so a read says which write it saw.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::history::{Operation, Outcome};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Reads that were answered.
    pub(super) reads: u64,
    /// When stale reads ended, in nanoseconds.
    pub(super) stale: Vec<u64>,
    /// Reads that went back behind another one.
    pub(super) inverted: u64,
    /// Reads of what nobody wrote.
    pub(super) made_up: u64,
}

/// Where a write began and ended in the history: places of its events. The register's first value
/// was there before the first event.
#[derive(Clone, Copy)]
struct Extent {
    begins: i64,
    ends: i64,
}

const FIRST: Extent = Extent { begins: -2, ends: -1 };

fn place(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// Looks through operations with unique values.
pub(super) fn find(operations: &[Operation]) -> Found {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        keys.entry(operation.key.as_deref().unwrap_or_default()).or_default().push(operation);
    }
    let mut found = Found::default();
    for operations in keys.into_values() {
        of_a_key(&operations, &mut found);
    }
    found.stale.sort_unstable();
    found
}

fn of_a_key(operations: &[&Operation], found: &mut Found) {
    let mut writes: BTreeMap<u64, Extent> = BTreeMap::new();
    let done = |it: &&&Operation| it.f == "write" && it.outcome != Outcome::Fail;
    for write in operations.iter().filter(done) {
        let Some(value) = write.argument.as_u64() else { continue };
        let ends = match (write.outcome, write.completed) {
            (Outcome::Ok, Some(at)) => place(at),
            _ => i64::MAX,
        };
        writes.insert(value, Extent { begins: place(write.invoked), ends });
    }
    // By the end of the operation: since when the write that it made or saw has been known.
    let mut written: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut seen: BTreeSet<(i64, i64)> = BTreeSet::new();
    for write in writes.values().filter(|write| write.ends < i64::MAX) {
        written.insert((write.ends, write.begins));
    }
    let mut reads = Vec::new();
    for read in operations.iter().filter(|it| it.f == "read" && it.outcome == Outcome::Ok) {
        found.reads += 1;
        let extent = match &read.answer {
            Value::Null => Some(FIRST),
            value => value.as_u64().and_then(|value| writes.get(&value).copied()),
        };
        let Some(extent) = extent else {
            found.made_up += 1;
            continue;
        };
        seen.insert((read.completed.map_or(i64::MAX, place), extent.begins));
        reads.push((place(read.invoked), extent, read.to));
    }
    reads.sort_unstable_by_key(|(invoked, ..)| *invoked);
    let (mut written, mut seen) = (Latest::new(written), Latest::new(seen));
    for (invoked, extent, to) in reads {
        // Another write began after this one had ended, and was done, or seen, before the read.
        if extent.ends < written.before(invoked) {
            found.stale.push(to);
        }
        if extent.ends < seen.before(invoked) {
            found.inverted += 1;
        }
    }
}

/// The latest beginning among the writes that were known at a place; asked in order of places.
struct Latest {
    rest: std::iter::Peekable<std::collections::btree_set::IntoIter<(i64, i64)>>,
    begins: i64,
}

impl Latest {
    fn new(known: BTreeSet<(i64, i64)>) -> Self {
        Self { rest: known.into_iter().peekable(), begins: i64::MIN }
    }

    fn before(&mut self, place: i64) -> i64 {
        while let Some((_, begins)) = self.rest.next_if(|(ends, _)| *ends < place) {
            self.begins = self.begins.max(begins);
        }
        self.begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, Kind, pairs};

    /// `(process, kind, f, value)`, one a nanosecond.
    fn found(events: &[(u64, Kind, &'static str, Option<u64>)]) -> Found {
        let event = |(time, &(process, kind, f, value)): (usize, &(u64, Kind, &'static str, _))| {
            let value: Option<u64> = value;
            let (f, value) = (f.into(), value.map_or(Value::Null, Value::from));
            Event { process, kind, f, key: None, value, time: time as u64, error: None }
        };
        let events: Vec<_> = events.iter().enumerate().map(event).collect();
        find(&pairs(&events).unwrap())
    }

    use Kind::{Fail, Info, Invoke, Ok};

    #[test]
    fn a_read_that_misses_a_finished_write_is_stale() {
        let found = found(&[
            (0, Invoke, "write", Some(1)),
            (0, Ok, "write", Some(1)),
            (1, Invoke, "read", None),
            (1, Ok, "read", None),
        ]);
        assert_eq!((found.stale, found.inverted, found.made_up), (vec![3], 0, 0));
    }

    #[test]
    fn while_a_write_is_under_way_old_and_new_are_allowed_but_not_new_then_old() {
        let found = found(&[
            (0, Invoke, "write", Some(1)),
            (1, Invoke, "read", None),
            (1, Ok, "read", Some(1)),
            (1, Invoke, "read", None),
            (1, Ok, "read", None),
            (0, Ok, "write", Some(1)),
        ]);
        assert_eq!((found.stale.len(), found.inverted, found.reads), (0, 1, 2));
    }

    #[test]
    fn two_writes_at_once_have_no_order_by_themselves() {
        let found = found(&[
            (0, Invoke, "write", Some(1)),
            (1, Invoke, "write", Some(2)),
            (0, Ok, "write", Some(1)),
            (1, Ok, "write", Some(2)),
            (0, Invoke, "read", None),
            (0, Ok, "read", Some(1)),
            (0, Invoke, "read", None),
            (0, Ok, "read", Some(2)),
        ]);
        assert_eq!((found.stale.len(), found.inverted), (0, 0));
    }

    #[test]
    fn a_write_that_may_yet_come_is_never_stale_and_one_that_failed_was_never_there() {
        let events = |end| {
            [
                (0, Invoke, "write", Some(1)),
                (0, end, "write", Some(1)),
                (1, Invoke, "write", Some(2)),
                (1, Ok, "write", Some(2)),
                (2, Invoke, "read", None),
                (2, Ok, "read", Some(1)),
            ]
        };
        let info = found(&events(Info));
        assert_eq!((info.stale.len(), info.made_up), (0, 0));
        let fail = found(&events(Fail));
        assert_eq!((fail.stale.len(), fail.made_up), (0, 1));
        assert_eq!(found(&events(Ok)).stale.len(), 1);
    }
}
