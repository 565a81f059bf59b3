//! Objects that are right but for one flaw: it is found, and the piece is about it.

use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Kind};

use super::random::{self, Real};
use super::{checked, event, timed};

/// Four clients at work on an object that is right. Then nobody is for a moment, and `flaw` happens;
/// then they go on with what is there.
struct Play {
    model: Model,
    rng: fastrand::Rng,
    real: Real,
    events: Vec<Event>,
    fresh: u64,
}

impl Play {
    fn new(model: Model, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { model, rng, real: Real::new(), events: Vec::new(), fresh: 0 }
    }

    fn crowd(&mut self, operations: usize) {
        let mut busy: Vec<Option<(random::Question, Option<Option<Value>>)>> = vec![None; 4];
        let mut left = operations;
        while left > 0 || busy.iter().any(Option::is_some) {
            let at = self.rng.usize(..busy.len());
            let process = at as u64;
            match busy[at].take() {
                None if left > 0 => {
                    left -= 1;
                    self.fresh += 1;
                    let mut asked = random::question(self.model, &mut self.rng, self.fresh);
                    // A lock's token is that of its holder; one that nobody has is refused.
                    if self.model == Model::FencedLock && asked.0 == "write" {
                        asked.2 = json!([self.fresh, self.fresh]);
                    }
                    let invoke = event(process, Kind::Invoke, asked.0, asked.2.clone());
                    self.events.push(Event { key: asked.1.map(Into::into), ..invoke });
                    busy[at] = Some((asked, None));
                }
                None => {}
                Some((asked, None)) => {
                    let done = self.real.apply(self.model, process, &asked);
                    busy[at] = Some((asked, Some(done)));
                }
                Some((asked, Some(done))) => {
                    let (kind, value) = match done {
                        Some(value) => (Kind::Ok, value),
                        None => (Kind::Fail, Value::Null),
                    };
                    let end = event(process, kind, asked.0, value);
                    self.events.push(Event { key: asked.1.map(Into::into), ..end });
                }
            }
        }
    }

    /// One operation while nobody else is at work.
    fn alone(&mut self, process: u64, f: &'static str, asked: Value, answered: Value) {
        self.events.push(event(process, Kind::Invoke, f, asked));
        self.events.push(event(process, Kind::Ok, f, answered));
    }

    /// The same, as the object really does it.
    fn really(&mut self, process: u64, f: &'static str, asked: Value) {
        let answer = self.real.apply(self.model, process, &(f, None, asked.clone()));
        self.alone(process, f, asked, answer.expect("not refused"));
    }
}

/// With the flaw it is violated, and the piece is small; without, it holds.
fn is_found(model: Model, flaw: impl Fn(&mut Play, bool), events_max: usize) {
    for seed in 0..40 {
        for is_flawed in [true, false] {
            let mut play = Play::new(model, seed);
            play.crowd(30);
            flaw(&mut play, is_flawed);
            play.crowd(30);
            let events = timed(play.events);
            let report = checked(model, &events);
            let expected = if is_flawed { Verdict::Violated } else { Verdict::Holds };
            assert_eq!(report.verdict, expected, "{model}, seed {seed}: {report:#?}");
            let Some(piece) = report.piece else { continue };
            assert!(piece.events.len() <= events_max, "{model}, seed {seed}: {piece:#?}");
            assert_eq!(checked(model, &piece.events).verdict, Verdict::Violated, "seed {seed}");
        }
    }
}

fn stale_read(play: &mut Play, is_flawed: bool) {
    play.really(7, "write", json!("old"));
    play.really(7, "write", json!("new"));
    let value = if is_flawed { "old" } else { "new" };
    play.alone(8, "read", Value::Null, json!(value));
}

fn lost_write(play: &mut Play, is_flawed: bool) {
    play.really(7, "write", json!("kept"));
    if is_flawed {
        play.alone(8, "write", json!("lost"), Value::Null);
    }
    play.really(9, "read", Value::Null);
}

#[test]
fn a_stale_read() {
    is_found(Model::Register, stale_read, 6);
    is_found(Model::CasRegister, stale_read, 6);
}

