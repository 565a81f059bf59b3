//! One effect per message.

use steadfast_time::Uuid;

use super::bench::Bench;
use super::make::{id, placed, sequence, up_to, write};
use super::{Subject, checks};
use crate::{MessageRef, Processed, Refusal, Write};

checks![
    a_sequence_is_processed_once_and_never_backwards,
    a_sequence_may_jump,
    what_is_passed_over_is_marked_and_never_refused,
    an_identifier_is_processed_once,
    consumers_and_keys_are_apart,
    one_write_may_process_many_but_none_twice,
    the_whole_range_of_sequences_fits,
];

fn marks(marks: &[Processed]) -> Write {
    let mut write = placed(1, "a");
    write.processed = marks.to_vec();
    write
}

fn seen(mark: &Processed) -> Refusal {
    let consumer = mark.consumer.to_string();
    Refusal::AlreadyProcessed { consumer, message: mark.message.clone() }
}

fn a_sequence_is_processed_once_and_never_backwards<S: Subject>(bench: &mut Bench<S>) {
    for number in 1..=3 {
        bench.ok(marks(&[sequence("c", "k", number)]));
    }
    for number in 0..=3 {
        let mark = sequence("c", "k", number);
        assert!(bench.store().processed(&mark).unwrap(), "{number}");
        assert_eq!(bench.refused(marks(std::slice::from_ref(&mark))), seen(&mark));
    }
    assert!(!bench.store().processed(&sequence("c", "k", 4)).unwrap());
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 3);
    assert_eq!(bench.store().head().unwrap().position.0, 3);
}

fn a_sequence_may_jump<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(marks(&[sequence("c", "k", 7)]));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 7);
    let mark = sequence("c", "k", 3);
    assert!(bench.store().processed(&mark).unwrap(), "below the highest counts as processed");
    assert_eq!(bench.refused(marks(std::slice::from_ref(&mark))), seen(&mark));
}

fn what_is_passed_over_is_marked_and_never_refused<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(marks(&[up_to("c", "k", 4)]));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 4);
    // Lower, equal, and twice in one write: the highest stays.
    bench.ok(marks(&[up_to("c", "k", 2), up_to("c", "k", 4)]));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 4);
    let mark = sequence("c", "k", 4);
    assert_eq!(bench.refused(marks(std::slice::from_ref(&mark))), seen(&mark));
    bench.ok(marks(&[sequence("c", "k", 5), up_to("c", "k", 6)]));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 6);
}

fn an_identifier_is_processed_once<S: Subject>(bench: &mut Bench<S>) {
    let mark = id("c", 7);
    assert!(!bench.store().processed(&mark).unwrap());
    bench.ok(marks(std::slice::from_ref(&mark)));
    assert!(bench.store().processed(&mark).unwrap());
    assert_eq!(bench.refused(marks(std::slice::from_ref(&mark))), seen(&mark));
    // Identifiers have no order.
    bench.ok(marks(&[id("c", 6)]));
    bench.ok(marks(&[id("c", u128::MAX)]));
    assert!(!bench.store().processed(&id("c", 5)).unwrap());
}

fn consumers_and_keys_are_apart<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(marks(&[sequence("c", "k", 5), id("c", 1)]));
    bench.ok(marks(&[sequence("d", "k", 1), sequence("c", "l", 1), id("d", 1)]));
    // An identifier is not a key, even when it is spelled the same.
    let spelled = Uuid::from_u128(9).to_string();
    bench.ok(marks(&[sequence("c", &spelled, 1)]));
    let by_id = Processed { consumer: "c".into(), message: MessageRef::Id(Uuid::from_u128(9)) };
    assert!(!bench.store().processed(&by_id).unwrap());
    bench.ok(marks(&[by_id]));
    let up_to = |c, k| bench.store().processed_up_to(c, k).unwrap();
    assert_eq!([up_to("c", "k"), up_to("d", "k"), up_to("c", "l"), up_to("d", "l")], [5, 1, 1, 0]);
}

fn one_write_may_process_many_but_none_twice<S: Subject>(bench: &mut Bench<S>) {
    let ascending = [sequence("c", "k", 1), sequence("c", "k", 2), id("c", 1), id("c", 2)];
    bench.ok(marks(&ascending));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 2);
    let twice = [sequence("c", "k", 3), sequence("c", "k", 3)];
    assert_eq!(bench.refused(marks(&twice)), seen(&twice[0]));
    assert_eq!(bench.refused(marks(&[id("c", 3), id("c", 3)])), seen(&id("c", 3)));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), 2);
    assert!(!bench.store().processed(&id("c", 3)).unwrap());
    // Within a batch it is the same.
    let mark = marks(&[sequence("c", "k", 3)]);
    let outcomes = bench.batch(&[mark.clone(), mark, write(1)]);
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

fn the_whole_range_of_sequences_fits<S: Subject>(bench: &mut Bench<S>) {
    let largest = i64::MAX.unsigned_abs();
    bench.ok(marks(&[sequence("c", "k", largest - 1)]));
    bench.ok(marks(&[sequence("c", "k", largest)]));
    assert_eq!(bench.store().processed_up_to("c", "k").unwrap(), largest);
}
