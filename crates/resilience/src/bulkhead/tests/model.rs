//! The state machine against a list of everything that ever happened.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::bulkhead::{Admission, Machine, Options, Reason, Refused, Ticket};

/// What somebody who came is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Working,
    Waiting(Option<Ticket>),
    Gone,
}

/// One who came.
#[derive(Clone, Copy, Debug)]
struct Guest {
    since: Monotonic,
    deadline: Option<Deadline>,
    doing: Doing,
}

/// Everybody who ever came (as far back as it matters), asked one after the other.
struct Model {
    options: Options,
    guests: Vec<Guest>,
    closed: bool,
}

impl Model {
    fn count(&self, what: fn(Doing) -> bool) -> u32 {
        self.guests.iter().filter(|guest| what(guest.doing)).count() as u32
    }

    fn working(&self) -> u32 {
        self.count(|doing| doing == Doing::Working)
    }

    fn waiting(&self) -> u32 {
        self.count(|doing| matches!(doing, Doing::Waiting(_)))
    }

    fn over(&self, guest: &Guest, now: Monotonic) -> Option<Reason> {
        let late = guest.deadline.is_some_and(|deadline| deadline.moment() <= now);
        let long = now.since_start() >= guest.since.since_start() + self.options.wait;
        let sooner = |deadline: Deadline| deadline.moment() <= guest.since + self.options.wait;
        match (late, long) {
            (true, true) if guest.deadline.is_some_and(sooner) => Some(Reason::Deadline),
            (_, true) => Some(Reason::WaitedTooLong),
            (true, false) => Some(Reason::Deadline),
            (false, false) => None,
        }
    }

    fn acquire(&mut self, now: Monotonic, deadline: Option<Deadline>) -> Result<Doing, Reason> {
        let doing = if deadline.is_some_and(|deadline| deadline.moment() <= now) {
            Err(Reason::Deadline)
        } else if self.closed {
            Err(Reason::Closed)
        } else if self.waiting() == 0 && self.working() < self.options.limit {
            Ok(Doing::Working)
        } else if self.waiting() < self.options.queue {
            Ok(Doing::Waiting(None))
        } else {
            Err(Reason::QueueFull)
        };
        if let Ok(doing) = doing {
            self.guests.retain(|guest| guest.doing != Doing::Gone);
            self.guests.push(Guest { since: now, deadline, doing });
        }
        doing
    }

    fn release(&mut self, now: Monotonic) -> (Option<Ticket>, Vec<(Ticket, Reason)>) {
        let worker = self.guests.iter().position(|guest| guest.doing == Doing::Working).unwrap();
        self.guests[worker].doing = Doing::Gone;
        let mut gone = Vec::new();
        for index in 0..self.guests.len() {
            if let Doing::Waiting(Some(ticket)) = self.guests[index].doing {
                match self.over(&self.guests[index], now) {
                    None => {
                        self.guests[index].doing = Doing::Working;
                        return (Some(ticket), gone);
                    }
                    Some(reason) => {
                        self.guests[index].doing = Doing::Gone;
                        gone.push((ticket, reason));
                    }
                }
            }
        }
        (None, gone)
    }

    fn expire(&mut self, now: Monotonic) -> Vec<(Ticket, Reason)> {
        let mut gone = Vec::new();
        for index in 0..self.guests.len() {
            let reason = self.over(&self.guests[index], now);
            if let (Doing::Waiting(Some(ticket)), Some(reason)) = (self.guests[index].doing, reason)
            {
                self.guests[index].doing = Doing::Gone;
                gone.push((ticket, reason));
            }
        }
        gone
    }

    fn cancel(&mut self, ticket: Ticket) -> bool {
        let waits = |guest: &&mut Guest| guest.doing == Doing::Waiting(Some(ticket));
        self.guests.iter_mut().find(waits).map(|guest| guest.doing = Doing::Gone).is_some()
    }
}

