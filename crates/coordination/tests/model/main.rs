//! Every interleaving of a lease, its holders, the network and the storage, up to a bound.
//!
//! What is checked by hand-picked or random runs elsewhere is checked here in all of them: two
//! clients, a server, a storage, messages that are lost, delayed and overtake each other, clients
//! that stop between any two steps, clocks that run slow. The model has the protocol's rules and
//! nothing of its shell; the fence is the real one, `HighWater`.
//!
//! Three claims, each with a twin in which the protection is off and the checker must find a way:
//!
//! 1. With the fence, no write of a replaced holder changes the storage, whatever happens.
//! 2. A holder that counts from the sending of its request and stops a margin early is, by its own
//!    clock, never a holder beside another, as long as clocks drift within the bound.
//! 3. Some execution gets both clients' writes in: the model is not safe by doing nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

mod lease;

use stateright::{Checker, Model};

use lease::{Fence, Lease};

const STALE: &str = "no stale write";
const TWO: &str = "at most one believes";
const BOTH: &str = "both have written";

fn check(model: Lease) -> impl Checker<Lease> {
    model.checker().spawn_bfs().join()
}

#[test]
fn with_the_fence_no_stale_write_gets_in_and_within_its_margin_a_holder_is_alone() {
    let checked = check(Lease::default());
    assert!(checked.unique_state_count() > 50_000, "only {}", checked.unique_state_count());
    assert!(checked.discovery(STALE).is_none(), "{:?}", checked.discovery(STALE));
    assert!(checked.discovery(TWO).is_none(), "{:?}", checked.discovery(TWO));
    assert!(checked.discovery(BOTH).is_some(), "nobody gets anything done");
}

#[test]
fn without_the_fence_a_counter_example_is_found() {
    let checked = check(Lease { fence: Fence::None, ..Lease::default() });
    let path = checked.discovery(STALE).expect("the fence is not what protects the storage");
    println!("a stale write without the fence, step by step:");
    for action in path.into_actions() {
        println!("  {action:?}");
    }
}

#[test]
fn a_fence_that_wants_equal_tokens_lets_nobody_follow() {
    // As in etcd's own example: the storage refuses whoever does not have the token it knows.
    let checked = check(Lease { fence: Fence::Equal, ..Lease::default() });
    assert!(checked.discovery(BOTH).is_none(), "{:?}", checked.discovery(BOTH));
}

#[test]
fn without_a_margin_drift_makes_two_holders() {
    let checked = check(Lease { margin: 0, ..Lease::default() });
    assert!(checked.discovery(TWO).is_some(), "the margin is not what covers the drift");
}

#[test]
fn counting_from_the_answer_makes_two_holders() {
    let checked = check(Lease { count_from_answer: true, ..Lease::default() });
    assert!(checked.discovery(TWO).is_some(), "it does not matter from where a holder counts");
}

#[test]
fn even_then_the_fence_holds() {
    let careless = Lease { margin: 0, count_from_answer: true, ..Lease::default() };
    let checked = check(careless);
    assert!(checked.discovery(STALE).is_none(), "{:?}", checked.discovery(STALE));
}
