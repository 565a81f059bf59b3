//! What a member's entry holds: `member 1 <beat> <name>`, a line feed, and the member's value.

use crate::port::Name;

const START: &str = "member 1 ";

/// A member's entry, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beat<'a> {
    pub(super) member: Name,
    pub(super) number: u64,
    pub(super) value: &'a [u8],
}

impl<'a> Beat<'a> {
    pub(super) fn encode(member: &Name, number: u64, value: &[u8]) -> Vec<u8> {
        // A name has no control characters, so the first line feed is this one.
        let mut entry = format!("{START}{number} {member}\n").into_bytes();
        entry.extend_from_slice(value);
        entry
    }

    /// `None` for an entry that is not a member's.
    pub(super) fn decode(entry: &'a [u8]) -> Option<Self> {
        let end = entry.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&entry[..end]).ok()?;
        let (number, member) = line.strip_prefix(START)?.split_once(' ')?;
        Some(Self {
            member: Name::new(member).ok()?,
            number: number.parse().ok()?,
            value: &entry[end + 1..],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MEMBER_VALUE_BYTES_MAX, RESOURCE_BYTES_MAX, VALUE_BYTES_MAX};

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let member = Name::new("dispatcher 7/서울").unwrap();
        let entry = Beat::encode(&member, u64::MAX, b"10.0.0.7\n\xFF");
        let read = Beat::decode(&entry).unwrap();
        assert_eq!(read, Beat { member, number: u64::MAX, value: b"10.0.0.7\n\xFF" });
        for foreign in ["", "\n", "process 7", "member 2 1 a\n", "member 1 a\n", "member 1 x a\n"] {
            assert_eq!(Beat::decode(foreign.as_bytes()), None, "{foreign:?}");
        }
    }

    #[test]
    fn the_largest_entry_fits() {
        let member = Name::new("n".repeat(RESOURCE_BYTES_MAX)).unwrap();
        let entry = Beat::encode(&member, u64::MAX, &[0; MEMBER_VALUE_BYTES_MAX]);
        assert!(entry.len() <= VALUE_BYTES_MAX, "{}", entry.len());
    }
}
