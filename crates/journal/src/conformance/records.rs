//! Small keyed state.

use super::bench::Bench;
use super::make::{delete, put, write};
use super::{Subject, checks};
use crate::limits::READ_ROWS_MAX;
use crate::{RecordChange, Write};

checks![
    a_record_is_put_replaced_and_deleted,
    the_last_change_of_a_write_wins,
    spaces_are_apart,
    records_are_listed_by_prefix_in_byte_order,
    a_listing_goes_on_after_a_key,
    a_listing_in_reverse_goes_on_before_a_key,
    keys_may_be_odd,
    a_listing_has_a_limit,
];

fn records(changes: Vec<RecordChange>) -> Write {
    Write { records: changes, ..write(1) }
}

fn fill<S: Subject>(bench: &mut Bench<S>, keys: &[&str]) {
    bench.ok(records(keys.iter().map(|key| put("s", key, "v")).collect()));
}

fn forward<S: Subject>(
    bench: &Bench<S>,
    prefix: &str,
    after: Option<&str>,
    n: usize,
) -> Vec<String> {
    let rows = bench.store().records("s", prefix, after, n).unwrap();
    rows.into_iter().map(|(key, _)| key).collect()
}

fn reverse<S: Subject>(
    bench: &Bench<S>,
    prefix: &str,
    before: Option<&str>,
    n: usize,
) -> Vec<String> {
    let rows = bench.store().records_reverse("s", prefix, before, n).unwrap();
    rows.into_iter().map(|(key, _)| key).collect()
}

fn a_record_is_put_replaced_and_deleted<S: Subject>(bench: &mut Bench<S>) {
    let read = |bench: &Bench<S>| bench.store().record("s", "k").unwrap();
    assert_eq!(read(bench), None);
    bench.ok(records(vec![put("s", "k", "one")]));
    assert_eq!(read(bench).as_deref(), Some(&b"one"[..]));
    bench.ok(records(vec![put("s", "k", "")]));
    assert_eq!(read(bench).as_deref(), Some(&b""[..]), "empty is not absent");
    bench.ok(records(vec![delete("s", "k"), delete("s", "never")]));
    assert_eq!(read(bench), None);
    assert!(forward(bench, "", None, 10).is_empty());
}

fn the_last_change_of_a_write_wins<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(records(vec![
        put("s", "a", "1"),
        put("s", "a", "2"),
        put("s", "b", "1"),
        delete("s", "b"),
    ]));
    let rows = bench.store().records("s", "", None, 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].0.as_str(), &rows[0].1[..]), ("a", &b"2"[..]));
    bench.batch(&[records(vec![delete("s", "a")]), records(vec![put("s", "a", "3")])]);
    assert_eq!(bench.store().record("s", "a").unwrap().as_deref(), Some(&b"3"[..]));
}

fn spaces_are_apart<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(records(vec![put("s", "k", "1"), put("s2", "k", "2"), put("", "sk", "3")]));
    bench.ok(records(vec![delete("s", "k")]));
    assert_eq!(bench.store().record("s2", "k").unwrap().as_deref(), Some(&b"2"[..]));
    assert!(bench.store().records("s", "", None, 10).unwrap().is_empty());
    assert_eq!(bench.store().records("", "", None, 10).unwrap().len(), 1);
}

fn records_are_listed_by_prefix_in_byte_order<S: Subject>(bench: &mut Bench<S>) {
    fill(bench, &["b", "a/2", "a", "a/10", "A", "a0", "a/", "é", "z"]);
    assert_eq!(forward(bench, "", None, 99), ["A", "a", "a/", "a/10", "a/2", "a0", "b", "z", "é"]);
    assert_eq!(forward(bench, "a/", None, 99), ["a/", "a/10", "a/2"]);
    assert_eq!(forward(bench, "a/", None, 2), ["a/", "a/10"]);
    assert_eq!(reverse(bench, "a/", None, 99), ["a/2", "a/10", "a/"]);
    assert_eq!(reverse(bench, "", None, 2), ["é", "z"]);
    assert!(forward(bench, "c", None, 99).is_empty() && reverse(bench, "c", None, 99).is_empty());
    assert!(forward(bench, "a", None, 0).is_empty() && reverse(bench, "a", None, 0).is_empty());
}

fn a_listing_goes_on_after_a_key<S: Subject>(bench: &mut Bench<S>) {
    fill(bench, &["a", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(forward(bench, "b/", Some("b/1"), 99), ["b/2", "b/3"]);
    assert_eq!(forward(bench, "b/", Some("b/10"), 99), ["b/2", "b/3"], "the key need not exist");
    assert_eq!(forward(bench, "b/", Some("b/3"), 99), [""; 0]);
    assert_eq!(forward(bench, "b/", Some("a"), 99), ["b/1", "b/2", "b/3"], "before the prefix");
    assert_eq!(forward(bench, "b/", Some("c"), 99), [""; 0], "behind the prefix");
    assert_eq!(forward(bench, "", Some(""), 99).len(), 5);
}

fn a_listing_in_reverse_goes_on_before_a_key<S: Subject>(bench: &mut Bench<S>) {
    fill(bench, &["a", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(reverse(bench, "b/", Some("b/3"), 99), ["b/2", "b/1"]);
    assert_eq!(reverse(bench, "b/", Some("b/20"), 99), ["b/2", "b/1"], "the key need not exist");
    assert_eq!(reverse(bench, "b/", Some("b/1"), 99), [""; 0]);
    assert_eq!(reverse(bench, "b/", Some("zzz"), 99), ["b/3", "b/2", "b/1"], "behind the prefix");
    assert_eq!(reverse(bench, "b/", Some("a"), 99), [""; 0], "before the prefix");
    assert_eq!(reverse(bench, "", Some(""), 99), [""; 0]);
}

fn keys_may_be_odd<S: Subject>(bench: &mut Bench<S>) {
    let keys = [
        "",
        "\0",
        "%",
        "%a",
        "_",
        "'",
        "\\",
        "*",
        "\u{7f}",
        "\u{d7ff}x",
        "\u{e000}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{10ffff}x",
    ];
    fill(bench, &keys);
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(forward(bench, "", None, 99), sorted);
    for key in keys {
        let mut with = sorted.clone();
        with.retain(|other| other.starts_with(key));
        assert_eq!(forward(bench, key, None, 99), with, "{key:?}");
        with.reverse();
        assert_eq!(reverse(bench, key, None, 99), with, "{key:?}");
        assert!(bench.store().record("s", key).unwrap().is_some(), "{key:?}");
    }
    bench.ok(records(vec![delete("s", "%")]));
    assert_eq!(forward(bench, "", None, 99).len(), keys.len() - 1);
}

fn a_listing_has_a_limit<S: Subject>(bench: &mut Bench<S>) {
    let keys: Vec<String> = (0..READ_ROWS_MAX + 5).map(|n| format!("{n:06}")).collect();
    for part in keys.chunks(5_000) {
        let changes = part.iter().map(|key| put("s", key, "")).collect();
        bench.ok(records(changes));
    }
    assert_eq!(forward(bench, "", None, usize::MAX), keys[..READ_ROWS_MAX]);
    let last = reverse(bench, "", None, usize::MAX);
    assert_eq!((last.len(), &last[0]), (READ_ROWS_MAX, &keys[READ_ROWS_MAX + 4]));
}
