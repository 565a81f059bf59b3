//! What the machine does, case by case.

use std::time::Duration;

use steadfast_time::Uuid;

use super::*;
use crate::port::Place;

const SECOND: u64 = 1_000_000_000;
const TEN: Duration = Duration::from_secs(10);

/// A machine, the time, and what has changed.
#[derive(Default)]
struct Bench {
    machine: Machine,
    now: MachineTime,
    changes: Vec<Change>,
    ids: u128,
}

impl Bench {
    fn apply(&mut self, command: Command) -> Answer {
        self.machine.apply(self.now, command, &mut self.changes)
    }

    fn open(&mut self, length: Duration) -> SessionId {
        match self.apply(Command::Open { length }) {
            Ok(Output::Opened(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    fn enter_as(&mut self, queue: &str, session: SessionId, id: u128, mode: Mode) -> Answer {
        let request = crate::port::Request {
            session,
            id: Uuid::from_u128(id),
            mode,
            value: b"v",
            wait: true,
        };
        self.apply(Command::enter(&name(queue), request))
    }

    fn enter(&mut self, queue: &str, session: SessionId, mode: Mode) -> Place {
        self.ids += 1;
        let id = self.ids;
        place(&self.enter_as(queue, session, id, mode))
    }

    fn leave(&mut self, queue: &str, token: FencingToken) {
        assert_eq!(self.apply(Command::Leave { queue: name(queue), token }), Ok(Output::Done));
    }

    fn place(&self, queue: &str, token: FencingToken) -> Answer {
        let query = Query::Place { queue: name(queue), token };
        self.machine.query(self.now, &query).expect("nothing is due")
    }

    fn gone(&mut self) -> Vec<FencingToken> {
        self.changes.drain(..).filter_map(|change| change.gone).collect()
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn place(answer: &Answer) -> Place {
    match answer {
        Ok(Output::Place(place)) => *place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn exclusive_waits_for_all_and_shared_for_the_exclusive() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    let modes = [Mode::Shared, Mode::Shared, Mode::Exclusive, Mode::Shared, Mode::Exclusive];
    let places: Vec<Place> = modes.iter().map(|mode| bench.enter("q", session, *mode)).collect();
    let ahead: Vec<_> = places.iter().map(|place| place.ahead).collect();
    let tokens: Vec<_> = places.iter().map(|place| Some(place.token)).collect();
    assert_eq!(ahead, [None, None, tokens[1], tokens[2], tokens[3]]);
    assert_eq!(places.iter().map(|place| place.depth).collect::<Vec<_>>(), [0, 0, 2, 1, 4]);
    for place in &places {
        assert_eq!(bench.place("q", place.token), Ok(Output::Place(*place)));
    }
    bench.leave("q", places[2].token);
    let now = place(&bench.place("q", places[3].token));
    assert_eq!((now.ahead, now.depth), (None, 0));
    let last = place(&bench.place("q", places[4].token));
    assert_eq!((last.ahead, last.depth), (tokens[3], 3));
}

#[test]
fn a_session_that_is_due_ends_before_the_command_at_its_deadline() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    let held = bench.enter("q", session, Mode::Exclusive);
    bench.now = MachineTime(10 * SECOND - 1);
    let query = Query::Place { queue: name("q"), token: held.token };
    assert!(bench.machine.query(bench.now, &query).is_ok());
    bench.now = MachineTime(10 * SECOND);
    assert_eq!(bench.machine.query(bench.now, &query), Err(Due));
    bench.gone();
    let answer = bench.apply(Command::Renew { session });
    assert_eq!(answer, Err(Refusal::SessionOver(session)));
    assert_eq!(bench.gone(), [held.token]);
    assert_eq!(bench.machine.next_deadline(), None);
    assert_eq!(bench.machine.version(&name("q")), 0);
}

#[test]
fn time_never_goes_back() {
    let mut bench = Bench { now: MachineTime(100 * SECOND), ..Bench::default() };
    let session = bench.open(TEN);
    bench.now = MachineTime(5);
    bench.apply(Command::Renew { session }).unwrap();
    assert_eq!(bench.machine.now(), MachineTime(100 * SECOND));
    assert_eq!(bench.machine.next_deadline(), Some(MachineTime(110 * SECOND)));
}

#[test]
fn a_restart_gives_every_session_its_whole_length_even_when_it_was_due() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    bench.now = MachineTime(10 * SECOND);
    bench.apply(Command::Restart).unwrap();
    assert_eq!(bench.machine.next_deadline(), Some(MachineTime(20 * SECOND)));
    bench.now = MachineTime(20 * SECOND - 1);
    assert_eq!(bench.apply(Command::Renew { session }), Ok(Output::Done));
}

#[test]
fn a_repetition_is_the_same_entry_and_another_session_or_queue_is_not() {
    let mut bench = Bench::default();
    let (one, two) = (bench.open(TEN), bench.open(TEN));
    let first = place(&bench.enter_as("q", one, 7, Mode::Exclusive));
    assert_eq!(place(&bench.enter_as("q", one, 7, Mode::Exclusive)), first);
    let second = place(&bench.enter_as("q", two, 7, Mode::Exclusive));
    assert_eq!(second.ahead, Some(first.token));
    let elsewhere = place(&bench.enter_as("r", one, 7, Mode::Exclusive));
    assert_eq!(elsewhere.ahead, None);
    assert!(elsewhere.token > second.token && second.token > first.token);
}

#[test]
fn who_will_not_wait_leaves_nothing_behind() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    let held = bench.enter("q", session, Mode::Exclusive);
    let before = bench.machine.snapshot();
    for mode in [Mode::Exclusive, Mode::Shared] {
        let command = Command::Enter {
            queue: name("q"),
            session,
            id: Uuid::from_u128(99),
            mode,
            value: vec![],
            wait: false,
        };
        let busy = Refusal::Busy { queue: name("q"), holder: held.token };
        assert_eq!(bench.apply(command), Err(busy));
    }
    assert_eq!(bench.machine.snapshot(), before);
}

#[test]
fn a_stale_token_ends_nobody() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    let first = bench.enter("q", session, Mode::Exclusive);
    bench.leave("q", first.token);
    let second = bench.enter("q", session, Mode::Exclusive);
    bench.gone();
    bench.leave("q", first.token);
    bench.leave("r", second.token);
    assert_eq!(bench.gone(), []);
    assert_eq!(bench.place("q", second.token), Ok(Output::Place(second)));
}

#[test]
fn versions_never_come_back() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let entry = bench.enter("q", session, Mode::Shared);
        assert!(seen.insert(bench.machine.version(&name("q"))));
        let set = Command::Set { queue: name("q"), token: entry.token, value: b"w".to_vec() };
        bench.apply(set).unwrap();
        assert!(seen.insert(bench.machine.version(&name("q"))));
        bench.leave("q", entry.token);
        assert_eq!(bench.machine.version(&name("q")), 0);
    }
}

#[test]
fn a_session_takes_all_its_entries_along_and_nobody_elses() {
    let mut bench = Bench::default();
    let (ending, staying) = (bench.open(TEN), bench.open(TEN * 2));
    let mut gone = Vec::new();
    let mut last = None;
    for round in 0..6 {
        let mode = if round % 2 == 0 { Mode::Exclusive } else { Mode::Shared };
        gone.push(bench.enter("q", ending, mode).token);
        last = Some(bench.enter("q", staying, mode).token);
    }
    gone.push(bench.enter("r", ending, Mode::Shared).token);
    bench.gone();
    bench.now = MachineTime(10 * SECOND);
    bench.apply(Command::Expire).unwrap();
    assert_eq!(bench.gone(), gone);
    let place = place(&bench.place("q", last.unwrap()));
    assert_eq!(place.depth, 3, "of the five others that stay, three are exclusive");
    let queues = bench.machine.query(bench.now, &Query::Queues { after: None }).unwrap();
    assert_eq!(queues, Ok(Output::Queues(vec![name("q")])));
}

#[test]
fn registers_compare_and_set() {
    let mut bench = Bench::default();
    let store = |expected, value: &[u8]| Command::Store {
        register: name("r"),
        expected,
        value: value.to_vec(),
    };
    let conflict = |version| Err(Refusal::Conflict { register: name("r"), version });
    assert_eq!(bench.apply(store(Some(3), b"x")), conflict(None));
    let Ok(Output::Version(first)) = bench.apply(store(None, b"a")) else { panic!() };
    assert_eq!(bench.apply(store(None, b"b")), conflict(Some(first)));
    let Ok(Output::Version(second)) = bench.apply(store(Some(first), b"c")) else { panic!() };
    assert_eq!(bench.apply(store(Some(first), b"d")), conflict(Some(second)));
    let load = Query::Load { register: name("r") };
    let expected = Register { value: b"c".to_vec(), version: second };
    assert_eq!(bench.machine.query(bench.now, &load), Ok(Ok(Output::Register(Some(expected)))));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut bench = Bench::default();
    for length in [Duration::ZERO, LENGTH_MIN - Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(bench.apply(Command::Open { length }), Err(Refusal::Length(length)));
    }
    let session = bench.open(LENGTH_MAX);
    let entry = bench.enter("q", session, Mode::Shared);
    let value = vec![0; VALUE_BYTES_MAX + 1];
    let too_large = Err(Refusal::TooLarge(VALUE_BYTES_MAX + 1));
    let (queue, token) = (name("q"), entry.token);
    let set = Command::Set { queue: queue.clone(), token, value: value.clone() };
    assert_eq!(bench.apply(set), too_large);
    let store = Command::Store { register: queue, expected: None, value };
    assert_eq!(bench.apply(store), too_large);
}

#[test]
fn everything_has_an_end() {
    let mut bench = Bench::default();
    let session = bench.open(LENGTH_MAX);
    let mut last = None;
    for _ in 0..QUEUE_ENTRIES_MAX {
        last = Some(bench.enter("full", session, Mode::Exclusive));
    }
    assert_eq!(last.map(|place| place.depth as usize), Some(QUEUE_ENTRIES_MAX - 1));
    let full = Err(Refusal::Full(Bounded::EntriesOfQueue));
    assert_eq!(bench.enter_as("full", session, 0, Mode::Shared), full);
    let mut queue = 0;
    while bench.machine.entries < ENTRIES_MAX {
        queue += 1;
        bench.enter(&(queue / 5_000).to_string(), session, Mode::Shared);
    }
    let full = Err(Refusal::Full(Bounded::Entries));
    assert_eq!(bench.enter_as("another", session, 0, Mode::Shared), full);
    assert_eq!(bench.machine.version(&name("another")), 0, "a refusal leaves no empty queue");
    bench.gone();
    bench.apply(Command::Close { session }).unwrap();
    assert_eq!(bench.gone().len(), ENTRIES_MAX);
    assert_eq!((bench.machine.entries, bench.machine.queues.len()), (0, 0));
}

#[test]
fn a_snapshot_that_is_not_one_is_refused() {
    let mut bench = Bench::default();
    let session = bench.open(TEN);
    bench.enter("q", session, Mode::Exclusive);
    bench.enter("q", session, Mode::Shared);
    let good = serde_json::to_value(bench.machine.snapshot()).unwrap();
    let restore =
        |value: serde_json::Value| Machine::restore(serde_json::from_value(value).unwrap());
    assert_eq!(restore(good.clone()).unwrap().snapshot(), bench.machine.snapshot());
    type Spoil = fn(&mut serde_json::Value);
    let spoil: [(&str, Spoil); 5] = [
        ("without its session", |state| state["sessions"] = serde_json::json!([])),
        ("never given", |state| state["counter"] = 1.into()),
        ("is over", |state| state["now"] = (60 * SECOND).into()),
        ("is empty", |state| state["queues"][0][2] = serde_json::json!([])),
        ("not in order", |state| {
            let again = state["queues"][0][2][0].clone();
            state["queues"][0][2].as_array_mut().unwrap().push(again);
        }),
    ];
    for (what, spoil) in spoil {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = restore(bad).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
