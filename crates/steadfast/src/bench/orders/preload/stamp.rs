//! Text in which a name can be replaced by another of the same length.

use bytes::Bytes;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// Bytes, and where in them a UUID stands as text.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Stamp {
    /// Finds every place of `name` in `bytes`.
    pub(super) fn new(bytes: &[u8], name: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = name.hyphenated().encode_lower(&mut buffer).as_bytes();
        let windows = bytes.windows(Hyphenated::LENGTH).enumerate();
        let places = windows.filter(|(_, window)| *window == text).map(|(at, _)| at).collect();
        Self { bytes: bytes.to_vec(), places }
    }

    /// The bytes with another name in its places.
    pub(super) fn with(&self, name: Uuid) -> Bytes {
        let mut buffer = Uuid::encode_buffer();
        let text = name.hyphenated().encode_lower(&mut buffer).as_bytes();
        let mut bytes = self.bytes.clone();
        for place in &self.places {
            bytes[*place..*place + Hyphenated::LENGTH].copy_from_slice(text);
        }
        Bytes::from(bytes)
    }

    /// The same as text; what is not UTF-8 was not text to begin with.
    pub(super) fn text(&self, name: Uuid) -> String {
        String::from_utf8_lossy(&self.with(name)).into_owned()
    }

    /// Whether the name occurs at all.
    pub(super) fn occurs(&self) -> bool {
        !self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_replaced_and_nothing_else() {
        let (old, new) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let stamp = Stamp::new(format!("<{old}> and {old}.1, not {new}").as_bytes(), old);
        assert!(stamp.occurs());
        assert_eq!(stamp.text(new), format!("<{new}> and {new}.1, not {new}"));
        assert!(!Stamp::new(b"short", old).occurs());
    }
}