/// Makes so many random steps with both, and compares.
fn walk(options: Options, seed: u64, steps: u32) {
    let mut rng = Rng::with_seed(seed);
    let mut machine = Machine::new(&options).unwrap();
    let mut model = Model { options, guests: Vec::new(), closed: false };
    let (mut now, mut tickets) = (0, Vec::new());
    for step in 0..steps {
        now += rng.u64(0..3);
        let context = || format!("seed {seed}, step {step}, at {now} ms");
        let mut gone: Vec<(Ticket, Reason)> = Vec::new();
        let mut note = |ticket, refused: Refused| gone.push((ticket, refused.reason));
        match rng.u32(0..100) {
            0..45 => {
                let deadline = rng.bool().then(|| by(now + rng.u64(0..40)));
                let expected = model.acquire(at(now), deadline);
                match machine.acquire(at(now), deadline) {
                    Admission::Acquired => {
                        assert_eq!(expected, Ok(Doing::Working), "{}", context())
                    }
                    Admission::Queued(ticket) => {
                        assert_eq!(expected, Ok(Doing::Waiting(None)), "{}", context());
                        model.guests.last_mut().unwrap().doing = Doing::Waiting(Some(ticket));
                        tickets.push(ticket);
                    }
                    Admission::Refused(refused) => {
                        assert_eq!(expected, Err(refused.reason), "{}", context());
                    }
                }
            }
            45..85 if model.working() > 0 => {
                let next = machine.release(at(now), &mut note);
                assert_eq!((next, gone), model.release(at(now)), "{}", context());
            }
            85..93 if !tickets.is_empty() => {
                let ticket = tickets.swap_remove(rng.usize(..tickets.len()));
                assert_eq!(machine.cancel(ticket), model.cancel(ticket), "{}", context());
            }
            93..99 => {
                machine.expire(at(now), &mut note);
                assert_eq!(gone, model.expire(at(now)), "{}", context());
                let next = machine.next_expiry();
                assert!(next.is_none_or(|next| next > at(now)), "{}", context());
            }
            _ => {}
        }
        assert_eq!(machine.in_use(), model.working(), "{}", context());
        assert_eq!(machine.waiting(), model.waiting(), "{}", context());
        if tickets.len() > 50 {
            tickets.drain(..25);
        }
    }
    let mut gone = Vec::new();
    machine.close(at(now), |ticket, refused| gone.push((ticket, refused.reason)));
    assert_eq!(gone.len() as u32, model.waiting());
    assert!(gone.iter().all(|(_, reason)| *reason == Reason::Closed));
    let refused = machine.acquire(at(now), None);
    assert!(matches!(refused, Admission::Refused(it) if it.reason == Reason::Closed));
}

#[test]
fn a_million_random_steps_agree_with_the_model() {
    let options = Options { limit: 3, queue: 5, wait: ms(15) };
    walk(options, 1, 1_000_000);
}

proptest! {
    #[test]
    fn any_bulkhead_agrees_with_the_model(
        limit in 1_u32..6,
        queue in 0_u32..6,
        wait in 1_u64..30,
        seed in any::<u64>(),
    ) {
        walk(Options { limit, queue, wait: ms(wait) }, seed, 300);
    }
}

#[test]
fn who_waits_longest_is_next_and_those_who_are_late_are_skipped_and_named() {
    let options = Options { limit: 1, queue: 4, wait: ms(50) };
    let mut machine = Machine::new(&options).unwrap();
    let mut enter = |now, deadline| machine.acquire(at(now), deadline);
    assert_eq!(enter(0, None), Admission::Acquired);
    let Admission::Queued(late) = enter(1, Some(by(10))) else { panic!() };
    let Admission::Queued(first) = enter(2, None) else { panic!() };
    let Admission::Queued(second) = enter(3, None) else { panic!() };
    let mut gone = Vec::new();
    assert_eq!(machine.release(at(10), |ticket, why| gone.push((ticket, why))), Some(first));
    let [(ticket, refused)] = gone[..] else { panic!("{gone:?}") };
    assert_eq!((ticket, refused.reason, refused.waited), (late, Reason::Deadline, ms(9)));
    let text = "1 of 1 at work, 2 of 4 waiting: the deadline came first, after waiting 9 ms";
    assert_eq!(refused.to_string(), text);
    assert_eq!(refused.retry_after, ms(50));
    assert!(machine.cancel(second));
    assert_eq!(machine.release(at(11), |_, _| unreachable!()), None);
}
