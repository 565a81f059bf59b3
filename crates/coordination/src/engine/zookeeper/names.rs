//! What nodes are called, and what order their names tell. No I/O.
//!
//! A queue is the node `<root>/q/<escaped name>`; an entry is a sequential node below it, called
//! `<mode>-<entry id>-<sequence>`. The id is there because an answer can be lost: whoever does not
//! know whether its node was made looks for its id. The sequence gives the order of making.
//!
//! # The sequence wraps
//! It is a 32-bit number that counts how often the queue's children have changed, so that after
//! 2³¹ changes it goes on below zero. Fencing tokens are therefore `czxid`s, 64-bit numbers of
//! transactions. For the order *within* a queue the sequence will do, read as serial numbers are
//! (RFC 1982): all that are there at one time lie within 2³¹ of each other, so the difference has
//! the right sign even across the wrap. That saves reading every entry to learn its `czxid`.

use steadfast_time::Uuid;

use crate::port::{EntryId, Mode, Name};

/// Writes a name so that ZooKeeper takes it as one node: everything but visible ASCII is encoded,
/// and so are the slash, the percent sign, and a dot at the beginning (`.` and `..` are no names).
pub(super) fn escape(name: &Name) -> String {
    let mut escaped = String::with_capacity(name.as_str().len());
    for (at, byte) in name.as_str().bytes().enumerate() {
        let plain = byte.is_ascii_graphic() && !matches!(byte, b'/' | b'%');
        if plain && !(at == 0 && byte == b'.') {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }
    escaped
}

/// The name that was written so; `None` when it is none of ours.
pub(super) fn unescape(escaped: &str) -> Option<Name> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push((value(digits[0])? << 4) | value(digits[1])?);
        rest = after;
    }
    let name = Name::new(String::from_utf8(bytes).ok()?).ok()?;
    // One name is written in one way only; another way is somebody else's node.
    (escape(&name) == escaped).then_some(name)
}

/// A node in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// What it is called.
    pub(super) node: String,
    /// Whom it waits for.
    pub(super) mode: Mode,
    /// Whose it is.
    pub(super) id: EntryId,
    sequence: i64,
}

/// How the node of an entry begins; ZooKeeper puts the sequence behind it.
pub(super) fn prefix(mode: Mode, id: EntryId) -> String {
    let mode = match mode {
        Mode::Exclusive => 'x',
        Mode::Shared => 's',
    };
    format!("{mode}-{}-", id.simple())
}

/// Reads a node's name; `None` when it is none of ours.
fn parse(node: String) -> Option<Child> {
    let mode = match node.get(..2)? {
        "x-" => Mode::Exclusive,
        "s-" => Mode::Shared,
        _ => return None,
    };
    let id = Uuid::try_parse(node.get(2..34)?).ok()?;
    let sequence = node.get(34..)?.strip_prefix('-')?.parse().ok()?;
    Some(Child { node, mode, id, sequence })
}

/// The entries among a queue's nodes, in the order in which they were made.
pub(super) fn in_order(nodes: Vec<String>) -> Vec<Child> {
    let mut children: Vec<Child> = nodes.into_iter().filter_map(parse).collect();
    let Some(first) = children.first().map(|child| child.sequence) else {
        return children;
    };
    // Any of them will do as the point from which the distance is measured.
    children.sort_by_key(|child| distance(child.sequence, first));
    children
}

/// How far one sequence is after another. Later versions of ZooKeeper count in 64 bits.
fn distance(sequence: i64, from: i64) -> i64 {
    match (i32::try_from(sequence), i32::try_from(from)) {
        (Ok(sequence), Ok(from)) => i64::from(sequence.wrapping_sub(from)),
        _ => sequence.wrapping_sub(from),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nodes_are_called_so_that_zookeeper_takes_them() {
        let escaped = |name: &str| escape(&Name::new(name).unwrap());
        assert_eq!(escaped("zone/7"), "zone%2f7");
        assert_eq!(escaped("."), "%2e");
        assert_eq!(escaped(".."), "%2e.");
        assert_eq!(escaped("a.b 100%"), "a.b%20100%25");
        assert_eq!(escaped("강"), "%ea%b0%95");
        for foreign in ["a b", "%2F", "%zz", "%2", "%61", "", "%ff"] {
            assert_eq!(unescape(foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn escaping_can_be_undone_and_no_two_names_are_written_alike(
            one in "\\PC{1,60}", other in "\\PC{1,60}"
        ) {
            let (one, other) = (Name::new(one).unwrap(), Name::new(other).unwrap());
            prop_assert_eq!(unescape(&escape(&one)), Some(one.clone()));
            prop_assert_eq!(escape(&one) == escape(&other), one == other);
            let escaped = escape(&one);
            prop_assert!(escaped.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
        }

        #[test]
        fn the_order_is_that_of_making_wherever_the_sequence_is(
            start in any::<i32>(), steps in prop::collection::vec(1_u32..1_000_000, 1..40), seed: u64
        ) {
            let mut sequence = start;
            let mut made = Vec::new();
            for step in steps {
                // Java counts on below zero after its largest number, and prints so.
                sequence = sequence.wrapping_add_unsigned(step);
                let id = Uuid::from_u128(made.len() as u128);
                made.push(format!("{}{sequence:010}", prefix(Mode::Shared, id)));
            }
            let mut listed = made.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut listed);
            let ordered = in_order(listed).into_iter().map(|child| child.node);
            prop_assert_eq!(ordered.collect::<Vec<_>>(), made);
        }
    }

    #[test]
    fn other_nodes_in_a_queue_are_not_entries() {
        let id = Uuid::from_u128(7);
        let own = format!("{}0000000003", prefix(Mode::Exclusive, id));
        let nodes = ["lock-1", "x-1-2", "강-강", "x-", "y-00000000000000000000000000000007-1"];
        let mut nodes: Vec<String> = nodes.map(str::to_owned).into();
        nodes.push(own.clone());
        let expected = Child { node: own, mode: Mode::Exclusive, id, sequence: 3 };
        assert_eq!(in_order(nodes), [expected]);
    }
}
