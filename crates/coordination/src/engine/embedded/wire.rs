//! The bytes on the socket: a greeting, then frames both ways.
//!
//! ```text
//! greeting   "SFCOORD\r\n\r\n" zero | version 4              client, 16 bytes
//! welcome    "SFCOORD\n" | version 4 | status 4              server, 16 bytes
//! frame      length 4 | request number (varint) | Ask or Reply, as postcard writes it
//! ```
//!
//! Numbers are little-endian. The greeting has the empty line at which servers of other protocols
//! have something to say, so that a wrong address is noticed at once. Nothing is allocated on the
//! word of the other side: a frame that is longer than the limit ends the connection when its length
//! is read, and what is decoded is never larger than a small multiple of its frame.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::records;

/// Of the protocol. Another version is refused with a text on both sides.
pub(super) const PROTOCOL: u32 = 1;
pub(super) const GREETING: usize = 16;
const CLIENT: [u8; 12] = *b"SFCOORD\r\n\r\n\0";
const SERVER: [u8; 8] = *b"SFCOORD\n";
/// Of a frame's length.
const PREFIX: usize = 4;

/// What the server says to a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Status {
    Welcome = 0,
    /// The client speaks another version.
    Version = 1,
    /// There are too many connections.
    Full = 2,
}

/// Why what the other side sent cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it begins with {0:?}, which this protocol does not")]
    Greeting(String),
    #[error("it speaks version {0} of the protocol, this release speaks version {PROTOCOL}")]
    Version(u32),
    #[error("a frame of {0} bytes is longer than is allowed")]
    TooLong(usize),
    #[error("a frame cannot be read: {0}")]
    Frame(postcard::Error),
    #[error("a frame has {0} bytes that mean nothing")]
    Trailing(usize),
}

pub(super) fn greeting() -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[..12].copy_from_slice(&CLIENT);
    bytes[12..].copy_from_slice(&PROTOCOL.to_le_bytes());
    bytes
}

/// Reads as much of a greeting as has come. `None`: it is right so far.
pub(super) fn read_greeting(bytes: &[u8]) -> Result<Option<()>, Malformed> {
    starts_with(bytes, &CLIENT)?;
    let Some(&[.., a, b, c, d]) = bytes.first_chunk::<GREETING>() else { return Ok(None) };
    match u32::from_le_bytes([a, b, c, d]) {
        PROTOCOL => Ok(Some(())),
        version => Err(Malformed::Version(version)),
    }
}

pub(super) fn welcome(status: Status) -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[..8].copy_from_slice(&SERVER);
    bytes[8..12].copy_from_slice(&PROTOCOL.to_le_bytes());
    bytes[12..].copy_from_slice(&(status as u32).to_le_bytes());
    bytes
}

/// Reads as much of a welcome as has come. `None`: it is right so far.
pub(super) fn read_welcome(bytes: &[u8]) -> Result<Option<Status>, Malformed> {
    starts_with(bytes, &SERVER)?;
    let Some(&[_, _, _, _, _, _, _, _, v0, v1, v2, v3, status, ..]) =
        bytes.first_chunk::<GREETING>()
    else {
        return Ok(None);
    };
    match (u32::from_le_bytes([v0, v1, v2, v3]), status) {
        (PROTOCOL, 0) => Ok(Some(Status::Welcome)),
        (PROTOCOL, 2) => Ok(Some(Status::Full)),
        (version, _) => Err(Malformed::Version(version)),
    }
}

