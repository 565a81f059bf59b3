//! Input that is wrong: what is said, and about which event.

use serde_json::{Value, json};
use steadfast_lab::check::{Error, Model, Stream, check};
use steadfast_lab::history::{Event, Kind, pairs};

use super::{event, on, random, timed, within};

fn refused(model: Model, events: Vec<Event>) -> Error {
    check(model, &timed(events), &within(1)).expect_err("not refused")
}

fn says(model: Model, events: Vec<Event>, text: &str) {
    assert_eq!(refused(model, events).to_string(), text, "{model}");
}

#[test]
fn an_operation_that_the_model_does_not_have() {
    says(
        Model::Register,
        vec![
            event(0, Kind::Invoke, "read", Value::Null),
            event(1, Kind::Invoke, "cas", json!([1, 2])),
        ],
        "event 1: register has no operation \"cas\"; it has read, write",
    );
}

#[test]
fn a_value_that_the_operation_does_not_have() {
    let asked = |f, value| vec![event(0, Kind::Invoke, f, value)];
    let told =
        |f, value| vec![event(0, Kind::Invoke, f, Value::Null), event(0, Kind::Ok, f, value)];
    let cases = [
        (Model::CasRegister, asked("cas", json!([1])), "event 0: cas-register wants a pair"),
        (Model::FencedLock, asked("write", json!(1)), "event 0: fenced-lock wants a pair [token"),
        (Model::FencedLock, asked("write", json!([-1, 1])), "not [-1,1]"),
        (Model::FencedLock, told("acquire", json!("t")), "event 1: fenced-lock wants a token"),
        (Model::Queue, asked("enqueue", Value::Null), "any value but null"),
        (Model::Bank, asked("transfer", json!({"from": "a"})), "event 0: bank wants an object"),
        (Model::Bank, asked("read", json!(1)), "wants null, or \"overdraft\""),
        (Model::Bank, told("read", json!({"a": 1.5})), "event 1: bank wants an object {account"),
        (Model::Updates, told("read", json!(3)), "event 1: no-lost-update wants a list"),
        (Model::TotalOrder, told("deliver", Value::Null), "total-order wants a message"),
    ];
    for (model, events, text) in cases {
        let error = refused(model, events);
        assert!(matches!(error, Error::Operation { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let long = json!("x".repeat(10_000));
    assert!(refused(Model::CasRegister, asked("cas", long)).to_string().len() < 300);
}

#[test]
fn events_that_are_no_history() {
    let read = |kind| event(0, kind, "read", Value::Null);
    let malformed = |events: Vec<Event>, text: &str| {
        let error = check(Model::Register, &events, &within(1)).expect_err("not refused");
        assert!(matches!(error, Error::Malformed(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    };
    malformed(timed(vec![read(Kind::Ok)]), "event 0: process 0 hears an answer");
    malformed(timed(vec![read(Kind::Invoke), read(Kind::Invoke)]), "event 1: process 0 invokes");
    let write = event(0, Kind::Ok, "write", Value::Null);
    malformed(timed(vec![read(Kind::Invoke), write]), "event 1: process 0 asked \"read\"");
    let other = on("k", read(Kind::Ok));
    malformed(timed(vec![read(Kind::Invoke), other]), "event 1: process 0 asked \"read\"");
    let mut back = timed(vec![read(Kind::Invoke), read(Kind::Ok), read(Kind::Invoke)]);
    back[2].time = 3;
    malformed(back, "event 2: time runs backwards, from 1000000 to 3");
    let gone = vec![read(Kind::Invoke), read(Kind::Info), read(Kind::Invoke)];
    malformed(timed(gone), "event 2: process 0 invokes \"read\" after an \"info\"");
}

/// The check pairs events by itself, to keep less; it must refuse what [`pairs`] refuses, in the same
/// words.
#[test]
fn events_are_paired_as_they_are_elsewhere() {
    let mut refusals = 0;
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut events = random::history(Model::Register, &mut rng, 6);
        if events.len() > 2 {
            // A flaw: an event is missing, or two have changed places.
            let at = rng.usize(..events.len() - 1);
            if rng.bool() {
                drop(events.remove(at));
            } else {
                events.swap(at, at + 1);
            }
        }
        let expected = pairs(&events).err().map(|error| error.to_string());
        let told = check(Model::Register, &events, &within(5)).err().map(|error| error.to_string());
        let is_stricter = told.as_ref().is_some_and(|text| text.contains("after an \"info\""));
        if !is_stricter {
            assert_eq!(told, expected, "seed {seed}: {events:#?}");
            refusals += u32::from(expected.is_some());
        }
    }
    assert!(refusals > 200, "{refusals}");
}

#[test]
fn a_stream_finds_what_a_slice_does() {
    for model in Model::ALL {
        for seed in 0..200 {
            let events = random::history(model, &mut fastrand::Rng::with_seed(seed), 12);
            let mut stream = Stream::new(model, within(20));
            for event in &events {
                stream.push(event.clone()).unwrap();
            }
            let report = check(model, &events, &within(20)).unwrap();
            assert_eq!(stream.finish().unwrap(), report, "{model}, seed {seed}");
        }
    }
}
