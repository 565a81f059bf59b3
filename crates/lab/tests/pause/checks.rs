//! The check itself: what it must find, and what it must not.

use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::{Model, Options, check};
use steadfast_lab::history::{Event, Kind};
use steadfast_lab::real::clock;

fn event(process: u64, kind: Kind, f: &'static str, value: Value, time: u64) -> Event {
    Event { process, kind, f: f.into(), key: None, value, time, error: None }
}

fn read(process: u64, value: Option<u64>, from: u64, to: u64) -> [Event; 2] {
    [
        event(process, Kind::Invoke, "read", Value::Null, from),
        event(process, Kind::Ok, "read", json!(value), to),
    ]
}

fn cas(process: u64, kind: Kind, (from, to): (Option<u64>, u64), time: (u64, u64)) -> [Event; 2] {
    let value = json!([from, to]);
    [
        event(process, Kind::Invoke, "cas", value.clone(), time.0),
        event(process, kind, "cas", value, time.1),
    ]
}

fn verdict_of(mut events: Vec<Event>) -> Verdict {
    events.sort_by_key(|event| event.time);
    let options = Options { time: std::time::Duration::from_secs(30), clock: clock::machine() };
    check(Model::CasRegister, &events, &options).unwrap().verdict
}

fn verdict(pairs: impl IntoIterator<Item = [Event; 2]>) -> Verdict {
    verdict_of(pairs.into_iter().flatten().collect())
}

#[test]
fn an_update_from_what_was_no_longer_there_is_found() {
    let first = || cas(0, Kind::Ok, (None, 1), (10, 20));
    assert_eq!(verdict([first(), cas(1, Kind::Ok, (Some(1), 2), (30, 40))]), Verdict::Holds);
    assert_eq!(verdict([first(), cas(1, Kind::Ok, (None, 2), (30, 40))]), Verdict::Violated);
    // A refused one has had no effect; a read that shows it all the same is found.
    let refused = || cas(1, Kind::Fail, (Some(1), 2), (30, 40));
    assert_eq!(verdict([first(), refused(), read(2, Some(1), 50, 60)]), Verdict::Holds);
    assert_eq!(verdict([first(), refused(), read(2, Some(2), 50, 60)]), Verdict::Violated);
}

#[test]
fn what_was_never_answered_may_take_effect_at_any_time_later() {
    let [open, _] = cas(0, Kind::Ok, (None, 1), (10, 20));
    let with = |reads: &[[Event; 2]]| {
        let mut events = vec![open.clone()];
        events.extend(reads.iter().flatten().cloned());
        verdict_of(events)
    };
    assert_eq!(with(&[read(1, None, 30, 40)]), Verdict::Holds);
    assert_eq!(with(&[read(1, None, 30, 40), read(1, Some(1), 50, 60)]), Verdict::Holds);
    assert_eq!(with(&[read(1, Some(1), 30, 40), read(1, None, 50, 60)]), Verdict::Violated);
    // Nothing is read before it is written.
    assert_eq!(with(&[read(1, Some(1), 1, 5)]), Verdict::Violated);
}

#[test]
fn lines_are_as_the_documentation_says() {
    let line = |event: &Event| serde_json::to_string(event).unwrap();
    let [_, mut refused] = cas(3, Kind::Fail, (None, 7), (1, 123));
    refused.error = Some("stale token".into());
    assert_eq!(
        line(&refused),
        r#"{"process":3,"type":"fail","f":"cas","value":[null,7],"time":123,"error":"stale token"}"#
    );
    assert_eq!(
        line(&read(0, None, 1, 2)[0]),
        r#"{"process":0,"type":"invoke","f":"read","value":null,"time":1}"#
    );
}
