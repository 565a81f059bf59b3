//! The machine against obvious models.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::*;
use crate::port::{Entry, Listing, SessionId};

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

fn name(number: u8) -> Name {
    Name::new(format!("m{number}")).unwrap()
}

fn entry(token: u64, value: Vec<u8>) -> Entry {
    let token = FencingToken::new(token).unwrap();
    Entry { token, session: SessionId(token.get()), mode: Mode::Shared, value }
}

fn member(token: u64, number: u8, beat: u64) -> Entry {
    entry(token, Beat::encode(&name(number), beat, b"v"))
}

fn listing(entries: Vec<Entry>) -> Listing {
    Listing { version: 0, entries }
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn roster() -> Roster<Missed> {
    Roster::new(Missed::beats(3, SECOND))
}

#[test]
fn silence_is_suspected_and_a_beat_is_trusted() {
    let mut roster = roster();
    let changes = roster.see(at(0), &listing(vec![member(1, 1, 0), member(2, 2, 0)]));
    assert_eq!(words(&changes), ["m1 joined (1)", "m2 joined (2)"]);
    assert_eq!(roster.see(at(3_000), &listing(vec![member(1, 1, 1), member(2, 2, 0)])), []);
    let due = roster.due().unwrap();
    assert_eq!(due, at(3_500) + Duration::from_nanos(1));
    assert_eq!(roster.tick(at(3_500)), []);
    assert_eq!(words(&roster.tick(due)), ["m2 suspected"]);
    assert!(roster.members()[&name(2)].is_suspected);
    assert_eq!(roster.tick(due), []);
    let changes = roster.see(at(4_000), &listing(vec![member(1, 1, 2), member(2, 2, 1)]));
    assert_eq!(words(&changes), ["m2 trusted again"]);
    assert_eq!(words(&roster.see(at(4_100), &listing(vec![member(1, 1, 2)]))), ["m2 left (2)"]);
}

#[test]
fn a_new_life_ends_the_old_one_even_while_that_is_still_listed() {
    let mut roster = roster();
    roster.see(at(0), &listing(vec![member(1, 1, 7)]));
    let both = listing(vec![member(1, 1, 7), member(5, 1, 0)]);
    assert_eq!(words(&roster.see(at(10), &both)), ["m1 left (1)", "m1 joined (5)"]);
    // The old one's end is no news, and its beats are nobody's.
    assert_eq!(roster.see(at(20), &listing(vec![member(5, 1, 0)])), []);
    assert_eq!(roster.see(at(20), &listing(vec![member(1, 1, 8), member(5, 1, 0)])), []);
}

#[test]
fn what_is_no_member_is_told_once_and_left_alone() {
    let mut roster = roster();
    let mixed = listing(vec![entry(1, b"process 7".to_vec()), member(2, 1, 0)]);
    let changes = roster.see(at(0), &mixed);
    assert_eq!(words(&changes), ["the entry 1 is no member's", "m1 joined (2)"]);
    assert_eq!(roster.see(at(1), &mixed), []);
    assert_eq!(roster.members().len(), 1);
}

#[test]
fn who_could_not_see_suspects_nobody() {
    let all = |beat| listing((1..=3).map(|n| member(n.into(), n, beat)).collect());
    let mut roster = roster();
    roster.see(at(0), &all(0));
    roster.see(at(1_000), &all(1));
    assert_eq!(words(&roster.blind("no answer")), ["cannot be seen: no answer"]);
    assert_eq!((roster.blind("still"), roster.tick(at(60_000))), (vec![], vec![]));
    assert!(!roster.overdue(at(60_000)) && roster.due().is_none());
    assert_eq!(words(&roster.see(at(61_000), &all(1))), ["can be seen again"]);
    assert_eq!(roster.tick(at(64_500)), []);
    let due = roster.due().unwrap();
    assert!(roster.overdue(due));
    assert_eq!(roster.tick(due).len(), 3);
}

#[test]
fn who_looks_once_more_is_not_misled_by_its_own_stall() {
    let both = |beat| listing(vec![member(1, 1, 0), member(2, 2, beat)]);
    let mut roster = roster();
    roster.see(at(0), &both(0));
    // This process stood still for a minute; the entries say who beat meanwhile, and who did not.
    assert!(roster.overdue(at(60_000)));
    assert_eq!(words(&roster.see(at(60_010), &both(58))), ["m1 suspected"]);
}

/// What can happen to a group between two looks at it.
#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Beat(u8),
    Say(u8, u8),
    Leave(u8),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..5).prop_map(Step::Join),
        (0_u8..5).prop_map(Step::Beat),
        (0_u8..5, any::<u8>()).prop_map(|(n, value)| Step::Say(n, value)),
        (0_u8..5).prop_map(Step::Leave),
        (0_u16..2_500).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whoever follows the events knows what the listing says, and who is silent.
    #[test]
    fn the_events_add_up(steps in prop::collection::vec((step(), any::<bool>()), 0..120)) {
        let mut roster = roster();
        // The world: by token, who, beat, value, and when the last beat was seen.
        let mut world: BTreeMap<u64, (u8, u64, u8, u64)> = BTreeMap::new();
        let (mut next, mut now) = (1_u64, 0_u64);
        // What the follower knows: by name, incarnation, value, suspected.
        let mut known: BTreeMap<Name, (u64, Vec<u8>, bool)> = BTreeMap::new();
        // The highest life of each that was told: those before it are over.
        let mut highest: BTreeMap<Name, u64> = BTreeMap::new();
        for (step, looks) in steps {
            let life = |world: &BTreeMap<u64, (u8, u64, u8, u64)>, who: u8| {
                world.iter().rev().find(|(_, m)| m.0 == who).map(|(token, _)| *token)
            };
            let mut changes = Vec::new();
            match step {
                Step::Join(who) => {
                    world.insert(next, (who, 0, 0, now));
                    next += 1;
                }
                Step::Beat(who) | Step::Say(who, _) => {
                    if let Some(m) = life(&world, who).and_then(|token| world.get_mut(&token)) {
                        m.1 += 1;
                        if let Step::Say(_, value) = step {
                            m.2 = value;
                        }
                    }
                }
                Step::Leave(who) => {
                    if let Some(token) = life(&world, who) {
                        world.remove(&token);
                    }
                }
                Step::Pass(millis) => {
                    // As a shell does: a tick at each moment that is due.
                    let end = now + u64::from(millis);
                    while let Some(due) = roster.due().filter(|due| *due <= at(end)) {
                        changes.extend(roster.tick(due));
                    }
                    now = end;
                }
            }
            if looks {
                let entry = |(token, m): (&u64, &(u8, u64, u8, u64))| {
                    entry(*token, Beat::encode(&name(m.0), m.1, &[m.2]))
                };
                changes.extend(roster.see(at(now), &listing(world.iter().map(entry).collect())));
            }
            for change in changes {
                match change {
                    Change::Joined { member, incarnation, value } => {
                        let last = highest.insert(member.clone(), incarnation.get());
                        prop_assert!(last < Some(incarnation.get()), "a life that was over");
                        let before = known.insert(member, (incarnation.get(), value, false));
                        prop_assert!(before.is_none(), "joined twice");
                    }
                    Change::Updated { member, value } => known.get_mut(&member).unwrap().1 = value,
                    Change::Suspected { member, incarnation } => {
                        let known = known.get_mut(&member).unwrap();
                        prop_assert_eq!((known.0, known.2), (incarnation.get(), false));
                        known.2 = true;
                    }
                    Change::Trusted { member, incarnation } => {
                        let known = known.get_mut(&member).unwrap();
                        prop_assert_eq!((known.0, known.2), (incarnation.get(), true));
                        known.2 = false;
                    }
                    Change::Left { member, incarnation } => {
                        let before = known.remove(&member);
                        prop_assert_eq!(before.map(|known| known.0), Some(incarnation.get()));
                    }
                    Change::Foreign { .. } | Change::Blind { .. } | Change::Sighted => {
                        prop_assert!(false, "{change:?}");
                    }
                }
            }
            if looks {
                let mut expected: BTreeMap<Name, (u64, Vec<u8>)> = BTreeMap::new();
                for (token, m) in &world {
                    if highest.get(&name(m.0)).is_some_and(|highest| token < highest) {
                        continue;
                    }
                    expected.insert(name(m.0), (*token, vec![m.2]));
                }
                let told = known.iter().map(|(n, k)| (n.clone(), (k.0, k.1.clone()))).collect();
                prop_assert_eq!(expected, told);
            }
            let members = roster.members();
            prop_assert_eq!(members.len(), known.len());
            for (member, peer) in members {
                let known = &known[member];
                prop_assert_eq!((peer.incarnation.get(), peer.is_suspected), (known.0, known.2));
            }
        }
    }

    /// Suspected is who was not heard for longer than three beats and a half, as seen by whoever
    /// looks all the time.
    #[test]
    fn suspicion_is_the_silence(gaps in prop::collection::vec(1_u64..6_000, 1..40)) {
        let mut roster = roster();
        roster.see(at(0), &listing(vec![member(1, 1, 0)]));
        let (mut now, mut beat) = (0, 0);
        for gap in gaps {
            let mut suspected = 0;
            while let Some(due) = roster.due().filter(|due| *due < at(now + gap)) {
                suspected += roster.tick(due).len();
            }
            prop_assert_eq!(suspected, usize::from(gap > 3_500), "a silence of {} ms", gap);
            (now, beat) = (now + gap, beat + 1);
            let changes = roster.see(at(now), &listing(vec![member(1, 1, beat)]));
            prop_assert_eq!(changes.len(), usize::from(gap > 3_500));
        }
    }
}
