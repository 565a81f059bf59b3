//! A snapshot: the state before a segment, in a file of its own.
//!
//! ```text
//! magic 8 | version 4 | crc 4 | segment 8 | batch 8 | time 8 | state
//! ```

use std::path::Path;

use super::error::Error;
use super::layout::FORMAT;

const MAGIC: [u8; 8] = *b"SFCOORDS";
const HEADER: usize = 40;

/// The state before a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The first segment that it does not contain.
    pub(crate) segment: u64,
    /// The number of that segment's first batch.
    pub(crate) batch: u64,
    /// Of the last batch.
    pub(crate) time: u64,
    /// As the engine writes it.
    pub(crate) state: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.state.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for field in [self.segment, self.batch, self.time] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.state);
        let crc = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(mut bytes: Vec<u8>, file: &Path) -> Result<Self, Error> {
        let Some(header) = bytes.first_chunk_mut::<HEADER>() else {
            return Err(Error::damaged(file, bytes.len(), "it is too short"));
        };
        if header[..8] != MAGIC {
            return Err(Error::damaged(file, 0, "it is not a snapshot"));
        }
        let [_, _, _, _, _, _, _, _, v0, v1, v2, v3, c0, c1, c2, c3, ..] = *header;
        let version = u32::from_le_bytes([v0, v1, v2, v3]);
        if version != FORMAT {
            let found = version.to_string();
            return Err(Error::Version { file: file.to_owned(), found, known: FORMAT });
        }
        header[12..16].fill(0);
        let field = |at: usize| {
            header[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let (segment, batch, time) = (field(16), field(24), field(32));
        if crc32fast::hash(&bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(Error::damaged(file, 12, "its checksum is another one"));
        }
        Ok(Self { segment, batch, time, state: bytes.split_off(HEADER) })
    }
}
