//! The way in for many threads: the same rules, and nothing lost when somebody goes away.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;
use futures::task::noop_waker_ref;
use steadfast_time::sim::{DEFAULT_START, SimClock};

use super::*;
use crate::Refusal;
use crate::limit::{self, Algorithm, Bounds, Changed};
use crate::shed::{Concurrency, Enter, Gate, Options, Permit, Priority, Queue, Reason, Refused};

fn poll(enter: &mut Enter) -> Poll<Result<Permit, Refused>> {
    let outcome = Pin::new(enter).poll(&mut Context::from_waker(noop_waker_ref()));
    outcome.map_err(|refusal| match refusal {
        Refusal::Shed(refused) => refused,
        other => panic!("{other:?}"),
    })
}

fn gate(concurrency: Concurrency, options: Options) -> (SimClock, Arc<Gate>) {
    let clock = SimClock::starting_at(DEFAULT_START);
    let gate = Gate::new(&concurrency, &options, clock.clock(), Rng::with_seed(1)).unwrap();
    (clock, Arc::new(gate))
}

/// Random steps on the gate and on the queue with a counter beside it: same choices, same reasons.
#[test]
fn it_is_the_queue() {
    const LIMIT: usize = 3;
    let options = Options { queue: 6, target: ms(3), interval: ms(20) };
    let (clock, gate) = gate(Concurrency::Fixed(LIMIT as u32), options);
    let mut queue = Queue::new(&options).unwrap();
    let mut rng = Rng::with_seed(3);
    let (mut permits, mut waiting, mut overloads) = (Vec::new(), Vec::new(), 0);
    for step in 0..100_000 {
        clock.advance(ms(rng.u64(0..3)));
        let now = clock.clock().monotonic();
        let context = || format!("step {step}, at {now:?}");
        // Everybody looks whose own time is over.
        let mut gone = Vec::new();
        waiting.retain_mut(|(ticket, enter)| match poll(enter) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                let expected = queue.give_up(*ticket, now).unwrap().refused;
                assert_eq!(outcome.unwrap_err(), expected, "{}", context());
                false
            }
        });
        // A burst now and then, and then time to breathe.
        let busy = step / 300 % 2 == 0;
        match rng.u32(0..10) {
            roll if roll < if busy { 7 } else { 3 } => {
                let deadline = rng.bool().then(|| Deadline::within(now, ms(rng.u64(1..30))));
                let priority = rng.choice(Priority::ALL).unwrap();
                let mut enter = gate.enter_owned(priority, deadline);
                let entered = poll(&mut enter);
                if permits.len() < LIMIT && queue.is_empty() {
                    permits.push(entered.map(Result::unwrap));
                } else {
                    let note = |it: crate::shed::Thrown<()>| gone.push((it.ticket, it.refused));
                    match (queue.push(now, (), priority, deadline, note), entered) {
                        (Ok(ticket), Poll::Pending) => waiting.push((ticket, enter)),
                        (Err(((), one)), Poll::Ready(Err(other))) => {
                            assert_eq!(one, other, "{}", context());
                        }
                        (one, other) => panic!("{}: {one:?}, but {other:?}", context()),
                    }
                }
            }
            roll if roll < 9 && !permits.is_empty() => {
                drop(permits.swap_remove(rng.usize(..permits.len())));
                let next = queue.pop(now, |it| gone.push((it.ticket, it.refused)));
                if let Some(next) = next {
                    let place = waiting.iter().position(|(it, _)| *it == next.ticket).unwrap();
                    let (_, mut enter) = waiting.remove(place);
                    permits.push(poll(&mut enter).map(Result::unwrap));
                }
            }
            9 if !waiting.is_empty() => {
                let (ticket, _) = waiting.swap_remove(rng.usize(..waiting.len()));
                assert!(queue.cancel(now, ticket).is_some(), "{}", context());
            }
            _ => {}
        }
        // Those who were thrown away for others.
        for (ticket, refused) in gone {
            let place = waiting.iter().position(|(it, _)| *it == ticket).unwrap();
            let (_, mut enter) = waiting.remove(place);
            let Poll::Ready(Err(told)) = poll(&mut enter) else { panic!("{}", context()) };
            assert_eq!(told, refused, "{}", context());
        }
        assert!(permits.iter().all(Poll::is_ready), "{}", context());
        let figures = (gate.in_flight() as usize, gate.waiting());
        assert_eq!(figures, (permits.len(), queue.len()), "{}", context());
        overloads += u32::from(gate.is_overloaded());
        if gate.waiting() > 0 {
            assert_eq!(gate.is_overloaded(), queue.is_overloaded(), "{}", context());
        }
    }
    assert!(overloads > 10_000, "{overloads} steps under overload");
    drop((waiting, permits));
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
    assert_eq!(clock.next_wake(), None, "a timer was left behind");
}

