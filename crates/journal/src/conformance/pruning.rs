//! Only what has expired goes, a little at a time.

use std::time::Duration;

use super::bench::Bench;
use super::make::{at, claim, id, message, placed, sequence, write};
use super::{Subject, checks};
use crate::limits::{INBOX_RETENTION, OUTBOX_RETENTION};
use crate::{OutboxChange, Position, Pruned};

checks![
    expired_keys_go,
    only_published_rows_go,
    old_marks_go,
    one_step_is_bounded_over_all_kinds,
    numbers_are_never_used_again,
];

/// Longer than any rounding of times, shorter than anything else here.
const MOMENT: Duration = Duration::from_millis(1);

fn expired_keys_go<S: Subject>(bench: &mut Bench<S>) {
    for n in 1..=5 {
        let mut write = write(0);
        write.claim = Some(claim("t", &n.to_string(), 1, n * 10));
        bench.ok(write);
    }
    assert_eq!(bench.prune(at(9), 99), Pruned::default());
    assert_eq!(bench.prune(at(30), 2), Pruned { claims: 2, ..Pruned::default() });
    assert_eq!(bench.prune(at(30), 2), Pruned { claims: 1, ..Pruned::default() });
    assert_eq!(bench.prune(at(30), 2), Pruned::default());
    for n in 1..=5 {
        let held = bench.store().claimed("t", &n.to_string(), at(0)).unwrap();
        assert_eq!(held.is_some(), n > 3, "{n}");
    }
}

fn only_published_rows_go<S: Subject>(bench: &mut Bench<S>) {
    let mut sends = write(0);
    sends.messages = (1..=4).map(|number| message("a", number)).collect();
    let first = bench.ok(sends).outbox[0].seq;
    let mut says = write(5);
    says.outbox = vec![OutboxChange::Published(first..=first + 1), OutboxChange::Failed(first + 2)];
    bench.ok(says);
    // Kept from when it was published, not from when it was made.
    let due = at(5) + OUTBOX_RETENTION;
    assert_eq!(bench.prune(due - MOMENT, 99), Pruned::default());
    assert_eq!(bench.prune(due + MOMENT, 99), Pruned { outbox: 2, ..Pruned::default() });
    let left: Vec<u64> = bench.store().outbox(0, 99).unwrap().iter().map(|row| row.seq).collect();
    assert_eq!(left, [first + 2, first + 3]);
    assert_eq!(bench.prune(due + OUTBOX_RETENTION * 100, 99), Pruned::default());
}

fn old_marks_go<S: Subject>(bench: &mut Bench<S>) {
    let mut marks = write(0);
    marks.processed = vec![sequence("c", "old", 3), sequence("c", "used", 1), id("c", 1)];
    bench.ok(marks);
    let mut later = write(5_000);
    later.processed = vec![sequence("c", "used", 2), id("c", 2)];
    bench.ok(later);
    assert_eq!(bench.prune(at(0) + INBOX_RETENTION - MOMENT, 99), Pruned::default());
    let pruned = bench.prune(at(0) + INBOX_RETENTION + MOMENT, 99);
    assert_eq!(pruned, Pruned { inbox: 2, ..Pruned::default() });
    assert_eq!(bench.store().processed_up_to("c", "old").unwrap(), 0);
    assert_eq!(bench.store().processed_up_to("c", "used").unwrap(), 2);
    assert!(!bench.store().processed(&id("c", 1)).unwrap());
    assert!(bench.store().processed(&id("c", 2)).unwrap());
}

fn one_step_is_bounded_over_all_kinds<S: Subject>(bench: &mut Bench<S>) {
    for n in 1..=10_u64 {
        let mut write = placed(0, "a");
        write.claim = Some(claim("t", &n.to_string(), 1, 10));
        write.messages = vec![message("a", n)];
        write.processed = vec![sequence("c", &n.to_string(), 1), id("c", u128::from(n))];
        bench.ok(write);
    }
    let mut published = write(1);
    published.outbox = vec![OutboxChange::Published(0..=u64::MAX)];
    bench.ok(published);
    let now = at(1) + INBOX_RETENTION + OUTBOX_RETENTION + MOMENT;
    assert_eq!(bench.prune(now, 0), Pruned::default());
    let mut sum = Pruned::default();
    let mut steps = 0;
    loop {
        let step = bench.prune(now, 7);
        assert!(step.total() <= 7, "{step:?}");
        if step.total() == 0 {
            break;
        }
        let Pruned { claims, outbox, inbox } = step;
        sum = Pruned {
            claims: sum.claims + claims,
            outbox: sum.outbox + outbox,
            inbox: sum.inbox + inbox,
        };
        steps += 1;
    }
    assert_eq!(sum, Pruned { claims: 10, outbox: 10, inbox: 20 });
    assert_eq!(steps, 6, "as much as is allowed in each step");
    assert_eq!(bench.store().events(Position::START, 99).unwrap().len(), 10, "events stay");
}

fn numbers_are_never_used_again<S: Subject>(bench: &mut Bench<S>) {
    let mut sends = write(0);
    sends.messages = vec![message("a", 1), message("a", 2)];
    let last = bench.ok(sends.clone()).outbox[1].seq;
    let mut says = write(0);
    says.outbox = vec![OutboxChange::Published(0..=last)];
    bench.ok(says);
    assert_eq!(bench.prune(at(0) + OUTBOX_RETENTION + MOMENT, 99).outbox, 2);
    bench.reopen();
    assert!(bench.store().outbox(0, 9).unwrap().is_empty());
    assert_eq!(bench.ok(sends).outbox[0].seq, last + 1);
}
