//! The check itself: what it must find, and what it must not.

use super::rig::history::{Line, Type, Verdict, check, complete};

fn read(process: u32, value: Option<u64>, from: u64, to: u64) -> [Line; 2] {
    [Line::read(process, Type::Invoke, None, from), Line::read(process, Type::Ok, value, to)]
}

fn cas(process: u32, kind: Type, (from, to): (Option<u64>, u64), time: (u64, u64)) -> [Line; 2] {
    [Type::Invoke, kind].map(|kind| {
        Line::cas(process, kind, from, to, if kind == Type::Invoke { time.0 } else { time.1 })
    })
}

fn verdict(lines: impl IntoIterator<Item = [Line; 2]>) -> Verdict {
    check(&complete(lines.into_iter().flatten().collect())).unwrap()
}

#[test]
fn an_update_from_what_was_no_longer_there_is_found() {
    let first = || cas(0, Type::Ok, (None, 1), (10, 20));
    assert_eq!(verdict([first(), cas(1, Type::Ok, (Some(1), 2), (30, 40))]), Verdict::Holds);
    assert_eq!(verdict([first(), cas(1, Type::Ok, (None, 2), (30, 40))]), Verdict::Violated);
    // A refused one has had no effect; a read that shows it all the same is found.
    let refused = || cas(1, Type::Fail, (Some(1), 2), (30, 40));
    assert_eq!(verdict([first(), refused(), read(2, Some(1), 50, 60)]), Verdict::Holds);
    assert_eq!(verdict([first(), refused(), read(2, Some(2), 50, 60)]), Verdict::Violated);
}

#[test]
fn what_was_never_answered_may_take_effect_at_any_time_later() {
    let [open, _] = cas(0, Type::Ok, (None, 1), (10, 20));
    let with = |reads: &[[Line; 2]]| {
        let mut lines = vec![open.clone()];
        lines.extend(reads.iter().flatten().cloned());
        let lines = complete(lines);
        assert_eq!(lines.iter().filter(|line| line.kind == Type::Info).count(), 1);
        check(&lines).unwrap()
    };
    assert_eq!(with(&[read(1, None, 30, 40)]), Verdict::Holds);
    assert_eq!(with(&[read(1, None, 30, 40), read(1, Some(1), 50, 60)]), Verdict::Holds);
    assert_eq!(with(&[read(1, Some(1), 30, 40), read(1, None, 50, 60)]), Verdict::Violated);
    // Nothing is read before it is written.
    assert_eq!(with(&[read(1, Some(1), 1, 5)]), Verdict::Violated);
}

#[test]
fn lines_are_as_the_documentation_says() {
    let line = |line: &Line| serde_json::to_string(line).unwrap();
    assert_eq!(
        line(&Line::cas(3, Type::Fail, None, 7, 123).because("stale token")),
        r#"{"process":3,"type":"fail","f":"cas","value":[null,7],"time":123,"error":"stale token"}"#
    );
    assert_eq!(
        line(&Line::read(0, Type::Invoke, None, 1)),
        r#"{"process":0,"type":"invoke","f":"read","value":null,"time":1}"#
    );
}
