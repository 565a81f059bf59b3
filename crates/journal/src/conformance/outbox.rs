//! No event without its message, in commit order.

use super::bench::Bench;
use super::make::{at, exactly, message, placed, write};
use super::{Subject, checks};
use crate::{MessageStatus, OutboxChange, OutboxRow, Write};

checks![
    rows_are_in_commit_order_without_gaps,
    a_row_is_kept_as_it_was_given,
    a_published_range_is_no_longer_to_be_published,
    a_failed_row_is_tried_again,
    a_published_row_stays_published,
    a_range_reaches_only_rows_that_exist,
];

fn sends(ms: i64, numbers: impl IntoIterator<Item = u64>) -> Write {
    let mut write = write(ms);
    write.messages = numbers.into_iter().map(|number| message("a", number)).collect();
    write
}

fn says(ms: i64, changes: &[OutboxChange]) -> Write {
    let mut write = write(ms);
    write.outbox = changes.to_vec();
    write
}

fn seqs(rows: &[OutboxRow]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

fn rows_are_in_commit_order_without_gaps<S: Subject>(bench: &mut Bench<S>) {
    let mut refused = sends(1, 90..95);
    refused.appends = placed(1, "a").appends;
    refused.appends[0].expected = exactly(99);
    let outcomes = bench.batch(&[sends(1, 1..3), refused, sends(1, 3..4)]);
    let applied: Vec<_> = outcomes.into_iter().flatten().flat_map(|a| a.outbox).collect();
    bench.ok(sends(2, 4..6));
    let rows = bench.store().outbox(0, 100).unwrap();
    assert_eq!(rows[..3], applied);
    let first = rows[0].seq;
    assert!(first > 0, "`after: 0` must not skip the first row");
    assert_eq!(seqs(&rows), (first..first + 5).collect::<Vec<_>>());
    let numbers: Vec<u64> = rows.iter().map(|row| row.message.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(bench.store().unpublished(0, 100).unwrap(), rows);
    assert_eq!(seqs(&bench.store().unpublished(first + 1, 2).unwrap()), [first + 2, first + 3]);
    assert_eq!(seqs(&bench.store().outbox(first + 2, 1).unwrap()), [first + 3]);
    assert!(bench.store().outbox(first + 4, 1).unwrap().is_empty());
    assert!(bench.store().outbox(u64::MAX, 1).unwrap().is_empty());
    assert!(bench.store().unpublished(u64::MAX, 1).unwrap().is_empty());
}

fn a_row_is_kept_as_it_was_given<S: Subject>(bench: &mut Bench<S>) {
    let applied = bench.ok(sends(7, [3]));
    let expected = OutboxRow {
        seq: applied.outbox[0].seq,
        message: message("a", 3),
        status: MessageStatus::Pending,
        retry_count: 0,
        created_at: at(7),
        published_at: None,
    };
    assert_eq!(applied.outbox, std::slice::from_ref(&expected));
    assert_eq!(bench.store().outbox(0, 10).unwrap(), [expected]);
}

fn a_published_range_is_no_longer_to_be_published<S: Subject>(bench: &mut Bench<S>) {
    let first = bench.ok(sends(1, 1..=6)).outbox[0].seq;
    bench.ok(says(9, &[OutboxChange::Published(first + 1..=first + 3)]));
    let left = bench.store().unpublished(0, 100).unwrap();
    assert_eq!(seqs(&left), [first, first + 4, first + 5]);
    let rows = bench.store().outbox(0, 100).unwrap();
    assert_eq!(rows.len(), 6);
    for row in &rows[1..4] {
        assert_eq!((row.status, row.published_at), (MessageStatus::Published, Some(at(9))));
        assert_eq!((row.created_at, row.retry_count), (at(1), 0));
    }
    assert_eq!((rows[0].status, rows[0].published_at), (MessageStatus::Pending, None));
    bench.ok(says(
        10,
        &[OutboxChange::Published(0..=first), OutboxChange::Published(first + 4..=first + 5)],
    ));
    assert!(bench.store().unpublished(0, 100).unwrap().is_empty());
}

fn a_failed_row_is_tried_again<S: Subject>(bench: &mut Bench<S>) {
    let first = bench.ok(sends(1, 1..=3)).outbox[0].seq;
    for _ in 0..2 {
        bench.ok(says(2, &[OutboxChange::Failed(first + 1)]));
    }
    let left = bench.store().unpublished(0, 100).unwrap();
    assert_eq!(seqs(&left), [first, first + 1, first + 2], "in its old place");
    assert_eq!((left[1].status, left[1].retry_count), (MessageStatus::Failed, 2));
    assert_eq!(left[1].published_at, None);
    bench.ok(says(3, &[OutboxChange::Published(first..=first + 2)]));
    let row = bench.store().outbox(first, 1).unwrap().remove(0);
    assert_eq!((row.status, row.retry_count), (MessageStatus::Published, 2));
}

fn a_published_row_stays_published<S: Subject>(bench: &mut Bench<S>) {
    let first = bench.ok(sends(1, 1..=1)).outbox[0].seq;
    bench.ok(says(2, &[OutboxChange::Published(first..=first)]));
    let before = bench.store().outbox(0, 1).unwrap();
    let late = [OutboxChange::Failed(first), OutboxChange::Published(first..=first)];
    bench.ok(says(3, &late));
    assert_eq!(bench.store().outbox(0, 1).unwrap(), before);
    assert!(bench.store().unpublished(0, 1).unwrap().is_empty());
}

fn a_range_reaches_only_rows_that_exist<S: Subject>(bench: &mut Bench<S>) {
    let everything = says(1, &[OutboxChange::Published(0..=u64::MAX), OutboxChange::Failed(2)]);
    #[allow(clippy::reversed_empty_ranges, reason = "an empty range is what is tested")]
    let empty = says(1, &[OutboxChange::Published(2..=1), OutboxChange::Failed(u64::MAX)]);
    // Also within a batch: what comes later is not published before it is there.
    bench.batch(&[everything.clone(), empty.clone(), sends(1, 1..=3), empty]);
    assert_eq!(bench.store().unpublished(0, 10).unwrap().len(), 3);
    bench.batch(&[everything, sends(1, 4..=5)]);
    let left = bench.store().unpublished(0, 10).unwrap();
    let numbers: Vec<_> = left.iter().map(|row| (row.message.sequence, row.retry_count)).collect();
    assert_eq!(numbers, [(4, 0), (5, 0)]);
}
