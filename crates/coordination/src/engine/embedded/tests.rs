//! The shell around the machine, in one process.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures::future::{join_all, select};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Uuid};

use super::local::Embedded;
use super::log::Disk;
use super::{OpenError, Options};
use crate::limits::{EMBEDDED_SEGMENT_BYTES_MIN, VALUE_BYTES_MAX};
use crate::port::{Coordinator, Error, Mode, Name, Place, Request, SessionId};

const LONG: Duration = Duration::from_secs(60);
const SMALL: Options = Options { segment_bytes: EMBEDDED_SEGMENT_BYTES_MIN };
/// Long enough that what should not happen would have happened.
const A_WHILE: Duration = Duration::from_millis(60);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, Clock::system(), SMALL).unwrap()
}

async fn session(engine: &Embedded, length: Duration) -> SessionId {
    engine.open(length).await.unwrap().session
}

async fn enter(engine: &Embedded, queue: &str, session: SessionId) -> Result<Place, Error> {
    let (id, mode) = (Uuid::new_v4(), Mode::Exclusive);
    let request = Request { session, id, mode, value: b"me", wait: true };
    engine.enter(&name(queue), request).await
}

/// Whether a future is still not done after a while.
async fn is_waiting<F: Future + Unpin>(future: &mut F) -> bool {
    let pause = Clock::system().sleep(A_WHILE);
    matches!(select(future, pause).await, futures::future::Either::Right(_))
}

/// A disk whose syncs wait for a gate, and fail when they are told to.
#[derive(Default)]
struct Gate {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    is_shut: bool,
    is_full: bool,
}

impl Gate {
    fn set(&self, is_shut: bool, is_full: bool) {
        *self.state.lock().unwrap() = Held { is_shut, is_full };
        self.changed.notify_all();
    }
}

struct GatedDisk {
    disk: Box<dyn Disk>,
    gate: Arc<Gate>,
}

impl Disk for GatedDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.gate.state.lock().unwrap();
        let state = self.gate.changed.wait_while(state, |state| state.is_shut).unwrap();
        if state.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(state);
        self.disk.sync()
    }
}

/// The gate, for the test. It opens when the test ends, also with a failure, so that the engine can.
struct Opener(Arc<Gate>);

impl std::ops::Deref for Opener {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.set(false, false);
    }
}

fn gated(folder: &Path) -> (Embedded, Opener) {
    let gate = Arc::<Gate>::default();
    let for_disk = Arc::clone(&gate);
    let engine = Embedded::open_with(folder, Clock::system(), SMALL, move |log| {
        log.wrap_disk(|disk| Box::new(GatedDisk { disk, gate: for_disk }));
    });
    (engine.unwrap(), Opener(gate))
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_tokens_rise() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut held: Vec<(String, FencingToken)> = Vec::new();
    let mut version = None;
    for round in 0..4 {
        let engine = open(folder.path());
        for (queue, token) in &held {
            let place = engine.place(&name(queue), *token).await.unwrap();
            assert_eq!((place.token, place.ahead), (*token, None), "round {round}");
        }
        let session = session(&engine, LONG).await;
        for number in 0..300 {
            let queue = format!("q/{round}/{number}");
            let place = enter(&engine, &queue, session).await.unwrap();
            assert!(place.token.get() > last);
            last = place.token.get();
            if number % 10 == 0 {
                held.push((queue, place.token));
            } else {
                engine.leave(&name(&queue), place.token).await.unwrap();
            }
        }
        let value = format!("value {round}");
        version = Some(engine.store(&name("r"), version, value.as_bytes()).await.unwrap());
        let loaded = engine.load(&name("r")).await.unwrap().unwrap();
        assert_eq!((loaded.value, Some(loaded.version)), (value.into_bytes(), version));
        // The last handle frees the folder.
    }
    let engine = open(folder.path());
    assert_eq!(engine.queues(None).await.unwrap().len(), held.len());
    let in_use = Embedded::open(folder.path(), Clock::system(), SMALL);
    assert!(matches!(in_use, Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, gate) = gated(folder.path());
    let session = session(&engine, LONG).await;
    let first = enter(&engine, "q", session).await.unwrap();
    gate.set(true, false);
    let queue = name("q");
    let mut leave = engine.leave(&queue, first.token);
    assert!(is_waiting(&mut leave).await);
    // Sent after the leave, so they see it; what they saw is not durable yet.
    let mut list = engine.list(&queue, None);
    let mut gone = engine.gone(&queue, first.token);
    assert!(is_waiting(&mut list).await && is_waiting(&mut gone).await);
    gate.set(false, false);
    leave.await.unwrap();
    gone.await.unwrap();
    assert_eq!(list.await.unwrap().entries, []);
}

#[tokio::test]
async fn a_full_disk_stops_everything_and_a_restart_tells_what_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, gate) = gated(folder.path());
    let session = session(&engine, LONG).await;
    let held = enter(&engine, "held", session).await.unwrap();
    let queue = name("held");
    let mut gone = engine.gone(&queue, held.token);
    assert!(is_waiting(&mut gone).await);
    gate.set(false, true);
    let refused = enter(&engine, "refused", session).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable { reason, .. } if reason.contains("cannot write"))
    );
    assert!(gone.await.is_err());
    assert!(engine.ended().await.contains("cannot write"));
    gate.set(false, false);
    for error in [
        enter(&engine, "later", session).await.map(|_| ()).unwrap_err(),
        engine.place(&queue, held.token).await.map(|_| ()).unwrap_err(),
        engine.renew(session).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(engine.place(&queue, held.token).await.unwrap().ahead, None);
    assert!(engine.list(&name("later"), None).await.unwrap().entries.is_empty());
    let next = enter(&engine, "next", session).await.unwrap();
    assert!(next.token > held.token);
}

