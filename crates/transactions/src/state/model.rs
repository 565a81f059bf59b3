//! All transitions in random order, against participants as they really are.

use proptest::prelude::*;

use super::tests::{SECOND, Saga, away, held, no, unknown};
use super::*;
use crate::event::Event;
use crate::{Finding, Input, Operator, Outcome};

/// What the world can do to a saga.
#[derive(Clone, Debug)]
enum Act {
    Answer(Answer),
    /// An answer to something that was asked before, or by somebody else.
    Stray(usize, bool, Answer),
    Signal(usize, bool),
    Cancel,
    Due(u16),
    Retry,
    Resolve(usize),
    Skip(usize),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Yes,
    No,
    Lost { done: bool },
    Away,
    Held,
}

fn act() -> impl Strategy<Value = Act> {
    let answer = || {
        prop_oneof![
            4 => Just(Answer::Yes),
            1 => Just(Answer::No),
            2 => any::<bool>().prop_map(|done| Answer::Lost { done }),
            2 => Just(Answer::Away),
            2 => Just(Answer::Held),
        ]
    };
    prop_oneof![
        12 => answer().prop_map(Act::Answer),
        3 => (0..5_usize, any::<bool>(), answer()).prop_map(|(s, u, a)| Act::Stray(s, u, a)),
        4 => (2..4_usize, prop::bool::weighted(0.8)).prop_map(|(s, yes)| Act::Signal(s, yes)),
        1 => Just(Act::Cancel),
        2 => (0..700_u16).prop_map(Act::Due),
        1 => Just(Act::Retry),
        1 => (0..5_usize).prop_map(Act::Resolve),
        1 => (0..5_usize).prop_map(Act::Skip),
    ]
}

/// The participants as they really are, whatever the saga believes.
#[derive(Default)]
struct World {
    /// Per step: whether it stands done. A key that was refused stays refused.
    done: [bool; 5],
    refused: [bool; 5],
    /// How often a step's compensation had its effect.
    undone: [u32; 5],
    /// The order in which steps were first done and undone.
    ledger: Vec<(usize, bool)>,
    /// Calls are under one key: they have been answered by an operator's word.
    overruled: [bool; 5],
}

