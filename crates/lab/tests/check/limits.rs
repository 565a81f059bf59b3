//! What a check does when there is more than it can find out.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::{Model, Options, check};
use steadfast_lab::history::{Event, Kind};
use steadfast_time::Clock;

use super::{event, timed};

/// One object, many clients at once, few different values: each operation takes effect at a random
/// moment between its question and its answer, so that there is an order. Or there is none: at the
/// end somebody reads what nobody can have left there.
fn crowded(model: Model, clients: u64, operations: u64, is_flawed: bool) -> Vec<Event> {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut events, mut real) = (Vec::new(), super::random::Real::new());
    let mut busy: Vec<Option<(super::random::Question, Option<Value>)>> =
        vec![None; usize::try_from(clients).unwrap()];
    let mut left = operations;
    while left > 0 || busy.iter().any(Option::is_some) {
        let at = rng.usize(..busy.len());
        let process = at as u64;
        match busy[at].take() {
            None if left > 0 => {
                left -= 1;
                let f = *rng.choice(model.operations()).unwrap();
                let value = match f {
                    "cas" => json!([rng.u64(0..=4), rng.u64(0..=4)]),
                    "write" | "enqueue" => json!(rng.u64(0..=4)),
                    _ => Value::Null,
                };
                events.push(event(process, Kind::Invoke, f, value.clone()));
                busy[at] = Some(((f, None, value), None));
            }
            None => {}
            Some((question, None)) => {
                let answer = real.apply(model, process, &question);
                match answer {
                    Some(answer) => busy[at] = Some((question, Some(answer))),
                    None => events.push(event(process, Kind::Fail, question.0, Value::Null)),
                }
            }
            Some((question, Some(answer))) => {
                events.push(event(process, Kind::Ok, question.0, answer));
            }
        }
    }
    if is_flawed {
        // Two values that are there, one after the other, and nobody writes.
        for value in [1, 2] {
            events.push(event(0, Kind::Invoke, "read", Value::Null));
            events.push(event(0, Kind::Ok, "read", json!(value)));
        }
    }
    timed(events)
}

#[test]
fn a_hard_history_is_unknown_within_the_limit() {
    let clock = Clock::system();
    for (model, limit, is_flawed) in [
        (Model::Register, Duration::from_millis(1_000), true),
        (Model::CasRegister, Duration::from_millis(1_500), true),
        (Model::Queue, Duration::from_millis(1_000), false),
    ] {
        let events = crowded(model, 30, 4_000, is_flawed);
        let start = clock.monotonic();
        let options = Options { time: limit, clock: clock.clone() };
        let report = check(model, &events, &options).unwrap();
        let took = clock.monotonic() - start;
        assert_eq!(report.verdict, Verdict::Unknown, "{model}, after {took:?}");
        let piece = report.piece.unwrap();
        assert!(piece.events.is_empty(), "{piece:?}");
        assert!(
            piece.what.contains("time is over") || piece.what.contains("MiB"),
            "{}",
            piece.what
        );
        assert!(took < limit.mul_f64(1.1), "{model}: {took:?} of {limit:?}");
    }
}

#[test]
fn no_time_at_all_is_unknown() {
    for model in Model::ALL {
        let mut rng = fastrand::Rng::with_seed(3);
        let events = super::random::history(model, &mut rng, 20_000);
        let options = Options { time: Duration::ZERO, clock: Clock::system() };
        let report = check(model, &events, &options).unwrap();
        assert_eq!(report.verdict, Verdict::Unknown, "{model}");
        assert!(report.piece.unwrap().what.contains("time"));
    }
}

/// The whole answer comes in time when there is a violation but no time to make it small; and then
/// nobody is told a story about ten thousand operations.
#[test]
fn a_violation_that_cannot_be_made_small_in_time_is_told_in_time() {
    let clock = Clock::system();
    // One value after the other, back and forth: each swap depends on the one before it.
    let mut events = Vec::new();
    let mut one = |f, asked: Value, answered: Value| {
        events.push(event(0, Kind::Invoke, f, asked));
        events.push(event(0, Kind::Ok, f, answered));
    };
    one("write", json!(0), Value::Null);
    for swap in 0..3_000 {
        one("cas", json!([swap % 2, 1 - swap % 2]), Value::Null);
    }
    one("read", Value::Null, json!(1));
    let limit = Duration::from_millis(1_500);
    let start = clock.monotonic();
    let options = Options { time: limit, clock: clock.clone() };
    let report = check(Model::CasRegister, &timed(events), &options).unwrap();
    let took = clock.monotonic() - start;
    assert_eq!(report.verdict, Verdict::Violated);
    assert!(took < limit.mul_f64(1.1), "{took:?} of {limit:?}");
    let piece = report.piece.unwrap();
    assert!(piece.what.contains("no order of these"), "{}", piece.what);
}

/// A gigabyte of large values takes many gigabytes of memory; it is refused before.
#[test]
fn values_take_a_bounded_amount_of_memory() {
    use steadfast_lab::check::Stream;
    use steadfast_lab::limits::CHECK_VALUE_BYTES_MAX;
    // Numbers in a list: two bytes each in a file, and many times that in memory.
    let list: Vec<u64> = vec![0; 100_000];
    let mut stream = Stream::new(
        Model::Register,
        Options { time: Duration::from_secs(1), clock: Clock::system() },
    );
    let most = CHECK_VALUE_BYTES_MAX / list.len() / size_of::<Value>();
    let error = (0..most).find_map(|number| {
        let mut list = list.clone();
        list[0] = number as u64;
        stream.push(event(number as u64, Kind::Invoke, "write", json!(list))).err()
    });
    let error = error.expect("not refused").to_string();
    assert!(error.contains("values and keys take more than 2048 MiB up to here"), "{error}");
}
