//! Tokens: unique, monotonic in the order of completed requests, and available, over a million
//! grants with crashes.

use std::time::Duration;

use futures::FutureExt;
use steadfast_coordination::engine::memory::{Disk, Fault, Memory};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Place, Request, SessionId};
use steadfast_time::Uuid;
use steadfast_time::sim::{DEFAULT_START, SimClock};

const GRANTS: u64 = 1_000_000;

/// A client of a server that crashes, and what it was told.
struct Grants {
    disk: Disk,
    clock: SimClock,
    server: Memory,
    session: Option<SessionId>,
    rng: fastrand::Rng,
    ids: u128,
    /// The highest token of a completed request.
    highest: u64,
    completed: u64,
    crashes: u64,
    /// How a twin breaks the engine: the disk is another one after so many crashes.
    disk_is_lost_after: u64,
}

/// What went wrong.
#[derive(Debug, PartialEq)]
struct Violation {
    token: u64,
    highest: u64,
}

/// Calls of the memory engine end at their first poll.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("it is served at once")
}

impl Grants {
    fn new(seed: u64, disk_is_lost_after: u64) -> Self {
        let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
        let server = Memory::open(&disk, clock.clock());
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            disk,
            clock,
            server,
            session: None,
            rng,
            ids: 0,
            highest: 0,
            completed: 0,
            crashes: 0,
            disk_is_lost_after,
        }
    }

    fn restart(&mut self) {
        self.crashes += 1;
        if self.crashes == self.disk_is_lost_after {
            self.disk = Disk::new();
        }
        let away = Duration::from_millis(self.rng.u64(..3_000));
        self.clock.advance(away);
        self.server = Memory::open(&self.disk, self.clock.clock());
    }

    /// Asks until it is answered: at the second attempt at the latest when nothing is broken by
    /// then, so every request is available.
    fn ask<T>(&mut self, call: impl Fn(&Memory) -> Result<T, Error>) -> Result<T, Error> {
        for _ in 0..2 {
            match call(&self.server) {
                Err(Error::Unavailable { .. }) => self.restart(),
                result => return result,
            }
        }
        panic!("a started server does not answer")
    }

    fn session(&mut self) -> SessionId {
        if let Some(session) = self.session {
            return session;
        }
        let opened = self.ask(|server| now(server.open(Duration::from_secs(2)))).unwrap();
        *self.session.insert(opened.session)
    }

    /// Enters, perhaps after the session has ended, and perhaps repeated after a crash.
    fn grant(&mut self, queue: &Name) -> Place {
        self.ids += 1;
        let id = Uuid::from_u128(self.ids);
        loop {
            let session = self.session();
            let request = Request { session, id, mode: Mode::Exclusive, value: b"", wait: true };
            match self.ask(|server| now(server.enter(queue, request))) {
                Ok(place) => return place,
                Err(Error::SessionOver { .. }) => self.session = None,
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn run(&mut self, grants: u64) -> Result<(), Violation> {
        let queues = ["a", "b", "c"].map(|name| Name::new(name).unwrap());
        for _ in 0..grants {
            if self.rng.u32(..500) == 0 {
                let faults = [Fault::BeforeDurable, Fault::AfterDurable];
                self.disk.fail_next(faults[self.rng.usize(..2)]);
            }
            if self.rng.u32(..2_000) == 0 {
                self.clock.advance(Duration::from_millis(self.rng.u64(..4_000)));
            }
            let queue = &queues[self.rng.usize(..3)];
            let token = self.grant(queue).token;
            if token.get() <= self.highest {
                return Err(Violation { token: token.get(), highest: self.highest });
            }
            self.highest = token.get();
            self.completed += 1;
            if self.rng.u32(..8) != 0 {
                self.ask(|server| now(server.leave(queue, token))).unwrap();
            } else if let Some(session) = self.session.take_if(|_| self.rng.u32(..4) == 0) {
                self.ask(|server| now(server.close(session))).unwrap();
            }
        }
        Ok(())
    }
}

#[test]
fn a_million_tokens_are_unique_and_rise_over_thousands_of_crashes() {
    let mut grants = Grants::new(4, 0);
    assert_eq!(grants.run(GRANTS), Ok(()));
    assert_eq!(grants.completed, GRANTS, "every request was answered");
    assert!(grants.crashes > 1_500, "{} crashes", grants.crashes);
}

#[test]
fn a_server_that_forgets_is_found() {
    let mut grants = Grants::new(4, 20);
    let Violation { token, highest } = grants.run(GRANTS).unwrap_err();
    assert!(token <= highest);
    assert_eq!(grants.crashes, 20);
}
