//! Counters stay within their bounds.

use super::bench::Bench;
use super::make::{guard, placed};
use super::{Subject, checks};
use crate::{Guard, Refusal, Write};

checks![
    a_counter_moves_up_to_its_bounds_and_no_further,
    a_move_by_zero_only_checks,
    guards_of_one_write_add_up,
    a_sum_that_overflows_is_out_of_bounds,
    the_limit_holds_within_a_batch,
];

fn guarded(guards: &[Guard]) -> Write {
    let mut write = placed(1, "a");
    write.guards = guards.to_vec();
    write
}

fn out(counter: &str, value: i64, delta: i64, min: i64, max: i64) -> Refusal {
    Refusal::OutOfBounds { counter: counter.to_owned(), value, delta, min, max }
}

fn a_counter_moves_up_to_its_bounds_and_no_further<S: Subject>(bench: &mut Bench<S>) {
    assert_eq!(bench.store().counter("zone").unwrap(), 0);
    bench.ok(guarded(&[guard("zone", 2, 0..=2)]));
    assert_eq!(bench.refused(guarded(&[guard("zone", 1, 0..=2)])), out("zone", 2, 1, 0, 2));
    // The bounds come with the write: another one may see more room.
    bench.ok(guarded(&[guard("zone", 1, 0..=3)]));
    bench.ok(guarded(&[guard("zone", -3, 0..=2)]));
    assert_eq!(bench.refused(guarded(&[guard("zone", -1, 0..=2)])), out("zone", 0, -1, 0, 2));
    bench.ok(guarded(&[guard("zone", -1, -1..=2)]));
    assert_eq!(bench.store().counter("zone").unwrap(), -1);
    assert_eq!(bench.store().counter("zone2").unwrap(), 0);
}

fn a_move_by_zero_only_checks<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(guarded(&[guard("paused", 0, 0..=0)]));
    bench.ok(guarded(&[guard("paused", 1, 0..=1)]));
    assert_eq!(bench.refused(guarded(&[guard("paused", 0, 0..=0)])), out("paused", 1, 0, 0, 0));
    assert_eq!(bench.store().counter("paused").unwrap(), 1);
}

fn guards_of_one_write_add_up<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(guarded(&[guard("a", 1, 0..=3), guard("b", 1, 0..=3), guard("a", 1, 0..=3)]));
    assert_eq!(bench.store().counter("a").unwrap(), 2);
    // Each alone would fit, both do not; nothing of the write remains.
    let two = [guard("b", 1, 0..=3), guard("a", 1, 0..=3), guard("a", 1, 0..=3)];
    assert_eq!(bench.refused(guarded(&two)), out("a", 3, 1, 0, 3));
    assert_eq!(bench.store().counter("a").unwrap(), 2);
    assert_eq!(bench.store().counter("b").unwrap(), 1);
}

fn a_sum_that_overflows_is_out_of_bounds<S: Subject>(bench: &mut Bench<S>) {
    let all = i64::MIN..=i64::MAX;
    bench.ok(guarded(&[guard("high", i64::MAX, all.clone())]));
    bench.ok(guarded(&[guard("low", i64::MIN, all.clone())]));
    let (min, max) = (i64::MIN, i64::MAX);
    let refused = bench.refused(guarded(&[guard("high", 1, all.clone())]));
    assert_eq!(refused, out("high", max, 1, min, max));
    let refused = bench.refused(guarded(&[guard("low", -1, all.clone())]));
    assert_eq!(refused, out("low", min, -1, min, max));
    bench.ok(guarded(&[guard("high", i64::MIN, all)]));
    assert_eq!(bench.store().counter("high").unwrap(), -1);
}

fn the_limit_holds_within_a_batch<S: Subject>(bench: &mut Bench<S>) {
    let writes = vec![guarded(&[guard("zone", 1, 0..=20)]); 50];
    let outcomes = bench.batch(&writes);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 20);
    assert_eq!(outcomes[49], Err(out("zone", 20, 1, 0, 20)));
    assert_eq!(bench.store().counter("zone").unwrap(), 20);
    assert_eq!(bench.store().head().unwrap().position.0, 20);
}
