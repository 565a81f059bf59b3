//! Killed at any instruction, or out of room: what was answered is there, whole.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use steadfast_journal::{
    Append, Claim, Engine as _, Expected, Guard, Journal, Message, NewEvent, Position,
    StorageError, StoredResponse, StreamId, Version, Write, sqlite, verify,
};
use steadfast_time::{Clock, Timestamp};

const DIRECTORY: &str = "STEADFAST_JOURNAL_KILL_TEST_DIRECTORY";
const CALLERS: usize = 16;

/// Options under which checkpoints and restarts of the log happen all the time.
fn busy() -> sqlite::Options {
    sqlite::Options { checkpoint_bytes: 64 << 10, log_bytes: 256 << 10, ..Default::default() }
}

/// A write that leaves a trace in every table: event, message, claim, and a counter.
fn traced(caller: usize, version: u64) -> Write {
    let mut write = Write::at(Timestamp::from_millis(version.cast_signed()));
    let payload = Bytes::from(vec![b'p'; 300]);
    write.appends.push(Append {
        stream: StreamId::new("caller", &caller.to_string()).unwrap(),
        expected: Expected::Exactly(Version(version - 1)),
        events: vec![NewEvent { kind: "stepped".into(), schema: 1, payload: payload.clone() }],
    });
    write.messages.push(Message {
        id: steadfast_time::Uuid::from_u128((caller as u128) << 64 | u128::from(version)),
        topic: "steps".into(),
        aggregate_type: "other".into(),
        aggregate_id: caller.to_string(),
        event_type: "stepped".into(),
        sequence: version,
        payload,
    });
    write.claim = Some(Claim {
        tenant: caller.to_string(),
        key: version.to_string(),
        fingerprint: [1; 32],
        expires_at: Timestamp::from_millis(i64::MAX / 2_000),
        response: StoredResponse {
            status: 201,
            location: None,
            version: None,
            body: Bytes::from(version.to_string()),
        },
    });
    write.guards.push(Guard { counter: "steps".into(), delta: 1, bounds: 0..=i64::MAX });
    write
}

/// Not a test: the process that is killed. Says `caller version` for each answer it got.
#[test]
#[ignore = "started by the tests below"]
fn writing_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let engine = sqlite::Engine::open(Path::new(&directory), busy()).unwrap();
    let (journal, writer) = Journal::new(engine, Clock::system());
    let _thread = writer.spawn("journal").unwrap();
    let caller = |caller: usize| {
        let journal = journal.clone();
        async move {
            let stream = StreamId::new("caller", &caller.to_string()).unwrap();
            let mut version = journal.store().version(&stream).unwrap().0;
            loop {
                version += 1;
                journal.commit(traced(caller, version)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "answered {caller} {version}").and_then(|()| out.flush()).unwrap();
            }
        }
    };
    block_on(join_all((0..CALLERS).map(caller)));
}

/// Runs the process until it has had this many answers, kills it, and returns the last per caller.
fn kill_after(directory: &Path, answers: usize) -> BTreeMap<usize, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing_process", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = BTreeMap::new();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // A line that was cut short was not said.
        let words: Vec<&str> = line.split(' ').collect();
        if let ["answered", caller, version] = words[..] {
            answered.insert(caller.parse().unwrap(), version.parse().unwrap());
            seen += 1;
        }
        if seen == answers {
            child.kill().unwrap();
        }
    }
    assert!(seen >= answers, "the process ended by itself: {:?}", child.wait());
    child.wait().unwrap();
    answered
}

/// Opens what is left and checks that it is whole; returns the number of events.
fn check(directory: &Path, answered: &BTreeMap<usize, u64>) -> u64 {
    let mut engine = sqlite::Engine::open(directory, busy()).unwrap();
    let store = engine.store();
    let head = verify::verify(store.as_ref(), Default::default(), |_| ()).unwrap();
    let mut events = 0;
    for caller in 0..CALLERS {
        let stream = StreamId::new("caller", &caller.to_string()).unwrap();
        let version = store.version(&stream).unwrap().0;
        let last = answered.get(&caller).copied().unwrap_or(0);
        assert!(version >= last, "caller {caller}: {last} was answered, {version} is there");
        events += version;
        for number in 1..=version {
            let key = number.to_string();
            let claimed = store.claimed(&caller.to_string(), &key, Timestamp::EPOCH).unwrap();
            assert_eq!(claimed.unwrap().response.body, key);
        }
        let next = store.claimed(&caller.to_string(), &(version + 1).to_string(), Timestamp::EPOCH);
        assert_eq!(next.unwrap(), None);
    }
    // All of a write is there or nothing of it.
    assert_eq!(head.position, Position(events));
    assert_eq!(store.counter("steps").unwrap(), events.cast_signed());
    let last = store.outbox(events - 1, 10).unwrap();
    assert_eq!(last.len(), 1, "one message per event");
    engine.close().unwrap();
    events
}

#[test]
fn what_was_answered_survives_a_kill() {
    let scratch = tempfile::tempdir().unwrap();
    let mut answered = BTreeMap::new();
    let mut events = 0;
    for round in [1, 40, 333, 2_000, 77] {
        answered.extend(kill_after(scratch.path(), round));
        let now = check(scratch.path(), &answered);
        assert!(now > events);
        events = now;
    }
    let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let quota = sqlite::Options { size_bytes_max: Some(512 << 10), ..busy() };
    let mut engine = sqlite::Engine::open(scratch.path(), quota).unwrap();
    let mut answered = BTreeMap::new();
    let error = loop {
        let version = answered.get(&0).copied().unwrap_or(0) + 1;
        match engine.commit(&[traced(0, version)]) {
            Ok(outcomes) => assert!(outcomes[0].is_ok()),
            Err(error) => break error,
        }
        answered.insert(0, version);
        assert!(version < 10_000, "the quota is not heeded");
    };
    assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains(scratch.path().to_str().unwrap()), "{error}");
    // From here on it refuses, although there might be room for less.
    assert!(engine.commit(&[Write::default()]).is_err());
    assert!(engine.prune(Timestamp::EPOCH, 10).is_err());
    // What is there can still be read.
    let head = engine.store().head().unwrap();
    assert_eq!(head.position.0, answered[&0]);
    drop(engine);
    assert_eq!(check(scratch.path(), &answered), answered[&0], "nothing of the failed batch");
}