#[test]
fn a_lost_write() {
    is_found(Model::Register, lost_write, 6);
    is_found(Model::CasRegister, lost_write, 6);
}

#[test]
fn a_swap_that_was_granted_twice() {
    let flaw = |play: &mut Play, is_flawed: bool| {
        play.really(7, "write", json!("free"));
        play.really(8, "cas", json!(["free", "mine"]));
        if is_flawed {
            play.alone(9, "cas", json!(["free", "too"]), Value::Null);
        }
    };
    is_found(Model::CasRegister, flaw, 6);
}

/// Whoever has the lock after a crowd lets it go.
fn free(play: &mut Play) {
    for process in 0..4 {
        let question = ("release", None, Value::Null);
        if play.real.apply(play.model, process, &question).is_some() {
            play.alone(process, "release", Value::Null, Value::Null);
        }
    }
}

#[test]
fn a_double_grant() {
    let flaw = |play: &mut Play, is_flawed: bool| {
        free(play);
        play.really(7, "acquire", Value::Null);
        if is_flawed {
            play.alone(8, "acquire", Value::Null, Value::Null);
            play.alone(8, "release", Value::Null, Value::Null);
        }
        play.really(7, "release", Value::Null);
    };
    is_found(Model::Mutex, flaw, 5);
    is_found(Model::Holder, flaw, 5);
}

#[test]
fn a_token_that_was_given_twice_and_a_late_write() {
    let token = |play: &mut Play, is_flawed: bool| {
        play.really(7, "acquire", Value::Null);
        if is_flawed {
            let last = play.events.last().unwrap().value.clone();
            play.alone(8, "acquire", Value::Null, last);
        }
    };
    is_found(Model::FencedLock, token, 4);
    let late = |play: &mut Play, is_flawed: bool| {
        play.really(7, "write", json!([1_000, "new"]));
        if is_flawed {
            play.alone(8, "write", json!([999, "late"]), Value::Null);
        }
    };
    is_found(Model::FencedLock, late, 4);
}

#[test]
fn a_dequeue_out_of_order_or_twice() {
    let empty = |play: &mut Play| loop {
        play.really(7, "dequeue", Value::Null);
        if play.events.last().unwrap().value.is_null() {
            break;
        }
    };
    let reordered = |play: &mut Play, is_flawed: bool| {
        empty(play);
        play.really(7, "enqueue", json!("first"));
        play.really(7, "enqueue", json!("second"));
        if is_flawed {
            play.alone(8, "dequeue", Value::Null, json!("second"));
            play.alone(8, "dequeue", Value::Null, json!("first"));
            // The object has given them out.
            play.real.apply(Model::Queue, 0, &("dequeue", None, Value::Null));
            play.real.apply(Model::Queue, 0, &("dequeue", None, Value::Null));
        }
    };
    is_found(Model::Queue, reordered, 8);
    let twice = |play: &mut Play, is_flawed: bool| {
        empty(play);
        play.really(7, "enqueue", json!("thing"));
        play.really(8, "dequeue", Value::Null);
        if is_flawed {
            play.alone(9, "dequeue", Value::Null, json!("thing"));
        }
    };
    is_found(Model::Queue, twice, 6);
}

#[test]
fn money_that_was_lost_and_an_update_too() {
    let skew = |play: &mut Play, is_flawed: bool| {
        play.really(7, "read", Value::Null);
        if is_flawed {
            play.alone(8, "read", Value::Null, json!({"a": 1, "b": 2}));
        }
    };
    is_found(Model::Bank, skew, 4);
    let lost = |play: &mut Play, is_flawed: bool| {
        if is_flawed {
            play.alone(7, "update", json!("lost"), Value::Null);
        } else {
            play.really(7, "update", json!("kept"));
        }
        play.crowd(5);
        play.really(7, "read", Value::Null);
    };
    is_found(Model::Updates, lost, 4);
}

#[test]
fn a_message_out_of_order() {
    let turned = |play: &mut Play, is_flawed: bool| {
        let order = if is_flawed { ["m1", "m0"] } else { ["m0", "m1"] };
        for message in order {
            play.alone(7, "deliver", Value::Null, json!(message));
        }
    };
    is_found(Model::TotalOrder, turned, 8);
}
