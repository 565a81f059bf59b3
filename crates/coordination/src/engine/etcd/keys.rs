//! How names become keys.
//!
//! ```text
//! steadfast/q/zone/강남!01 x 694d7f…-0192ab…   an exclusive entry of the queue "zone/강남 1"
//! steadfast/q/zone/강남!01 s 694d7f…-02b1c0…   a shared one
//! steadfast/r/orders                           the register "orders"
//! ```
//!
//! An entry's own part is its session, as `etcdctl lease list` shows it, and its id.
//!
//! A blank ends the name of a queue. A blank within a name is written `!0`, and `!` as `!1`. That
//! is injective, no queue's range holds another queue's keys (`a` ends before `a/b` begins), and
//! because a blank is less than every character that is left and `!` less than all but the blank,
//! keys come in the order of names. `etcdctl get --prefix steadfast/q/` stays readable. Names have
//! no control characters, so nothing else needs escaping.

use crate::port::{EntryId, Mode, Name, SessionId};

/// Ends a name.
const END: u8 = b' ';
/// Follows [`END`], and begins an escape.
const ESCAPE: u8 = END + 1;

/// A half-open range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub key: Vec<u8>,
    /// Empty for the one key.
    pub end: Vec<u8>,
}

impl Range {
    /// The range of one key.
    pub(super) const fn one(key: Vec<u8>) -> Self {
        Self { key, end: Vec::new() }
    }

    /// All keys that begin with `start`, which ends in [`END`].
    fn under(mut start: Vec<u8>) -> Self {
        start.push(END);
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last = ESCAPE;
        }
        Self { key: start, end }
    }
}

/// Keys below a prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    queues: Vec<u8>,
    registers: Vec<u8>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            queues: format!("{prefix}q/").into_bytes(),
            registers: format!("{prefix}r/").into_bytes(),
        }
    }

    /// All entries of a queue.
    pub(super) fn queue(&self, queue: &Name) -> Range {
        Range::under(self.start(queue))
    }

    /// The entries of a queue that have one mode.
    pub(super) fn of_mode(&self, queue: &Name, mode: Mode) -> Range {
        let mut start = self.start(queue);
        start.extend([END, letter(mode)]);
        Range::under(start)
    }

    /// The entries of a queue that one of this mode waits for, if they are ahead of it.
    pub(super) fn blocking(&self, queue: &Name, mode: Mode) -> Range {
        match mode {
            Mode::Exclusive => self.queue(queue),
            Mode::Shared => self.of_mode(queue, Mode::Exclusive),
        }
    }

    /// An entry.
    pub(super) fn entry(
        &self,
        queue: &Name,
        mode: Mode,
        session: SessionId,
        id: EntryId,
    ) -> Vec<u8> {
        let mut key = self.of_mode(queue, mode).key;
        key.extend(format!("{session}-{}", id.as_simple()).bytes());
        key
    }

    /// Whether a key is one of a queue's, and then its mode.
    pub(super) fn mode(&self, queue: &Name, key: &[u8]) -> Option<Mode> {
        match key.strip_prefix(self.queue(queue).key.as_slice())? {
            [b'x', END, ..] => Some(Mode::Exclusive),
            [b's', END, ..] => Some(Mode::Shared),
            _ => None,
        }
    }

    /// The queues after one, or all.
    pub(super) fn queues_after(&self, after: Option<&Name>) -> Range {
        let key = after.map_or_else(|| self.queues.clone(), |name| self.queue(name).end);
        let mut end = self.queues.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Range { key, end }
    }

    /// The queue that an entry belongs to; `None` if another program has written the key.
    pub(super) fn queue_of(&self, key: &[u8]) -> Option<Name> {
        let rest = std::str::from_utf8(key.strip_prefix(self.queues.as_slice())?).ok()?;
        let (name, _) = rest.split_once(' ')?;
        let mut plain = String::with_capacity(name.len());
        let mut characters = name.chars();
        while let Some(character) = characters.next() {
            plain.push(match character {
                '!' => match characters.next()? {
                    '0' => ' ',
                    '1' => '!',
                    _ => return None,
                },
                other => other,
            });
        }
        Name::new(plain).ok()
    }

    /// A register.
    pub(super) fn register(&self, register: &Name) -> Vec<u8> {
        [&self.registers, register.as_str().as_bytes()].concat()
    }

    fn start(&self, queue: &Name) -> Vec<u8> {
        let mut key = self.queues.clone();
        for byte in queue.as_str().bytes() {
            match byte {
                END => key.extend([ESCAPE, b'0']),
                ESCAPE => key.extend([ESCAPE, b'1']),
                other => key.push(other),
            }
        }
        key
    }
}

const fn letter(mode: Mode) -> u8 {
    match mode {
        Mode::Exclusive => b'x',
        Mode::Shared => b's',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use steadfast_time::Uuid;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn within(range: &Range, key: &[u8]) -> bool {
        range.key.as_slice() <= key && key < range.end.as_slice()
    }

    #[test]
    fn keys_can_be_read() {
        let keys = Keys::new("steadfast/");
        let key =
            keys.entry(&name("zone/강남 1!"), Mode::Shared, SessionId(0xab), Uuid::from_u128(7));
        assert_eq!(
            String::from_utf8(key).unwrap(),
            "steadfast/q/zone/강남!01!1 s 00000000000000ab-00000000000000000000000000000007"
        );
        assert_eq!(keys.register(&name("a b")), b"steadfast/r/a b");
    }

    proptest! {
        #[test]
        fn a_queue_has_its_own_keys_in_the_order_of_names(
            one in "[ -\"a/é]{1,4}", other in "[ -\"a/é]{1,4}", shared: bool,
        ) {
            let keys = Keys::new("p/");
            let (one, other) = (name(&one), name(&other));
            let mode = if shared { Mode::Shared } else { Mode::Exclusive };
            let key = keys.entry(&one, mode, SessionId(9), Uuid::from_u128(u128::MAX));
            prop_assert!(within(&keys.queue(&one), &key));
            prop_assert_eq!(within(&keys.of_mode(&one, Mode::Exclusive), &key), !shared);
            prop_assert_eq!(within(&keys.queue(&other), &key), one == other);
            prop_assert_eq!(within(&keys.queues_after(Some(&other)), &key), one > other);
            prop_assert!(within(&keys.queues_after(None), &key));
            prop_assert_eq!(keys.mode(&one, &key), Some(mode));
            prop_assert_eq!(keys.mode(&other, &key).is_some(), one == other);
            prop_assert_eq!(keys.queue_of(&key), Some(one));
        }
    }

    /// The broken twin: the usual way, `<queue>/<entry>` without escaping, mixes queues up.
    #[test]
    fn plain_slashes_would_mix_queues_up() {
        let naive = |queue: &str| format!("p/q/{queue}/");
        assert!(format!("{}x", naive("a/b")).starts_with(&naive("a")));
        let keys = Keys::new("p/");
        let key = keys.entry(&name("a/b"), Mode::Exclusive, SessionId(1), Uuid::from_u128(1));
        assert!(!within(&keys.queue(&name("a")), &key));
    }

    #[test]
    fn keys_of_others_are_not_queues() {
        let keys = Keys::new("p/");
        for key in ["p/q/name", "p/q/a!2 x 1", "p/q/ x 1", "p/q/a!", "q/q/a x 1"] {
            assert_eq!(keys.queue_of(key.as_bytes()), None, "{key}");
        }
        assert_eq!(keys.queue_of(b"p/q/\xff x 1"), None);
        assert_eq!(keys.mode(&name("a"), b"p/q/a y 1"), None);
    }
}
