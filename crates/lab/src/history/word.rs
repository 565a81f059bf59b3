//! Names of operations, without a copy of each in every event.

use std::borrow::Cow;

/// What the models call their operations.
const KNOWN: [&str; 10] = [
    "read", "write", "cas", "acquire", "release", "enqueue", "dequeue", "deliver", "transfer",
    "update",
];

/// A name; one that is known is not copied. A history has millions of events, and few names.
pub(super) fn word(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}
