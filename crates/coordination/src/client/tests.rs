//! What can only be seen from inside: turns that are none, and requests that arrive when they are
//! no longer wanted.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use steadfast_fencing::FencingToken;
use steadfast_time::sim::{SimClock, Simulation};

use super::*;
use crate::engine::memory::Memory;
use crate::port::{Capabilities, EntryId, Listing, Opened, Place, Register, Request, SessionId};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn options() -> Options {
    Options { length: ms(2_000), round_trip: ms(48), ask_every: ms(200), ..Options::default() }
}

fn zone() -> Name {
    Name::new("zone/1").unwrap()
}

/// A way to a server on which one thing goes wrong when it is told to.
struct Way {
    server: Memory,
    clock: SimClock,
    /// The process stands still for so long between the next answer's arrival and its reading.
    stall: Mutex<Option<Duration>>,
    /// The next request for an entry is held up: here it is.
    hold_up: AtomicBool,
    held_up: Mutex<Option<(SessionId, EntryId)>>,
}

impl Way {
    fn new(sim: &Simulation) -> Arc<Self> {
        let (server, clock) = (Memory::new(sim.clock()), sim.sim_clock());
        let (stall, hold_up, held_up) = Default::default();
        Arc::new(Self { server, clock, stall, hold_up, held_up })
    }

    fn read<T>(&self, answer: T) -> T {
        if let Some(length) = self.stall.lock().unwrap().take() {
            self.clock.advance(length);
        }
        answer
    }

    fn deliver(&self) -> BoxFuture<'_, Result<Place, Error>> {
        let (session, id) = self.held_up.lock().unwrap().take().unwrap();
        Box::pin(async move {
            let request = Request { session, id, mode: Mode::Exclusive, value: b"", wait: true };
            self.server.enter(&zone(), request).await
        })
    }
}

impl Coordinator for Way {
    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        if self.hold_up.swap(false, Ordering::Relaxed) {
            *self.held_up.lock().unwrap() = Some((request.session, request.id));
            return Box::pin(pending());
        }
        Box::pin(async move { self.read(self.server.enter(queue, request).await) })
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        Box::pin(async move { self.read(self.server.place(queue, token).await) })
    }

    fn capabilities(&self) -> Capabilities {
        self.server.capabilities()
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.server.open(length)
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.server.renew(session)
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.server.close(session)
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.server.gone(queue, token)
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.server.leave(queue, token)
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.server.set(queue, token, value)
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        self.server.list(queue, since)
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        self.server.queues(after)
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        self.server.load(register)
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.server.store(register, expected, value)
    }
}

fn client(sim: &Simulation, way: &Arc<Way>) -> Client {
    let engine: Arc<dyn Coordinator> = way.clone();
    let (client, keeper) = Client::new(engine, sim.clock(), options()).unwrap();
    sim.spawn(keeper.run());
    client.with_ids(Arc::new(Ids::seeded(1)))
}

/// Takes the lock; the answer that it is its turn is read three seconds late. Returns whether the
/// server has the entry of the guard that was given.
fn turn_after_a_stall(trusting: bool, contended: bool) -> bool {
    let mut sim = Simulation::new(1);
    let way = Way::new(&sim);
    let client = client(&sim, &way);
    client.handle.shared.trusting.store(trusting, Ordering::Relaxed);
    let clock = sim.clock();
    sim.block_on(async move {
        client.session(Patience::Forever).await.unwrap();
        let lock = client.lock(&zone());
        let stall = || *way.stall.lock().unwrap() = Some(ms(3_000));
        let guard = if contended {
            let ahead = way.server.open(ms(900)).await.unwrap().session;
            let id = Ids::seeded(2).next(clock.now());
            let request =
                Request { session: ahead, id, mode: Mode::Exclusive, value: b"", wait: true };
            way.server.enter(&zone(), request).await.unwrap();
            let release = async {
                clock.sleep(ms(50)).await;
                stall();
                way.server.close(ahead).await.unwrap();
            };
            futures::join!(lock.acquire(Patience::Forever), release).0.unwrap()
        } else {
            stall();
            lock.acquire(Patience::Forever).await.unwrap()
        };
        let entries = way.server.list(&zone(), None).await.unwrap().entries;
        entries.iter().any(|entry| entry.token == guard.token())
    })
}

#[test]
fn a_turn_counts_only_while_the_session_does() {
    for contended in [false, true] {
        assert!(turn_after_a_stall(false, contended));
        assert!(!turn_after_a_stall(true, contended), "the broken twin holds what is gone");
    }
}

#[test]
fn a_request_that_arrives_after_its_entry_was_given_back_blocks_nobody_for_long() {
    for dropped in [false, true] {
        let mut sim = Simulation::new(1);
        let way = Way::new(&sim);
        let client = client(&sim, &way);
        let clock = sim.clock();
        sim.block_on(async move {
            client.session(Patience::Forever).await.unwrap();
            way.hold_up.store(true, Ordering::Relaxed);
            let lock = client.lock(&zone());
            if dropped {
                let given_up = clock.timeout(ms(10), lock.acquire(Patience::Forever)).await;
                assert!(given_up.is_err());
                clock.sleep(ms(10)).await;
            } else {
                let guard = lock.acquire(Patience::Forever).await.unwrap();
                guard.release().await.unwrap();
            }
            assert_eq!(way.server.list(&zone(), None).await.unwrap().entries, []);
            let session = client.session(Patience::Try).await.unwrap();
            way.deliver().await.unwrap();
            assert_eq!(way.server.list(&zone(), None).await.unwrap().entries.len(), 1);
            clock.sleep(options().call_limit() + ms(5)).await;
            assert_eq!(way.server.list(&zone(), None).await.unwrap().entries, []);
            assert!(session.check().is_ok(), "not because its session has ended");
        });
    }
}
