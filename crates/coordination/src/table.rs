//! Who holds which lease: a pure state machine.
//!
//! `(state, now, command) -> outcome`, without a clock, a task or a disk. A lease ends when it is
//! released or when its time is over; at its deadline it is over, not a moment later. Tokens are
//! drawn from one counter for all resources, so a later grant has a higher token than every
//! earlier one, whatever the resource. The counter never passes what has been *reserved*: whoever
//! drives the table makes a reservation durable before it says so, and starts after it next time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use crate::limits::LEASES_MAX;

/// A request to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Give me the lease.
    Grant {
        /// What is leased.
        resource: &'a str,
        /// For how long.
        length: Duration,
    },
    /// I still need it: count its length from now.
    Renew {
        /// What is leased.
        resource: &'a str,
        /// The token of the grant.
        token: FencingToken,
    },
    /// I am done.
    Release {
        /// What is leased.
        resource: &'a str,
        /// The token of the grant.
        token: FencingToken,
    },
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The lease is yours until the deadline.
    Granted {
        /// Higher than that of every earlier grant.
        token: FencingToken,
        /// When it ends, by the table's clock.
        deadline: Monotonic,
    },
    /// The lease goes on.
    Renewed {
        /// When it ends, by the table's clock.
        deadline: Monotonic,
    },
    /// The lease is free again.
    Released,
    /// Somebody holds it.
    Held {
        /// When that lease ends, unless it is renewed.
        until: Monotonic,
    },
    /// That lease has ended; another one may have been granted since.
    Over,
    /// Too many leases are out.
    Full,
    /// No token is left: reserve more, then ask again.
    Reserve,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    token: FencingToken,
    length: Duration,
    deadline: Monotonic,
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    leases: HashMap<Arc<str>, Entry>,
    /// The same leases by deadline.
    deadlines: BTreeSet<(Monotonic, Arc<str>)>,
    /// The last token granted, or the last that may have been before a restart.
    last: u64,
    /// Tokens up to here may be granted.
    reserved: u64,
    /// The latest time seen. A table's time does not go back.
    now: Monotonic,
}

impl Table {
    /// A table without leases. Tokens up to `granted` may have been granted before.
    #[must_use]
    pub fn new(granted: u64) -> Self {
        Self {
            leases: HashMap::new(),
            deadlines: BTreeSet::new(),
            last: granted,
            reserved: granted,
            now: Monotonic::default(),
        }
    }

    /// Allows tokens up to and including this one. Call it only once it is durable that they
    /// may be granted.
    pub fn reserve(&mut self, up_to: u64) {
        self.reserved = self.reserved.max(up_to);
    }

    /// The highest token that may be granted.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// How many leases are out, ended ones included that nobody has asked for since.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether no lease is out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// When the next lease ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Answers a request.
    pub fn apply(&mut self, now: Monotonic, command: Command<'_>) -> Outcome {
        self.now = self.now.max(now);
        self.expire();
        match command {
            Command::Grant { resource, length } => self.grant(resource, length),
            Command::Renew { resource, token } => self.renew(resource, token),
            Command::Release { resource, token } => self.release(resource, token),
        }
    }

