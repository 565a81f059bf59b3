//! Histories made by hand: what each model allows and what it does not.

use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Kind};

use super::{checked, event, on, timed};

/// Reads a history as a text: `0 write 1` is an invoke, `0 ok`, `0 fail`, `0 info` its end.
fn history(text: &str) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let process: u64 = words.next().unwrap().parse().unwrap();
        let word = words.next().unwrap();
        let value = words.next().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        let kind = match word {
            "ok" => Kind::Ok,
            "fail" => Kind::Fail,
            "info" => Kind::Info,
            _ => Kind::Invoke,
        };
        if kind == Kind::Invoke {
            let (f, key) = word.split_once('.').map_or((word, None), |(f, key)| (f, Some(key)));
            let f = f.to_owned().into();
            let key = key.map(|key| key.to_owned().into());
            events.push(Event { process, kind, f, key, value, time: 0, error: None });
        } else {
            let asked = events.iter().rfind(|it| it.process == process).unwrap().clone();
            events.push(Event { kind, value, ..asked });
        }
    }
    timed(events)
}

fn holds(model: Model, text: &str) {
    let report = checked(model, &history(text));
    assert_eq!(report.verdict, Verdict::Holds, "{model}:{text}\n{report:?}");
    assert_eq!(report.piece, None);
}

/// Is violated; the sentence says this; the piece has so many events.
fn violated(model: Model, text: &str, says: &str, events: usize) {
    let report = checked(model, &history(text));
    assert_eq!(report.verdict, Verdict::Violated, "{model}:{text}");
    let piece = report.piece.unwrap();
    assert!(piece.what.contains(says), "{model}: {:?} does not say {says:?}", piece.what);
    assert_eq!(piece.events.len(), events, "{model}: {:#?}", piece.events);
    let again = checked(model, &piece.events);
    assert_eq!(again.verdict, Verdict::Violated, "the piece alone: {:#?}", piece.events);
}

fn unknown(model: Model, text: &str, says: &str) {
    let report = checked(model, &history(text));
    assert_eq!(report.verdict, Verdict::Unknown, "{model}:{text}");
    let piece = report.piece.unwrap();
    assert!(piece.what.contains(says) && piece.events.is_empty(), "{piece:?}");
}

