//! A replaced owner stays out.

use steadfast_fencing::{FencingToken, Stale};

use super::bench::Bench;
use super::make::{exactly, fence, placed};
use super::{Subject, checks};
use crate::{Refusal, Write};

checks![
    the_same_owner_writes_again_and_the_next_one_shuts_the_door,
    resources_are_apart,
    a_refused_write_raises_no_mark,
    the_rule_holds_within_a_batch,
];

fn owned(resource: &str, token: u64) -> Write {
    let mut write = placed(1, "a");
    write.fence = Some(fence(resource, token));
    write
}

fn stale(resource: &str, presented: u64, highest: u64) -> Refusal {
    let token = |number| FencingToken::new(number).unwrap();
    let stale = Stale { presented: token(presented), highest: token(highest) };
    Refusal::Stale { resource: resource.to_owned(), stale }
}

fn the_same_owner_writes_again_and_the_next_one_shuts_the_door<S: Subject>(bench: &mut Bench<S>) {
    assert_eq!(bench.store().fence("zone/7").unwrap(), None);
    bench.ok(owned("zone/7", 33));
    bench.ok(owned("zone/7", 33));
    bench.ok(owned("zone/7", 35));
    assert_eq!(bench.refused(owned("zone/7", 34)), stale("zone/7", 34, 35));
    assert_eq!(bench.refused(owned("zone/7", 1)), stale("zone/7", 1, 35));
    bench.ok(owned("zone/7", 35));
    assert_eq!(bench.store().fence("zone/7").unwrap(), FencingToken::new(35));
    assert_eq!(bench.store().head().unwrap().position.0, 4);
}

fn resources_are_apart<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(owned("zone/7", 9));
    bench.ok(owned("zone/70", 1));
    bench.ok(owned("Zone/7", 1));
    assert_eq!(bench.store().fence("zone/70").unwrap(), FencingToken::new(1));
    assert_eq!(bench.store().fence("zone").unwrap(), None);
}

fn a_refused_write_raises_no_mark<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(owned("zone/7", 1));
    let mut refused = owned("zone/7", 2);
    refused.appends[0].expected = exactly(99);
    assert!(matches!(bench.refused(refused), Refusal::Conflict { .. }));
    assert_eq!(bench.store().fence("zone/7").unwrap(), FencingToken::new(1));
    bench.ok(owned("zone/7", 1));
}

fn the_rule_holds_within_a_batch<S: Subject>(bench: &mut Bench<S>) {
    let outcomes = bench.batch(&[1, 2, 1, 2, 3].map(|token| owned("zone/7", token)));
    assert_eq!(outcomes[2], Err(stale("zone/7", 1, 2)));
    let done: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, true, true]);
    assert_eq!(bench.store().fence("zone/7").unwrap(), FencingToken::new(3));
}
