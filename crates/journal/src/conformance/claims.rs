//! One effect per idempotency key.

use std::thread;

use bytes::Bytes;
use futures::executor::block_on;
use steadfast_time::sim::SimClock;

use super::bench::Bench;
use super::make::{at, claim, placed, write};
use super::{Subject, checks};
use crate::{Claimed, Error, Journal, Refusal, StoredResponse};

checks![
    the_answer_is_kept_byte_for_byte,
    another_request_under_the_same_key_is_refused,
    tenants_do_not_share_keys,
    a_key_is_free_from_the_moment_it_expires,
    a_duplicate_within_a_batch_is_refused,
    a_write_refused_for_another_reason_takes_no_key,
    fifty_at_once_have_one_effect,
];

fn the_answer_is_kept_byte_for_byte<S: Subject>(bench: &mut Bench<S>) {
    let plain = StoredResponse {
        status: 204,
        location: None,
        version: None,
        body: Bytes::from_static(b"\0\xff not text \r\n"),
    };
    for (key, response) in [("full", None), ("plain", Some(plain)), ("clé 🔑'--", None)] {
        let mut first = placed(1, "a");
        let mut held = claim("t", key, 1, 100);
        held.response = response.unwrap_or(held.response);
        first.claim = Some(held.clone());
        bench.ok(first.clone());
        let expected =
            Claimed { fingerprint: [1; 32], expires_at: at(100), response: held.response };
        first.at = at(50);
        assert_eq!(bench.refused(first), Refusal::Duplicate(Box::new(expected.clone())));
        assert_eq!(bench.store().claimed("t", key, at(50)).unwrap(), Some(expected));
    }
    assert_eq!(bench.store().claimed("t", "never", at(50)).unwrap(), None);
    assert_eq!(bench.store().head().unwrap().position.0, 3);
}

fn another_request_under_the_same_key_is_refused<S: Subject>(bench: &mut Bench<S>) {
    let mut first = placed(1, "a");
    first.claim = Some(claim("t", "k", 1, 100));
    bench.ok(first);
    let mut other = placed(2, "b");
    other.claim = Some(claim("t", "k", 2, 100));
    assert_eq!(bench.refused(other), Refusal::KeyReused);
    let held = bench.store().claimed("t", "k", at(2)).unwrap().unwrap();
    assert_eq!(held.fingerprint, [1; 32]);
}

fn tenants_do_not_share_keys<S: Subject>(bench: &mut Bench<S>) {
    // The same letters cut at different places are different keys, too.
    for (tenant, key) in [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("A", "bc")] {
        assert_eq!(bench.store().claimed(tenant, key, at(1)).unwrap(), None);
        let mut write = write(1);
        write.claim = Some(claim(tenant, key, 1, 100));
        bench.ok(write);
    }
}

fn a_key_is_free_from_the_moment_it_expires<S: Subject>(bench: &mut Bench<S>) {
    let mut first = write(1);
    first.claim = Some(claim("t", "k", 1, 100));
    bench.ok(first);
    let mut second = write(99);
    second.claim = Some(claim("t", "k", 2, 300));
    assert_eq!(bench.refused(second.clone()), Refusal::KeyReused);
    assert!(bench.store().claimed("t", "k", at(99)).unwrap().is_some());
    assert_eq!(bench.store().claimed("t", "k", at(100)).unwrap(), None);
    second.at = at(100);
    bench.ok(second);
    let held = bench.store().claimed("t", "k", at(299)).unwrap().unwrap();
    assert_eq!((held.fingerprint, held.expires_at), ([2; 32], at(300)));
}

fn a_duplicate_within_a_batch_is_refused<S: Subject>(bench: &mut Bench<S>) {
    let mut write = placed(1, "a");
    write.claim = Some(claim("t", "k", 1, 100));
    let outcomes = bench.batch(&[write.clone(), write.clone(), placed(1, "a")]);
    assert!(matches!(outcomes[1], Err(Refusal::Duplicate(_))), "{outcomes:?}");
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(bench.store().head().unwrap().position.0, 2);
}

fn a_write_refused_for_another_reason_takes_no_key<S: Subject>(bench: &mut Bench<S>) {
    let mut refused = placed(1, "a");
    refused.claim = Some(claim("t", "k", 1, 100));
    refused.guards.push(super::make::guard("c", 1, 0..=0));
    assert!(matches!(bench.refused(refused.clone()), Refusal::OutOfBounds { .. }));
    assert_eq!(bench.store().claimed("t", "k", at(1)).unwrap(), None);
    refused.guards.clear();
    bench.ok(refused);
}

fn fifty_at_once_have_one_effect<S: Subject>(bench: &mut Bench<S>) {
    // By the clock that the writes use, so that the writer does not prune the key as expired.
    let clock = SimClock::starting_at(at(0)).clock();
    let (journal, writer) = Journal::new(bench.take(), clock);
    let writer = writer.spawn("conformance").expect("a thread");
    let answers: Vec<Result<_, Error>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..50)
            .map(|caller| {
                let journal = journal.clone();
                scope.spawn(move || {
                    let mut write = placed(caller, "a");
                    write.claim = Some(claim("t", "k", 1, 1_000));
                    block_on(journal.commit(write))
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("a caller")).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 49));
    for answer in refused {
        let error = answer.expect_err("refused");
        assert!(matches!(error.refusal(), Some(Refusal::Duplicate(_))), "{error}");
    }
    writer.stop().expect("the writer ends well");
    drop(journal);
    bench.open();
    assert_eq!(bench.store().head().unwrap().position.0, 1);
}
