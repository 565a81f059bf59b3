//! The queue against a plain list.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::shed::{Options, Priority, Queue, Reason, Ticket};

#[derive(Clone, Copy, Debug)]
struct Entry {
    ticket: Option<Ticket>,
    priority: Priority,
    since: Monotonic,
    deadline: Option<Deadline>,
}

type Gone = Vec<(Ticket, Reason)>;

/// A list, searched from one end to the other for every answer.
struct Model {
    options: Options,
    list: Vec<Entry>,
    /// Of those that have left: since when each had waited for longer than the target, and when
    /// it left.
    left: Vec<(Monotonic, Monotonic)>,
    overloaded: bool,
}

impl Model {
    /// Since when has there always been somebody who had waited for longer than the target?
    fn look(&mut self, now: Monotonic) {
        let Options { target, interval, .. } = self.options;
        self.left.retain(|(_, left)| now - *left <= interval);
        // Of those who are there, whoever came first has been above the target the longest.
        let there = self.list.first().map(|entry| (entry.since + target, now + target));
        let mut since = now;
        while let Some((above, _)) =
            there.iter().chain(&self.left).find(|(above, left)| *above < since && *left > since)
        {
            since = *above;
        }
        self.overloaded |= since < now && now - since >= interval;
    }

    fn next(&self) -> Option<usize> {
        let order = |index: &usize| {
            let Entry { priority, ticket, .. } = self.list[*index];
            if self.overloaded { (Some(priority), ticket) } else { (None, ticket) }
        };
        let indices = 0..self.list.len();
        if self.overloaded { indices.max_by_key(order) } else { indices.min_by_key(order) }
    }

    fn remove(&mut self, now: Monotonic, index: usize) -> Entry {
        let entry = self.list.remove(index);
        self.left.push((entry.since + self.options.target, now));
        entry
    }

    fn shed(&mut self, now: Monotonic, gone: &mut Gone) {
        self.look(now);
        if !self.overloaded {
            return;
        }
        let next = self.next().map(|index| self.list[index].ticket);
        let Options { target, interval, .. } = self.options;
        let mut order: Vec<Entry> = self.list.clone();
        order.sort_by_key(|entry| (entry.priority, entry.ticket));
        for entry in order {
            let waited = now - entry.since;
            let critical = entry.priority == Priority::Critical;
            let over = waited > if critical { interval } else { target };
            if over && !(Some(entry.ticket) == next && waited < interval) {
                let overdue = entry.deadline.is_some_and(|it| it.moment() <= now);
                let reason = if overdue { Reason::Deadline } else { Reason::WaitedTooLong };
                gone.push((entry.ticket.unwrap(), reason));
                let index = self.list.iter().position(|it| it.ticket == entry.ticket);
                self.remove(now, index.unwrap());
            }
        }
    }

    fn push(&mut self, now: Monotonic, new: Entry, gone: &mut Gone) -> Result<(), Reason> {
        self.shed(now, gone);
        if new.deadline.is_some_and(|it| it.moment() <= now) {
            return Err(Reason::Deadline);
        }
        if self.list.len() as u32 >= self.options.queue {
            let least = self.list.iter().map(|entry| entry.priority).min().unwrap();
            let reason = if least < new.priority {
                Reason::Displaced
            } else if least == new.priority && self.overloaded {
                Reason::QueueFull
            } else {
                return Err(Reason::QueueFull);
            };
            let mut of_least = (0..self.list.len()).filter(|it| self.list[*it].priority == least);
            let index = if self.overloaded { of_least.next() } else { of_least.next_back() };
            gone.push((self.remove(now, index.unwrap()).ticket.unwrap(), reason));
        }
        self.list.push(new);
        self.look(now);
        Ok(())
    }

    fn pop(&mut self, now: Monotonic, gone: &mut Gone) -> Option<Ticket> {
        self.look(now);
        if self.list.is_empty() {
            self.overloaded = false;
            return None;
        }
        let mut taken = None;
        while let Some(index) = self.next() {
            let Entry { ticket, since, deadline, .. } = self.remove(now, index);
            if deadline.is_some_and(|it| it.moment() <= now) {
                gone.push((ticket.unwrap(), Reason::Deadline));
            } else if now - since >= self.options.interval {
                gone.push((ticket.unwrap(), Reason::WaitedTooLong));
            } else {
                taken = ticket;
                break;
            }
        }
        self.shed(now, gone);
        taken
    }
}

fn walk(options: Options, load: u32, seed: u64, steps: u32) -> u32 {
    let mut rng = Rng::with_seed(seed);
    let mut queue = Queue::new(&options).unwrap();
    let mut model = Model { options, list: Vec::new(), left: Vec::new(), overloaded: false };
    let (mut now, mut overloads) = (0, 0);
    for step in 0..steps {
        now += rng.u64(0..3);
        let context = || format!("seed {seed}, step {step}, at {now} ms");
        let (mut gone, mut expected) = (Gone::new(), Gone::new());
        let priority = rng.choice(Priority::ALL).unwrap();
        // Long phases of overload, and of spare capacity.
        let load = if step / 200 % 2 == 0 { load } else { 20 };
        match rng.u32(0..100) {
            roll if roll < load => {
                let deadline = rng.bool().then(|| by(now + rng.u64(0..60)));
                let new = Entry { ticket: None, priority, since: at(now), deadline };
                let told = |it: crate::shed::Thrown<u32>| gone.push((it.ticket, it.refused.reason));
                let pushed = queue.push(at(now), step, priority, deadline, told);
                let modelled = model.push(at(now), new, &mut expected);
                match pushed {
                    Ok(ticket) => {
                        assert_eq!(modelled, Ok(()), "{}", context());
                        model.list.last_mut().unwrap().ticket = Some(ticket);
                    }
                    Err((item, refused)) => {
                        let outcome = (step, Err(refused.reason));
                        assert_eq!((item, modelled), outcome, "{}", context());
                    }
                }
            }
            roll if roll < 95 => {
                let taken = queue.pop(at(now), |it| gone.push((it.ticket, it.refused.reason)));
                let taken = taken.map(|taken| taken.ticket);
                assert_eq!(taken, model.pop(at(now), &mut expected), "{}", context());
            }
            _ if !model.list.is_empty() => {
                model.look(at(now));
                let index = rng.usize(..model.list.len());
                let ticket = model.remove(at(now), index).ticket.unwrap();
                assert!(queue.cancel(at(now), ticket).is_some(), "{}", context());
            }
            _ => {}
        }
        assert_eq!(gone, expected, "{}", context());
        assert_eq!(queue.len() as usize, model.list.len(), "{}", context());
        assert_eq!(queue.is_overloaded(), model.overloaded, "{}", context());
        overloads += u32::from(queue.is_overloaded());
    }
    overloads
}

#[test]
fn a_million_random_steps_agree_with_the_model() {
    let options = Options { queue: 10, target: ms(3), interval: ms(15) };
    let overloads = walk(options, 60, 1, 1_000_000);
    assert!((100_000..900_000).contains(&overloads), "{overloads} steps under overload");
}

proptest! {
    #[test]
    fn any_queue_agrees_with_the_model(
        queue in 1_u32..20,
        target in 1_u64..10,
        interval in 1_u64..50,
        load in 10_u32..90,
        seed in any::<u64>(),
    ) {
        let options = Options { queue, target: ms(target), interval: ms(target + interval) };
        walk(options, load, seed, 400);
    }
}
