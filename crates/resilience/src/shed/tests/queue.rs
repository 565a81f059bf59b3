//! The queue's rules, one by one.

use super::*;
use crate::shed::{Options, Priority, Queue, Reason, Thrown};

use Priority::{Background, Critical, Normal};

fn queue(length: u32) -> Queue<u32> {
    Queue::new(&Options { queue: length, ..Options::default() }).unwrap()
}

fn none<T: std::fmt::Debug>(thrown: Thrown<T>) {
    panic!("{thrown:?}")
}

/// A queue that has been above its target for so long that it is overloaded at 200 ms.
fn overloaded(length: u32) -> Queue<u32> {
    let mut queue = queue(length);
    for now in (0..=200).step_by(10) {
        if now >= 20 {
            queue.pop(at(now), |_| {}).unwrap();
        }
        queue.push(at(now), 0, Normal, None, none).unwrap();
    }
    while !queue.is_empty() {
        queue.pop(at(200), none).unwrap();
    }
    assert!(queue.is_overloaded() && queue.is_empty());
    queue
}

fn items(thrown: &[Thrown<u32>]) -> Vec<(u32, Reason)> {
    thrown.iter().map(|thrown| (thrown.item, thrown.refused.reason)).collect()
}

#[test]
fn first_come_first_served_while_all_is_well_whatever_the_priority() {
    let mut queue = queue(9);
    for (item, priority) in [(1, Background), (2, Critical), (3, Normal)] {
        queue.push(at(u64::from(item)), item, priority, None, none).unwrap();
    }
    let order = [(); 3].map(|()| queue.pop(at(9), none).map(|taken| taken.item));
    assert_eq!(order, [Some(1), Some(2), Some(3)]);
    assert_eq!(queue.pop(at(9), none), None);
}

#[test]
fn under_overload_the_most_important_first_and_of_those_the_newest() {
    let mut queue = overloaded(9);
    let rows = [(1, Normal), (2, Critical), (3, Background), (4, Critical), (5, Normal)];
    for (item, priority) in rows {
        queue.push(at(200 + u64::from(item)), item, priority, None, none).unwrap();
    }
    let order = [(); 5].map(|()| queue.pop(at(206), none).map(|taken| taken.item));
    assert_eq!(order, [4, 2, 5, 1, 3].map(Some));
    assert!(queue.is_overloaded(), "it was emptied, not found empty");
    assert_eq!(queue.pop(at(206), none), None);
    assert!(!queue.is_overloaded());
}

#[test]
fn under_overload_what_waits_longer_than_the_target_goes_but_not_what_is_next() {
    let mut queue = overloaded(9);
    let mut thrown = Vec::new();
    for (item, priority) in [(1, Normal), (2, Critical), (3, Background), (4, Normal)] {
        let now = at(200 + u64::from(item));
        queue.push(now, item, priority, None, |it| thrown.push(it)).unwrap();
    }
    let taken = queue.pop(at(220), |it| thrown.push(it)).unwrap();
    assert_eq!((taken.item, taken.waited), (2, ms(18)), "critical work is kept");
    let long = Reason::WaitedTooLong;
    assert_eq!(items(&thrown), [(3, long), (1, long)], "4 is next, and stays");
    assert_eq!(thrown[0].refused.to_string(), "background work after waiting 17 ms: overloaded");
    assert_eq!(thrown[0].refused.retry_after, ms(100));
    assert_eq!(queue.pop(at(230), none).unwrap().item, 4, "a free worker never goes without");
}

#[test]
fn nothing_waits_past_its_deadline_or_for_longer_than_the_interval() {
    let mut queue = queue(9);
    let (item, refused) = queue.push(at(5), 0, Normal, Some(by(5)), none).unwrap_err();
    assert_eq!((item, refused.reason), (0, Reason::Deadline));
    queue.push(at(0), 1, Normal, Some(by(10)), none).unwrap();
    queue.push(at(0), 2, Critical, None, none).unwrap();
    queue.push(at(1), 3, Normal, None, none).unwrap();
    queue.push(at(2), 4, Normal, Some(by(50)), none).unwrap();
    let mut thrown = Vec::new();
    let taken = queue.pop(at(100), |it| thrown.push(it)).unwrap();
    assert_eq!(taken.item, 3);
    assert_eq!(items(&thrown), [(1, Reason::Deadline), (2, Reason::WaitedTooLong)]);
    thrown.clear();
    queue.expire(at(100), |it| thrown.push(it));
    assert_eq!(items(&thrown), [(4, Reason::Deadline)]);
    assert!(queue.is_empty());
}

#[test]
fn a_full_queue_makes_room_for_what_is_more_important() {
    let mut queue = queue(3);
    for (item, priority) in [(1, Normal), (2, Background), (3, Background)] {
        queue.push(at(0), item, priority, None, none).unwrap();
    }
    let (_, refused) = queue.push(at(1), 4, Background, None, none).unwrap_err();
    assert_eq!(refused.to_string(), "background work after waiting 0 µs: the queue is full");
    let mut thrown = Vec::new();
    for (item, priority) in [(5, Critical), (6, Normal), (7, Critical)] {
        queue.push(at(1), item, priority, None, |it| thrown.push(it)).unwrap();
    }
    // The newest of the least important, which would have been served last.
    assert_eq!(items(&thrown), [3, 2, 6].map(|item| (item, Reason::Displaced)));
    let (_, refused) = queue.push(at(1), 8, Normal, None, none).unwrap_err();
    assert_eq!((refused.reason, refused.waiting), (Reason::QueueFull, 3));
    // Critical work makes room for nothing but newer critical work, under overload.
    queue.push(at(1), 9, Critical, None, |it| thrown.push(it)).unwrap();
    assert_eq!(items(&thrown)[3], (1, Reason::Displaced));
    assert!(queue.push(at(1), 10, Critical, None, none).is_err());
}

#[test]
fn under_overload_a_full_queue_makes_room_for_what_is_newer() {
    let mut queue = overloaded(2);
    let mut thrown = Vec::new();
    for item in 1..=3 {
        queue.push(at(201), item, Normal, None, |it| thrown.push(it)).unwrap();
    }
    assert_eq!(items(&thrown), [(1, Reason::QueueFull)], "the oldest, which is last in line");
    let (_, refused) = queue.push(at(201), 4, Background, None, none).unwrap_err();
    assert_eq!(refused.reason, Reason::QueueFull);
}

#[test]
fn whoever_has_gone_leaves_at_once() {
    let mut queue = queue(1);
    let ticket = queue.push(at(0), 1, Normal, None, none).unwrap();
    assert_eq!(queue.cancel(at(1), ticket), Some(1));
    assert_eq!((queue.cancel(at(1), ticket), queue.give_up(ticket, at(1))), (None, None));
    assert!(queue.push(at(1), 2, Normal, None, none).is_ok());
}
