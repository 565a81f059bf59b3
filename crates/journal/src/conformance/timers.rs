//! What must happen later.

use super::bench::Bench;
use super::make::{at, clear, set, timer, write};
use super::{Subject, checks};
use crate::{Timer, TimerChange, Write};

checks![
    timers_come_by_due_time_and_then_by_name,
    setting_again_moves_a_timer,
    clearing_removes_a_timer_or_nothing,
    the_last_change_of_a_write_wins,
];

fn timers(changes: Vec<TimerChange>) -> Write {
    Write { timers: changes, ..write(1) }
}

fn names(timers: &[Timer]) -> Vec<&str> {
    timers.iter().map(|timer| timer.id.as_str()).collect()
}

fn timers_come_by_due_time_and_then_by_name<S: Subject>(bench: &mut Bench<S>) {
    let changes = [("b", 20), ("a", 20), ("z", 10), ("early", -5), ("a/1", 20), ("B", 20)];
    bench.ok(timers(changes.iter().map(|(name, due)| set(name, *due, "{}")).collect()));
    let due = bench.store().timers(at(20), 10).unwrap();
    assert_eq!(names(&due), ["early", "z", "B", "a", "a/1", "b"]);
    assert_eq!(names(&bench.store().timers(at(19), 10).unwrap()), ["early", "z"]);
    assert_eq!(names(&bench.store().timers(at(20), 3).unwrap()), ["early", "z", "B"]);
    assert!(bench.store().timers(at(-6), 10).unwrap().is_empty());
    assert!(bench.store().timers(at(20), 0).unwrap().is_empty());
    assert_eq!(bench.store().timer("z").unwrap(), Some(timer("z", 10, "{}")));
    assert_eq!(bench.store().timer("y").unwrap(), None);
}

fn setting_again_moves_a_timer<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(timers(vec![set("a", 10, "1"), set("b", 15, "1")]));
    bench.ok(timers(vec![set("a", 20, "2")]));
    let all = bench.store().timers(at(99), 10).unwrap();
    assert_eq!(all, [timer("b", 15, "1"), timer("a", 20, "2")]);
    bench.ok(timers(vec![set("a", 5, "3")]));
    assert_eq!(bench.store().timers(at(5), 10).unwrap(), [timer("a", 5, "3")]);
    assert_eq!(bench.store().timers(at(99), 10).unwrap().len(), 2);
}

fn clearing_removes_a_timer_or_nothing<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(timers(vec![set("a", 10, ""), set("b", 10, "")]));
    bench.ok(timers(vec![clear("a"), clear("never")]));
    assert_eq!(names(&bench.store().timers(at(99), 10).unwrap()), ["b"]);
    assert_eq!(bench.store().timer("a").unwrap(), None);
    bench.ok(timers(vec![set("a", 11, "")]));
    assert_eq!(names(&bench.store().timers(at(99), 10).unwrap()), ["b", "a"]);
}

fn the_last_change_of_a_write_wins<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(timers(vec![
        set("a", 10, ""),
        clear("a"),
        clear("b"),
        set("b", 9, ""),
        set("b", 8, ""),
    ]));
    assert_eq!(bench.store().timers(at(99), 10).unwrap(), [timer("b", 8, "")]);
    bench.batch(&[timers(vec![clear("b")]), timers(vec![set("b", 7, "")])]);
    assert_eq!(bench.store().timers(at(99), 10).unwrap(), [timer("b", 7, "")]);
}