impl World {
    /// Lets a request have its effect, once, as an idempotent participant does.
    fn ask(&mut self, task: Task, answer: Answer) -> Outcome {
        let step = task.step();
        let wants = matches!(answer, Answer::Yes | Answer::Lost { done: true });
        match task {
            Task::Call(_) => {
                if wants && !self.refused[step] && !self.done[step] && self.undone[step] == 0 {
                    self.done[step] = true;
                    self.ledger.push((step, true));
                }
                match answer {
                    Answer::Yes | Answer::No if self.done[step] || self.undone[step] > 0 => {
                        Outcome::done()
                    }
                    Answer::Yes | Answer::No => {
                        // Past the pivot a no is not for good.
                        self.refused[step] = step < 4;
                        no()
                    }
                    Answer::Lost { .. } => unknown(),
                    Answer::Away => away(),
                    Answer::Held => held(),
                }
            }
            Task::Compensate(_) => {
                if wants && self.undone[step] == 0 {
                    self.undone[step] += 1;
                    self.done[step] = false;
                    self.ledger.push((step, false));
                }
                match answer {
                    Answer::Yes | Answer::No if self.undone[step] > 0 => Outcome::done(),
                    Answer::Yes | Answer::No => no(),
                    Answer::Lost { .. } => unknown(),
                    Answer::Away => away(),
                    Answer::Held => held(),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: the saga never undoes what cannot have been done,
    /// undoes all that was done, in reverse, and nothing after the pivot; and once everybody
    /// answers it ends, with the world as its verdict says.
    #[test]
    fn the_world_agrees_with_the_verdict(acts in prop::collection::vec(act(), 0..40)) {
        const NAMES: [&str; 5] = ["reserve", "authorize", "find", "pick-up", "capture"];
        let mut saga = Saga::new();
        let mut world = World::default();
        let mut heal = 0;
        let mut acts = acts.into_iter();
        while !saga.status().is_final() || acts.len() > 0 {
            let act = acts.next().unwrap_or_else(|| {
                // The faults are over: everybody answers, and every signal comes.
                heal += 1;
                if saga.status() == Status::Waiting || saga.state.next(saga.now) == Next::Wait(None) {
                    Act::Signal(saga.state.definition().index(saga.state.step().unwrap().name()).unwrap(), true)
                } else {
                    Act::Answer(Answer::Yes)
                }
            });
            prop_assert!(heal < 50, "it does not end: {:?}", saga.state);
            let was_past_pivot = saga.state.is_past_pivot();
            let before = saga.status();
            let kinds = match act {
                Act::Answer(answer) => {
                    if let Next::Wait(Some(until)) = saga.state.next(saga.now) {
                        saga.now = saga.now.max(until);
                    }
                    let Some(task) = saga.task() else { continue };
                    if let Task::Compensate(step) = task {
                        prop_assert!(!was_past_pivot, "undone after the pivot");
                        let done_before = world.done[step];
                        let may = done_before
                            || world.undone[step] > 0
                            || world.overruled[step]
                            || saga.state.progress(NAMES[step]) == Some(Progress::MayBeDone);
                        prop_assert!(may, "{} was never done", NAMES[step]);
                    }
                    let outcome = world.ask(task, answer);
                    saga.answer_to(task, outcome)
                }
                Act::Stray(step, undo, answer) => {
                    // Only what has been asked can be answered.
                    let asked = world.ledger.contains(&(step, !undo)) || world.refused[step] && !undo;
                    let task = if undo { Task::Compensate(step) } else { Task::Call(step) };
                    let is_wait = !saga.state.definition().steps()[step].is_call();
                    if !asked || is_wait && !undo { continue }
                    let outcome = world.ask(task, answer);
                    saga.answer_to(task, outcome)
                }
                // Nobody picks up what nobody was found for.
                Act::Signal(3, _) if saga.state.step().is_none_or(|step| step.name() != "pick-up") => continue,
                Act::Signal(step, yes) => {
                    if yes && !world.refused[step] && world.undone[step] == 0 {
                        if !world.done[step] {
                            // The domain lets nothing happen to an order that is being undone.
                            if saga.state.fault().is_some() { continue }
                            world.done[step] = true;
                            world.ledger.push((step, true));
                        }
                        saga.signal(NAMES[step])
                    } else if !world.done[step] && world.undone[step] == 0 && !was_past_pivot {
                        world.refused[step] = true;
                        saga.refuse(NAMES[step])
                    } else {
                        continue
                    }
                }
                Act::Cancel => saga.cancel(),
                Act::Due(seconds) => saga.due_in(SECOND * u32::from(seconds)),
                Act::Retry => saga.take(Input::Operator(Operator::Retry { by: "kim".into() })),
                Act::Resolve(step) => {
                    // An operator who tells the truth.
                    let finding =
                        if world.done[step] { Finding::Done(Json::null()) } else { Finding::NotDone };
                    let kinds = saga.resolve(NAMES[step], finding.clone());
                    if !kinds.is_empty() && finding == Finding::NotDone {
                        // And sees to it that it stays true.
                        world.refused[step] = true;
                    }
                    kinds
                }
                Act::Skip(step) => {
                    let kinds = saga.skip(NAMES[step]);
                    if !kinds.is_empty() {
                        world.overruled[step] = true;
                    }
                    kinds
                }
            };
            let after = saga.status();
            if before == Status::Unknown && matches!(after, Status::Compensating | Status::Compensated) {
                // Somebody has said so; it was not assumed.
                let said = kinds.iter().any(|kind| matches!(*kind, "succeeded" | "refused"));
                prop_assert!(said, "{kinds:?}");
            }
            prop_assert!(!was_past_pivot || saga.state.is_past_pivot());
            prop_assert!(kinds.iter().filter(|kind| **kind == "waiting").count() <= 1);
        }
        match saga.status() {
            Status::Completed => {
                for (step, name) in NAMES.iter().enumerate() {
                    prop_assert!(world.done[step] || world.overruled[step], "{name} is missing");
                }
            }
            Status::Compensated => {
                for (step, name) in NAMES.iter().enumerate().take(3) {
                    prop_assert!(!world.done[step] || world.overruled[step], "{name} is left over");
                    prop_assert!(world.undone[step] <= 1);
                }
                prop_assert!(!world.done[4], "captured");
            }
            other => prop_assert!(false, "{other}"),
        }
        // In reverse: what was done later is undone earlier, except what turned out late.
        let late = saga.records.iter().flatten().any(|event| event.kind() == "gave_up");
        if !late {
            let place = |step, done| world.ledger.iter().position(|entry| *entry == (step, done));
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                if let (Some(da), Some(db), Some(ua), Some(ub)) =
                    (place(a, true), place(b, true), place(a, false), place(b, false))
                {
                    let order = saga.records.iter().flatten()
                        .filter_map(|event| match event {
                            Event::Succeeded { step, .. } => Some(step.as_ref()),
                            _ => None,
                        })
                        .collect::<Vec<_>>();
                    let (na, nb) = (order.iter().position(|s| *s == NAMES[a]), order.iter().position(|s| *s == NAMES[b]));
                    let first_is_a = match (na, nb) { (Some(x), Some(y)) => x < y, _ => da < db };
                    prop_assert_eq!(first_is_a, ub < ua, "{:?}", world.ledger);
                }
            }
        }
    }
}