fn starts_with(bytes: &[u8], expected: &[u8]) -> Result<(), Malformed> {
    let known = bytes.len().min(expected.len());
    if bytes[..known] == expected[..known] {
        return Ok(());
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    Err(Malformed::Greeting(start.trim_end().to_owned()))
}

/// Appends a frame.
pub(super) fn append(request: u64, message: &impl Serialize, to: &mut Vec<u8>) {
    let start = to.len();
    to.extend_from_slice(&[0; PREFIX]);
    records::append(&(request, message), to);
    let length = u32::try_from(to.len() - start - PREFIX).unwrap_or(u32::MAX);
    to[start..start + PREFIX].copy_from_slice(&length.to_le_bytes());
}

/// The first frame of what has come, and how many bytes it takes up; `None` when it is not there
/// in full.
pub(super) fn split(bytes: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > max {
        return Err(Malformed::TooLong(length));
    }
    Ok(bytes.get(PREFIX..PREFIX + length).map(|frame| (frame, PREFIX + length)))
}

/// Reads a frame: the number of the request, and the message.
pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<(u64, T), Malformed> {
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(Malformed::Trailing(rest.len())),
        Err(error) => Err(Malformed::Frame(error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ask::{Ask, Reply};
    use super::*;
    use crate::engine::machine::{Command, Output, Query};
    use crate::port::{Mode, Name, SessionId};

    fn enter() -> Ask {
        Ask::Command(Command::Enter {
            queue: Name::new("zone/강남").unwrap(),
            session: SessionId(7),
            id: steadfast_time::Uuid::from_u128(8),
            mode: Mode::Exclusive,
            value: b"node-1".to_vec(),
            wait: true,
        })
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let asks = [enter(), Ask::Cancel(3), Ask::Query(Query::Queues { after: None })];
        let mut bytes = Vec::new();
        for (number, ask) in (1..).zip(&asks) {
            append(number, ask, &mut bytes);
        }
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            let mut whole = 0;
            while let Some((frame, taken)) = split(rest, 8_192).unwrap() {
                let (number, ask) = decode::<Ask>(frame).unwrap();
                assert_eq!((number, &ask), (whole as u64 + 1, &asks[whole]));
                whole += 1;
                rest = &rest[taken..];
            }
            assert!(whole < asks.len());
        }
    }

    #[test]
    fn greetings_say_what_is_wrong_as_soon_as_it_shows() {
        assert_eq!(read_greeting(&greeting()), Ok(Some(())));
        assert_eq!(read_welcome(&welcome(Status::Full)), Ok(Some(Status::Full)));
        assert_eq!(read_welcome(&welcome(Status::Welcome)[..9]), Ok(None));
        let text = read_welcome(b"-ERR unknown command\r\n").unwrap_err().to_string();
        assert!(text.contains("-ERR unknown command"), "{text}");
        assert!(read_welcome(b"H").is_err());
        let mut newer = greeting();
        newer[12] = 9;
        assert_eq!(read_greeting(&newer), Err(Malformed::Version(9)));
        assert!(read_welcome(&welcome(Status::Version)).is_err());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_kept() {
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        assert_eq!(split(&bytes, 8_192), Err(Malformed::TooLong(u32::MAX as usize)));
        bytes = 8_192_u32.to_le_bytes().to_vec();
        assert_eq!(split(&bytes, 8_192), Ok(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = split(&bytes, 8_192);
            let _ = decode::<Ask>(&bytes);
            let _ = decode::<Reply>(&bytes);
            let _ = read_greeting(&bytes);
            let _ = read_welcome(&bytes);
        }

        #[test]
        fn changed_frames_never_panic(at in 0_usize..60, to in any::<u8>(), cut in 0_usize..80) {
            let mut bytes = Vec::new();
            append(1, &enter(), &mut bytes);
            let end = bytes.len();
            bytes[at % end] = to;
            bytes.truncate(cut);
            if let Ok(Some((frame, _))) = split(&bytes, 8_192)
                && let Ok((_, Ask::Command(Command::Enter { queue, .. }))) = decode::<Ask>(frame)
            {
                prop_assert!(Name::new(queue.as_str()).is_ok(), "names are checked when they are read");
            }
        }

        #[test]
        fn replies_come_back(version in any::<u64>(), number in any::<u64>()) {
            let reply = Reply::Met(Output::Version(version));
            let mut bytes = Vec::new();
            append(number, &reply, &mut bytes);
            let (frame, taken) = split(&bytes, 64).unwrap().unwrap();
            prop_assert_eq!(taken, bytes.len());
            prop_assert_eq!(decode::<Reply>(frame).unwrap(), (number, reply));
        }
    }
}