#[tokio::test]
async fn a_stalled_disk_ends_no_session_whose_renewal_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, gate) = gated(folder.path());
    let (renewed, silent) = (
        session(&engine, Duration::from_millis(300)).await,
        session(&engine, Duration::from_millis(300)).await,
    );
    let entry = enter(&engine, "q", renewed).await.unwrap();
    gate.set(true, false);
    let queue = name("other");
    let mut stuck = engine.store(&queue, None, b"x");
    assert!(is_waiting(&mut stuck).await);
    let mut renew = engine.renew(renewed);
    for _ in 0..12 {
        assert!(is_waiting(&mut renew).await, "the disk stands still");
    }
    gate.set(false, false);
    renew.await.unwrap();
    stuck.await.unwrap();
    engine.place(&name("q"), entry.token).await.unwrap();
    assert_eq!(engine.stats().stalls, 1);
    // Who is silent ends none the less.
    let clock = Clock::system();
    for _ in 0..10 {
        clock.sleep(Duration::from_millis(100)).await;
        engine.renew(renewed).await.unwrap();
    }
    assert!(matches!(engine.renew(silent).await, Err(Error::SessionOver { .. })));
}

#[tokio::test]
async fn sessions_end_by_themselves_and_wake_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let clock = Clock::system();
    let (short, long) =
        (session(&engine, Duration::from_millis(100)).await, session(&engine, LONG).await);
    let start = clock.monotonic();
    let first = enter(&engine, "q", short).await.unwrap();
    let second = enter(&engine, "q", long).await.unwrap();
    assert_eq!(second.ahead, Some(first.token));
    engine.gone(&name("q"), first.token).await.unwrap();
    let took = clock.monotonic() - start;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(engine.place(&name("q"), second.token).await.unwrap().ahead, None);
    assert!(matches!(engine.renew(short).await, Err(Error::SessionOver { .. })));
}

#[tokio::test]
async fn waits_wake_those_concerned_and_dropped_ones_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let session = session(&engine, LONG).await;
    let (a, b) =
        (enter(&engine, "a", session).await.unwrap(), enter(&engine, "b", session).await.unwrap());
    let (qa, qb) = (name("a"), name("b"));
    let since = engine.list(&qa, None).await.unwrap().version;
    let (mut on_a, mut on_b) = (engine.gone(&qa, a.token), engine.gone(&qb, b.token));
    let mut list = engine.list(&qa, Some(since));
    for wait in [&mut on_a, &mut on_b] {
        assert!(is_waiting(wait).await);
    }
    assert!(is_waiting(&mut list).await);
    {
        let mut dropped = pin!(join_all((0..50).map(|_| engine.gone(&qb, b.token))));
        assert!(is_waiting(&mut dropped).await);
        assert_eq!(engine.stats().waits, 53);
    }
    engine.set(&qa, a.token, b"new").await.unwrap();
    let listing = list.await.unwrap();
    assert_eq!(listing.entries[0].value, b"new");
    assert_ne!(listing.version, since);
    engine.leave(&qa, a.token).await.unwrap();
    on_a.await.unwrap();
    assert!(is_waiting(&mut on_b).await, "nothing happened to b");
    assert_eq!(engine.stats().waits, 1);
}

#[tokio::test]
async fn closing_commits_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let session = session(&engine, LONG).await;
    let names: Vec<String> = (0..500).map(|number| format!("q/{number}")).collect();
    let mut asked = pin!(join_all(names.iter().map(|queue| enter(&engine, queue, session))));
    assert!(futures::poll!(asked.as_mut()).is_pending());
    engine.close();
    let places = asked.await;
    assert!(places.iter().all(Result::is_ok));
    assert!(matches!(enter(&engine, "q", session).await, Err(Error::Unavailable { .. })));
    let again = open(folder.path());
    assert_eq!(again.queues(None).await.unwrap().len(), 500);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_without_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let session = session(&engine, LONG).await;
    let before = engine.stats().batches;
    let value = vec![0; VALUE_BYTES_MAX + 1];
    let (queue, mode, id) = (name("q"), Mode::Shared, Uuid::new_v4());
    let request = Request { session, id, mode, value: &value, wait: true };
    assert!(matches!(engine.enter(&queue, request).await, Err(Error::TooLarge { .. })));
    assert!(matches!(engine.open(Duration::ZERO).await, Err(Error::Length { .. })));
    let over = enter(&engine, "q", SessionId(99)).await;
    assert!(matches!(over, Err(Error::SessionOver { session: SessionId(99) })));
    assert!(engine.renew(session).await.is_ok(), "a renewal waits for no disk");
    assert_eq!(engine.stats().batches, before);
}