/// One operation after another: `process f asked answered`.
fn one_by_one(lines: &[(u64, &'static str, Value, Value)]) -> Vec<Event> {
    let each = lines.iter().flat_map(|(process, f, asked, answered)| {
        let ok = event(*process, Kind::Ok, f, answered.clone());
        [event(*process, Kind::Invoke, f, asked.clone()), ok]
    });
    timed(each.collect())
}

#[test]
fn nothing_at_all_holds() {
    for model in Model::ALL {
        let report = checked(model, &[]);
        assert_eq!((report.verdict, report.operations), (Verdict::Holds, 0), "{model}");
    }
}

#[test]
fn a_register_may_show_either_value_while_it_is_written_and_only_the_new_one_after() {
    holds(Model::Register, "0 write 1\n1 read\n1 ok null\n2 read\n2 ok 1\n0 ok");
    violated(
        Model::Register,
        "0 write 4\n0 ok\n2 read\n2 ok 4\n1 write 5\n1 ok\n3 read\n3 ok 4\n3 read\n3 ok 5",
        "process 3 read 4 at 0.007 s after process 1 had been told at 0.005 s that it wrote 5",
        6,
    );
    // New, then old again, while the write is under way.
    violated(
        Model::Register,
        "0 write 1\n1 read\n1 ok 1\n2 read\n2 ok null\n0 ok",
        "process 2 read null at 0.004 s after process 1 read 1 at 0.002 s, which is newer",
        5,
    );
}

#[test]
fn a_write_that_failed_is_never_seen_and_one_that_nobody_knows_of_may_be() {
    violated(
        Model::Register,
        "0 write 1\n0 fail\n1 read\n1 ok 1",
        "nobody had written; process 0 had been told that its write of it failed",
        2,
    );
    holds(Model::Register, "0 write 1\n0 info\n1 read\n1 ok null\n1 read\n1 ok 1");
    holds(Model::Register, "0 write 1\n1 read\n1 ok null\n1 read\n1 ok 1");
    violated(
        Model::Register,
        "0 write 1\n0 info\n1 read\n1 ok 1\n1 read\n1 ok null",
        "process 1 read null",
        6,
    );
    violated(Model::Register, "1 read\n1 ok 1\n0 write 1\n0 ok", "process 1 read 1 at 0.001 s", 2);
}

#[test]
fn each_key_is_an_object_of_its_own() {
    let of = |key, events: Vec<Event>| events.into_iter().map(move |it| on(key, it));
    let good =
        one_by_one(&[(0, "write", json!(1), json!(null)), (0, "read", json!(null), json!(1))]);
    let bad =
        one_by_one(&[(0, "write", json!(1), json!(null)), (0, "read", json!(null), json!(null))]);
    let events: Vec<Event> =
        of("a", good.clone()).chain(of("b", bad)).chain(of("c", good)).collect();
    let report = checked(Model::Register, &timed(events));
    assert_eq!((report.verdict, report.operations, report.keys), (Verdict::Violated, 6, 3));
    let piece = report.piece.unwrap();
    assert!(piece.events.iter().all(|event| event.key.as_deref() == Some("b")), "{piece:?}");
    assert!(piece.what.contains("read null of \"b\""), "{}", piece.what);
}

#[test]
fn a_compare_and_set_finds_what_is_there() {
    holds(
        Model::CasRegister,
        "0 cas [null, 1]\n0 ok\n1 cas [1, 2]\n0 cas [1, 3]\n1 ok\n0 fail\n2 read\n2 ok 2",
    );
    // Both cannot have found the same value.
    violated(
        Model::CasRegister,
        "0 cas [null, 1]\n0 ok\n1 cas [1, 2]\n2 cas [1, 3]\n1 ok\n2 ok",
        "no order is left when process 2 replaced 1 by 3",
        6,
    );
    // One that nobody knows of has an effect only where it fits, and perhaps none at all.
    holds(Model::CasRegister, "0 cas [7, 1]\n0 info\n1 read\n1 ok null");
    holds(Model::CasRegister, "0 cas [null, 1]\n0 info\n1 read\n1 ok null\n1 read\n1 ok 1");
    violated(
        Model::CasRegister,
        "0 cas [7, 1]\n0 info\n1 write 2\n1 ok\n1 read\n1 ok 1",
        "no order is left when process 1 read 1 at 0.005 s: process 0 replaced 7 by 1 (or not",
        4,
    );
}

#[test]
fn a_mutex_has_one_holder() {
    holds(Model::Mutex, "0 acquire\n0 ok\n1 acquire\n0 release\n1 ok\n0 ok\n1 release\n1 ok");
    holds(Model::Mutex, "0 acquire\n0 info\n1 acquire\n1 ok");
    holds(Model::Mutex, "0 acquire\n0 ok\n0 release\n0 info\n1 acquire\n1 ok");
    violated(
        Model::Mutex,
        "2 acquire\n2 ok\n2 release\n2 ok\n0 acquire\n0 ok\n1 acquire\n1 ok\n0 release\n0 ok",
        "process 1 got the lock at 0.007 s while process 0 held it, which had got it at 0.005 s",
        4,
    );
    violated(
        Model::Mutex,
        "0 acquire\n0 ok\n1 release\n1 ok",
        "process 1 released the lock at 0.003 s, which it did not hold",
        2,
    );
}

#[test]
fn a_fenced_lock_gives_higher_tokens_and_its_resource_refuses_lower_ones() {
    holds(
        Model::FencedLock,
        "0 acquire\n0 ok 33\n1 acquire\n1 ok 34\n1 write [34, \"b\"]\n1 ok\n0 write [33, \"a\"]\n\
         0 fail\n2 read\n2 ok \"b\"\n0 release\n0 ok",
    );
    violated(
        Model::FencedLock,
        "0 acquire\n0 ok 33\n1 acquire\n1 ok 34\n1 write [34, \"b\"]\n1 ok\n0 write [33, \"a\"]\n0 ok",
        "process 0 wrote \"a\" under token 33 at 0.007 s after process 1 wrote \"b\" under token 34",
        4,
    );
    violated(
        Model::FencedLock,
        "0 acquire\n1 acquire\n0 ok 5\n1 ok 5",
        "process 1 got token 5 at 0.003 s and process 0 got token 5 at 0.002 s",
        4,
    );
    violated(
        Model::FencedLock,
        "0 acquire\n0 ok 5\n0 write [5, 1]\n0 ok\n1 acquire\n1 ok 4",
        "process 1 got token 4 at 0.005 s after process 0 got token 5 at 0.001 s",
        4,
    );
}

#[test]
fn a_queue_gives_each_thing_once_and_the_first_first() {
    holds(
        Model::Queue,
        "0 dequeue\n0 ok null\n0 enqueue 1\n1 enqueue 2\n0 ok\n1 ok\n2 dequeue\n2 ok 2\n2 dequeue\n\
         2 ok 1",
    );
    violated(
        Model::Queue,
        "0 enqueue 1\n0 ok\n0 enqueue 2\n0 ok\n1 dequeue\n1 ok 2\n1 dequeue\n1 ok 1",
        "process 1 took 2 out",
        6,
    );
    violated(
        Model::Queue,
        "0 enqueue 1\n0 ok\n1 dequeue\n1 ok 1\n2 dequeue\n2 ok 1",
        "process 2 took 1 out at 0.005 s, and process 1 had taken it out already, at 0.003 s",
        6,
    );
    violated(
        Model::Queue,
        "1 dequeue\n1 ok 9",
        "took 9 out at 0.001 s, which nobody had put in",
        2,
    );
    violated(Model::Queue, "0 enqueue 1\n0 ok\n1 dequeue\n1 ok null", "found the queue empty", 4);
    // One that nobody knows of may have taken the first thing.
    holds(Model::Queue, "0 enqueue 1\n0 ok\n1 dequeue\n1 info\n2 dequeue\n2 ok null");
    holds(Model::Queue, "0 enqueue 1\n0 ok\n1 dequeue\n1 info\n2 dequeue\n2 ok 1");
}

#[test]
fn sequential_consistency_forgets_the_clock_but_not_a_process_own_order() {
    // Stale by the clock, and still one order.
    let stale = "0 write.x 1\n0 ok\n1 read.x\n1 ok null\n1 read.x\n1 ok 1";
    holds(Model::Sequential, stale);
    assert_eq!(checked(Model::Register, &history(stale)).verdict, Verdict::Violated);
    // Store buffering: both look before either is seen.
    violated(
        Model::Sequential,
        "0 write.x 1\n0 ok\n1 write.y 1\n1 ok\n0 read.y\n0 ok null\n1 read.x\n1 ok null\n2 read.x\n\
         2 ok 1",
        "process 0 wrote 1 to \"x\", then read null of \"y\"; process 1 wrote 1 to \"y\"",
        8,
    );
    violated(
        Model::Sequential,
        "0 read.x\n0 ok 1\n1 write.x 1\n1 ok\n1 read.x\n1 ok 2",
        "read 2 of \"x\" at 0.005 s, which nobody had written",
        2,
    );
    // The same value twice: found by search.
    holds(
        Model::Sequential,
        "0 write.x 1\n0 ok\n0 write.x 2\n0 ok\n0 write.x 1\n0 ok\n1 read.x\n1 ok 2\n1 read.x\n1 ok 1",
    );
    violated(
        Model::Sequential,
        "0 write.x 1\n0 ok\n0 write.x 1\n0 ok\n0 write.x 2\n0 ok\n1 read.x\n1 ok 2\n1 read.x\n1 ok 1",
        "no one order",
        10,
    );
}

#[test]
fn causal_consistency_shows_no_effect_without_its_cause() {
    // Concurrent writes may be seen in either order, by different processes.
    let concurrent = "0 write.x 1\n0 ok\n1 write.x 2\n1 ok\n2 read.x\n2 ok 1\n2 read.x\n2 ok 2\n\
                      3 read.x\n3 ok 2\n3 read.x\n3 ok 1";
    holds(Model::Causal, concurrent);
    assert_eq!(checked(Model::Sequential, &history(concurrent)).verdict, Verdict::Violated);
    // WriteCOInitRead: the answer is there, the question is not.
    violated(
        Model::Causal,
        "0 write.question 1\n0 ok\n1 read.question\n1 ok 1\n1 write.answer 2\n1 ok\n2 read.answer\n\
         2 ok 2\n2 read.question\n2 ok null\n2 read.question\n2 ok 1",
        "an effect is seen without its cause",
        10,
    );
    // WriteCORead.
    violated(
        Model::Causal,
        "0 write.x 1\n0 ok\n0 write.x 2\n0 ok\n1 read.x\n1 ok 2\n1 read.x\n1 ok 1",
        "process 1 read 2 of \"x\", then read 1 of \"x\"",
        8,
    );
    // CyclicCO.
    violated(
        Model::Causal,
        "0 read.x\n0 ok 1\n0 write.y 1\n0 ok\n1 read.y\n1 ok 1\n1 write.x 1\n1 ok",
        "an effect is seen without its cause",
        8,
    );
    // ThinAirRead.
    violated(Model::Causal, "0 read.x\n0 ok 7", "which nobody had written", 2);
    unknown(
        Model::Causal,
        "0 write.x 1\n0 ok\n1 write.x 1\n1 ok\n2 read.x\n2 ok 1",
        "a value was written twice",
    );
}

#[test]
fn a_total_order_is_one_order_for_all() {
    let saw = |lines: &[(u64, &'static str)]| {
        let each =
            lines.iter().map(|(who, message)| (*who, "deliver", json!(null), json!(message)));
        one_by_one(&each.collect::<Vec<_>>())
    };
    let verdict = |events: &[Event]| checked(Model::TotalOrder, events);
    // A receiver may miss some.
    let good = saw(&[(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "c"), (2, "b"), (2, "c")]);
    assert_eq!(verdict(&good).verdict, Verdict::Holds);
    let turned = saw(&[(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "c"), (1, "b")]);
    let piece = verdict(&turned).piece.unwrap();
    assert_eq!(piece.events.len(), 8, "{piece:#?}");
    let says = "process 0 saw \"b\" at 0.003 s and then \"c\" at 0.005 s";
    assert!(piece.what.contains(says), "{}", piece.what);
    // No two of them disagree, and all three do.
    let round = saw(&[(0, "a"), (0, "b"), (1, "b"), (1, "c"), (2, "c"), (2, "a")]);
    let piece = verdict(&round).piece.unwrap();
    assert_eq!(piece.events.len(), 12, "{piece:#?}");
    let twice = saw(&[(0, "a"), (0, "b"), (0, "a")]);
    let piece = verdict(&twice).piece.unwrap();
    assert!(piece.what.contains("process 0 saw message \"a\" twice"), "{}", piece.what);
    // The message may be in the question.
    let asked = timed(vec![
        event(0, Kind::Invoke, "deliver", json!("a")),
        event(0, Kind::Ok, "deliver", json!(null)),
        event(0, Kind::Invoke, "deliver", json!("a")),
        event(0, Kind::Ok, "deliver", json!(null)),
    ]);
    assert_eq!(verdict(&asked).verdict, Verdict::Violated);
}

#[test]
fn a_bank_keeps_its_money() {
    let bank = |text| holds(Model::Bank, text);
    bank(
        "0 read\n0 ok {\"a\": 10, \"b\": 0}\n1 transfer {\"from\": \"a\", \"to\": \"b\", \"amount\": 4}\n\
         0 read\n0 ok {\"a\": 6, \"b\": 4}\n1 ok",
    );
    violated(
        Model::Bank,
        "0 read\n0 ok {\"a\": 10, \"b\": 0}\n1 transfer {\"from\": \"a\", \"to\": \"b\", \"amount\": 4}\n\
         2 read\n2 ok {\"a\": 6, \"b\": 0}\n1 ok",
        "process 2 read a total of 6 at 0.004 s, after process 0 had read 10 at 0.001 s: money was lost",
        4,
    );
    violated(
        Model::Bank,
        "0 read\n0 ok {\"a\": 10, \"b\": 0}\n2 read\n2 ok {\"a\": -1, \"b\": 11}",
        "account \"a\" holds -1",
        2,
    );
    bank("0 read\n0 ok {\"a\": 10, \"b\": 0}\n2 read \"overdraft\"\n2 ok {\"a\": -1, \"b\": 11}");
    unknown(
        Model::Bank,
        "1 transfer {\"from\": \"a\", \"to\": \"b\", \"amount\": 4}\n1 ok",
        "no read was answered",
    );
}

#[test]
fn at_no_time_do_two_processes_believe_that_they_hold_a_lock() {
    holds(
        Model::Holder,
        "0 acquire\n0 ok\n0 release\n1 acquire\n1 ok\n0 ok\n2 acquire.other\n2 ok\n1 release\n1 ok",
    );
    // Only who was told believes it.
    holds(Model::Holder, "0 acquire\n0 info\n1 acquire\n1 ok\n2 acquire\n2 fail");
    violated(
        Model::Holder,
        "0 acquire\n0 ok\n1 acquire\n1 ok\n1 release\n1 ok\n0 release\n0 ok",
        "process 1 was told at 0.003 s that it holds the lock, which process 0 had been told that it \
         holds at 0.001 s, and let go only at 0.006 s",
        5,
    );
    violated(Model::Holder, "0 acquire\n0 ok\n1 acquire\n1 ok", "and never let go", 4);
}

#[test]
fn no_acknowledged_update_is_missing_in_the_end() {
    holds(
        Model::Updates,
        "0 update 1\n0 ok\n1 update 2\n1 info\n2 update 3\n2 fail\n0 read\n0 ok [1]\n0 read\n\
         0 ok [1, 2]\n3 update 4\n3 ok",
    );
    // An earlier read may be behind.
    holds(Model::Updates, "0 update 1\n0 ok\n0 read\n0 ok []\n0 read\n0 ok [1]");
    violated(
        Model::Updates,
        "0 update 1\n0 ok\n0 update 2\n0 ok\n1 read\n1 ok [2]",
        "process 0 had been told at 0.001 s that 1 was added, and the read of process 1 at 0.005 s",
        4,
    );
    violated(
        Model::Updates,
        "0 update 1\n0 fail\n1 read\n1 ok [1]",
        "process 0 had been told that its update with it failed",
        4,
    );
    violated(Model::Updates, "1 read\n1 ok [7]", "read 7 at 0.001 s, which nobody had asked", 2);
    unknown(Model::Updates, "0 update 1\n0 ok", "no read was answered");
}

/// Two reads of one process at one time are still two reads.
#[test]
fn reads_at_one_time_are_shown_each_with_its_own_balances() {
    let mut events = one_by_one(&[
        (0, "read", json!(null), json!({"a": 1})),
        (0, "read", json!(null), json!({"a": 2})),
    ]);
    events.iter_mut().for_each(|event| event.time = 5);
    let report = checked(Model::Bank, &events);
    let piece = report.piece.unwrap();
    assert_eq!(piece.events, events);
    assert_eq!(checked(Model::Bank, &piece.events).verdict, Verdict::Violated);
}

/// That nobody looked into one bank is not made up for by a look into another.
#[test]
fn a_bank_that_nobody_read_is_unknown() {
    let transfer = json!({"from": "a", "to": "b", "amount": 1});
    let read = one_by_one(&[(0, "read", json!(null), json!({"a": 1}))]);
    let transfer = one_by_one(&[(0, "transfer", transfer, json!(null))]);
    let of = |key, events: Vec<Event>| events.into_iter().map(move |it| on(key, it));
    let events = timed(of("one", read).chain(of("two", transfer)).collect());
    let report = checked(Model::Bank, &events);
    assert_eq!(report.verdict, Verdict::Unknown);
    assert!(report.piece.unwrap().what.contains("no read of \"two\" was answered"));
}

/// A client that tries again what was refused does not make it right that it had been seen.
#[test]
fn an_update_that_was_seen_after_it_failed_and_before_it_was_tried_again() {
    violated(
        Model::Updates,
        "0 update 1\n0 fail\n1 read\n1 ok [1]\n0 update 1\n0 ok\n1 read\n1 ok [1]",
        "although process 0 had been told that its update with it failed",
        4,
    );
    holds(
        Model::Updates,
        "0 update 1\n0 fail\n0 update 1\n1 read\n1 ok [1]\n0 ok\n1 read\n1 ok [1]",
    );
}

/// A circle of many receivers that each saw two messages: found, and shown, whether or not there is
/// time to make it smaller.
#[test]
fn a_long_circle_of_messages_is_found() {
    let receivers = 2_000;
    let seen =
        |who: u64| [who, (who + 1) % receivers].map(|m| (who, "deliver", json!(null), json!(m)));
    let lines: Vec<_> = (0..receivers).flat_map(seen).collect();
    let report = checked(Model::TotalOrder, &one_by_one(&lines));
    assert_eq!(report.verdict, Verdict::Violated);
    let piece = report.piece.unwrap();
    assert_eq!(piece.events.len(), 8_000);
    assert!(
        piece.what.contains("and so on, 1992 more") && piece.what.len() < 1_000,
        "{}",
        piece.what
    );
}