    fn expire(&mut self) {
        while self.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            if let Some((_, resource)) = self.deadlines.pop_first() {
                self.leases.remove(&resource);
            }
        }
    }

    fn grant(&mut self, resource: &str, length: Duration) -> Outcome {
        if let Some(entry) = self.leases.get(resource) {
            return Outcome::Held { until: entry.deadline };
        }
        if self.leases.len() >= LEASES_MAX {
            return Outcome::Full;
        }
        let next = self.last.checked_add(1).filter(|&next| next <= self.reserved);
        let Some(token) = next.and_then(FencingToken::new) else {
            return Outcome::Reserve;
        };
        self.last = token.get();
        let deadline = self.now + length;
        let resource: Arc<str> = resource.into();
        self.deadlines.insert((deadline, Arc::clone(&resource)));
        self.leases.insert(resource, Entry { token, length, deadline });
        Outcome::Granted { token, deadline }
    }

    fn renew(&mut self, resource: &str, token: FencingToken) -> Outcome {
        let held = self.leases.get_key_value(resource).filter(|(_, held)| held.token == token);
        let Some((name, &entry)) = held else {
            return Outcome::Over;
        };
        let name = Arc::clone(name);
        let deadline = self.now + entry.length;
        self.deadlines.remove(&(entry.deadline, Arc::clone(&name)));
        self.deadlines.insert((deadline, Arc::clone(&name)));
        self.leases.insert(name, Entry { deadline, ..entry });
        Outcome::Renewed { deadline }
    }

    fn release(&mut self, resource: &str, token: FencingToken) -> Outcome {
        let held = self.leases.get_key_value(resource).filter(|(_, held)| held.token == token);
        let Some((name, entry)) = held else {
            return Outcome::Over;
        };
        let end = (entry.deadline, Arc::clone(name));
        self.deadlines.remove(&end);
        self.leases.remove(resource);
        Outcome::Released
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn at_its_deadline_a_lease_is_over() {
        let mut table = Table::new(7);
        table.reserve(100);
        let grant = Command::Grant { resource: "zone/1", length: LENGTH };
        let token = FencingToken::new(8).unwrap();
        assert_eq!(table.apply(at(0), grant), Outcome::Granted { token, deadline: at(100) });
        assert_eq!(table.apply(at(99), grant), Outcome::Held { until: at(100) });
        let renew = Command::Renew { resource: "zone/1", token };
        assert_eq!(table.apply(at(99), renew), Outcome::Renewed { deadline: at(199) });
        assert_eq!(table.apply(at(199), renew), Outcome::Over);
        let next = Outcome::Granted { token: token.next(), deadline: at(299) };
        assert_eq!(table.apply(at(199), grant), next);
        // The old holder can neither keep nor end the new one's lease.
        assert_eq!(table.apply(at(200), renew), Outcome::Over);
        let release = Command::Release { resource: "zone/1", token };
        assert_eq!(table.apply(at(200), release), Outcome::Over);
        assert_eq!(table.apply(at(200), grant), Outcome::Held { until: at(299) });
    }

    #[test]
    fn no_token_is_granted_that_is_not_reserved() {
        let mut table = Table::new(7);
        let grant = |resource| Command::Grant { resource, length: LENGTH };
        assert_eq!(table.apply(at(0), grant("a")), Outcome::Reserve);
        table.reserve(8);
        assert!(matches!(table.apply(at(0), grant("a")), Outcome::Granted { .. }));
        assert_eq!(table.apply(at(0), grant("b")), Outcome::Reserve);
        assert_eq!(table.len(), 1, "a grant that waits for tokens leaves nothing behind");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Grant(u8, u64),
        Renew(u8, usize),
        Release(u8, usize),
        Wait(u64),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_u8, 1..50_u64).prop_map(|(r, ms)| Step::Grant(r, ms)),
            3 => (0..3_u8, 0..4_usize).prop_map(|(r, back)| Step::Renew(r, back)),
            2 => (0..3_u8, 0..4_usize).prop_map(|(r, back)| Step::Release(r, back)),
            4 => (0..40_u64).prop_map(Step::Wait),
            1 => Just(Step::Restart),
        ]
    }

    /// A grant as the obvious model keeps it: all of them, forever.
    struct Past {
        resource: u8,
        token: FencingToken,
        length: u64,
        end: u64,
    }

    proptest! {
        /// Against the obvious model, with restarts after which only the reservation is known.
        #[test]
        fn the_table_agrees_with_the_list_of_all_grants(
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let (mut table, mut now, mut past) = (Table::new(0), 0_u64, Vec::<Past>::new());
            for step in steps {
                // The holder of a lease counts back through the grants of its resource.
                let pick = |past: &[Past], resource: u8, back: usize| {
                    past.iter().rposition(|grant| grant.resource == resource)
                        .map(|last| last.saturating_sub(back))
                        .filter(|&index| past[index].resource == resource)
                };
                match step {
                    Step::Grant(r, length) => {
                        let (name, ms) = (r.to_string(), Duration::from_millis(length));
                        let grant = Command::Grant { resource: &name, length: ms };
                        let mut outcome = table.apply(at(now), grant);
                        if outcome == Outcome::Reserve {
                            table.reserve(table.reserved() + 3);
                            outcome = table.apply(at(now), grant);
                        }
                        let live = past.iter().find(|g| g.resource == r && g.end > now);
                        match (live, outcome) {
                            (Some(live), Outcome::Held { until }) => {
                                prop_assert_eq!(until, at(live.end));
                            }
                            (None, Outcome::Granted { token, deadline }) => {
                                let end = now + length;
                                prop_assert_eq!(deadline, at(end));
                                prop_assert!(past.iter().all(|earlier| earlier.token < token));
                                past.push(Past { resource: r, token, length, end });
                            }
                            (_, outcome) => prop_assert!(false, "{outcome:?}"),
                        }
                    }
                    Step::Renew(r, back) => {
                        let Some(index) = pick(&past, r, back) else { continue };
                        let (name, token) = (r.to_string(), past[index].token);
                        let outcome =
                            table.apply(at(now), Command::Renew { resource: &name, token });
                        if past[index].end > now {
                            past[index].end = now + past[index].length;
                            let deadline = at(past[index].end);
                            prop_assert_eq!(outcome, Outcome::Renewed { deadline });
                        } else {
                            prop_assert_eq!(outcome, Outcome::Over);
                        }
                    }
                    Step::Release(r, back) => {
                        let Some(index) = pick(&past, r, back) else { continue };
                        let (name, token) = (r.to_string(), past[index].token);
                        let outcome =
                            table.apply(at(now), Command::Release { resource: &name, token });
                        let live = past[index].end > now;
                        prop_assert_eq!(outcome == Outcome::Released, live);
                        past[index].end = past[index].end.min(now);
                    }
                    Step::Wait(ms) => now += ms,
                    Step::Restart => {
                        // In one process the holders are gone with the table.
                        table = Table::new(table.reserved());
                        past.iter_mut().for_each(|grant| grant.end = grant.end.min(now));
                    }
                }
            }
        }
    }
}
