//! Readers beside the writer: what was answered is seen, and what is seen is whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use futures::executor::block_on;
use steadfast_time::sim::SimClock;

use super::bench::Bench;
use super::make::{at, message, placed, stream};
use super::{Subject, checks};
use crate::{Journal, Position, RecordChange, Version};

checks![what_was_answered_is_seen_by_every_later_read, one_read_never_sees_half_a_write];

/// Is raised when dropped, so that a reader ends even when its writer fails.
#[derive(Default)]
struct Done(AtomicBool);

struct Raise<'a>(&'a Done);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Runs `work` over a journal whose writer has a thread of its own.
fn beside_the_writer<S: Subject>(bench: &mut Bench<S>, work: impl FnOnce(&Journal)) {
    let clock = SimClock::starting_at(at(0)).clock();
    let (journal, writer) = Journal::new(bench.take(), clock);
    let writer = writer.spawn("conformance").expect("a thread");
    work(&journal);
    writer.stop().expect("the writer ends well");
    drop(journal);
    bench.open();
}

fn what_was_answered_is_seen_by_every_later_read<S: Subject>(bench: &mut Bench<S>) {
    const CALLERS: u64 = 6;
    const WRITES: u64 = 30;
    beside_the_writer(bench, |journal| {
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                scope.spawn(move || {
                    let key = caller.to_string();
                    for n in 1..=WRITES {
                        let mut write = placed(1, &key);
                        write.messages.push(message(&key, n));
                        let committed = block_on(journal.commit(write)).expect("committed");
                        let store = journal.store();
                        assert_eq!(committed.versions, [Version(n)]);
                        assert_eq!(store.version(&stream(&key)).unwrap(), Version(n));
                        let last = store.stream(&stream(&key), Version(n - 1), 9).unwrap();
                        assert_eq!(last.len(), 1);
                        assert_eq!(last[0].position, committed.head);
                        assert!(store.head().unwrap().position >= committed.head);
                        let before = Position(committed.head.0 - 1);
                        assert_eq!(store.events(before, 1).unwrap(), last);
                        let rows = store.unpublished(0, 1_000).unwrap();
                        let own = rows.iter().filter(|row| row.message.aggregate_id == key);
                        assert_eq!(own.count() as u64, n);
                    }
                });
            }
        });
    });
    assert_eq!(bench.store().head().unwrap().position, Position(CALLERS * WRITES));
}

fn one_read_never_sees_half_a_write<S: Subject>(bench: &mut Bench<S>) {
    const KEYS: usize = 40;
    beside_the_writer(bench, |journal| {
        let done = Done::default();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0_u64;
                while !done.0.load(Ordering::Acquire) {
                    let rows = journal.store().records("s", "", None, 1_000).unwrap();
                    assert!(rows.is_empty() || rows.len() == KEYS, "{} of {KEYS}", rows.len());
                    assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].1), "{rows:?}");
                    reads += 1;
                }
                reads
            });
            let raise = Raise(&done);
            for n in 0..60_u8 {
                let mut write = placed(1, "a");
                write.records = (0..KEYS)
                    .map(|key| RecordChange {
                        space: "s".into(),
                        key: format!("{key:03}"),
                        value: Some(Bytes::from(vec![n])),
                    })
                    .collect();
                block_on(journal.commit(write)).expect("committed");
            }
            drop(raise);
            assert!(reader.join().expect("the reader") > 0);
        });
    });
}