const ONE: Options = Options { queue: 4, target: ms(5), interval: ms(100) };

#[test]
fn who_went_away_after_it_was_given_a_place_gives_it_on() {
    let (_, gate) = gate(Concurrency::Fixed(1), ONE);
    let held = gate.try_enter_owned().unwrap();
    let [mut first, mut second] = [(); 2].map(|()| gate.enter_owned(Priority::Normal, None));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(held);
    drop(first);
    let Poll::Ready(Ok(permit)) = poll(&mut second) else { panic!("the place was lost") };
    drop(permit);
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[test]
fn a_limit_that_rises_lets_in_who_waits_and_one_that_falls_throws_nobody_out() {
    let bounds = Bounds { initial: 2, min: 1, max: 9 };
    let algorithm = Algorithm::Aimd(limit::aimd::Options::default());
    let limit = limit::Options { algorithm, bounds, window: Duration::ZERO, samples: 1 };
    let (_, gate) = gate(Concurrency::Adaptive(limit), ONE);
    let [first, second] = [(); 2].map(|()| gate.try_enter_owned().unwrap());
    let mut waits: Vec<_> = (0..3).map(|_| gate.enter_owned(Priority::Normal, None)).collect();
    assert!(waits.iter_mut().all(|enter| poll(enter).is_pending()));
    assert_eq!(first.success(at(1), ms(1)), Some(Changed { from: 2, to: 3 }));
    // Its own place, and the one more.
    let mut entered = Vec::new();
    for enter in waits.iter_mut().take(2) {
        let Poll::Ready(Ok(permit)) = poll(enter) else { panic!("nobody told it") };
        entered.push(permit);
    }
    assert!(poll(&mut waits[2]).is_pending());
    assert_eq!(second.dropped(at(2), ms(1)), Some(Changed { from: 3, to: 2 }));
    assert_eq!((gate.in_flight(), gate.limit(), gate.waiting()), (2, 2, 1));
    // The permit's place went to the one who waits before the limit fell, or to nobody.
    entered.pop().unwrap().ignored();
    assert!(matches!(poll(&mut waits[2]), Poll::Ready(Ok(_))));
}

#[test]
fn waiting_ends_with_the_deadline_or_the_interval() {
    let (clock, gate) = gate(Concurrency::Fixed(1), ONE);
    let _held = gate.try_enter_owned().unwrap();
    let mut enters = [Some(by(50)), None].map(|it| gate.enter_owned(Priority::Critical, it));
    assert!(enters.iter_mut().all(|enter| poll(enter).is_pending()));
    clock.advance(ms(50));
    let Poll::Ready(Err(refused)) = poll(&mut enters[0]) else { panic!() };
    assert_eq!((refused.reason, refused.waited), (Reason::Deadline, ms(50)));
    clock.advance(ms(50));
    let Poll::Ready(Err(refused)) = poll(&mut enters[1]) else { panic!() };
    assert_eq!((refused.reason, refused.waited), (Reason::WaitedTooLong, ms(100)));
    let Poll::Ready(Err(refused)) = poll(&mut gate.enter_owned(Priority::Normal, Some(by(99))))
    else {
        panic!()
    };
    assert_eq!((refused.reason, refused.waited), (Reason::Deadline, ms(0)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let clock = SimClock::starting_at(DEFAULT_START).clock();
    let new = |concurrency| {
        Gate::new(&concurrency, &ONE, clock.clone(), Rng::with_seed(1)).unwrap_err().key
    };
    assert_eq!(new(Concurrency::Fixed(0)), "concurrency");
    let wrong = limit::Options { samples: 0, ..limit::Options::default() };
    assert_eq!(new(Concurrency::Adaptive(wrong)), "concurrency.samples");
}
