//! The bytes of a segment: a pure description, without files.
//!
//! ```text
//! header   magic 8 | version 4 | crc 4 | number 8 | salt 8 | length 8 | zero 24
//! batch    length 4 | crc 4 | number 8 | time 8 | payload | zero to a multiple of 8
//! mark     crc 4 | zero 4 | number 8          written after the batch is durable
//! batch …
//! ```
//!
//! All numbers are little-endian. The salt, chosen at random for every segment, is part of every
//! checksum: what an earlier use of the same file has left behind can therefore not pass for a
//! batch, and neither can bytes that a client has chosen.
//!
//! A *mark* says that its batch was durable before anybody was answered. That is how recovery
//! tells a torn batch, which nobody has heard of and which may go, from a damaged one. It is
//! written without a sync of its own; the next batch's sync takes it along.

/// Of a segment, in bytes.
pub(crate) const HEADER: usize = 64;
/// Of a batch, before its payload.
pub(crate) const BATCH_HEADER: usize = 24;
/// Of a mark.
pub(crate) const MARK: usize = 16;
/// Starts every segment.
pub(crate) const MAGIC: [u8; 8] = *b"SFCOORDL";
/// The version of all files in a folder.
pub const FORMAT: u32 = 1;
/// The length of the batch that says that the log goes on in the next segment: no real one.
const END: u32 = u32::MAX;

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Counts from 1.
    pub(crate) number: u64,
    /// Part of every checksum in the segment.
    pub(crate) salt: u64,
    /// Of the whole file, in bytes.
    pub(crate) length: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    NotOurs,
    Version(u32),
    Checksum,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &FORMAT.to_le_bytes());
        put(&mut bytes, 16, &self.number.to_le_bytes());
        put(&mut bytes, 24, &self.salt.to_le_bytes());
        put(&mut bytes, 32, &self.length.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        put(&mut bytes, 12, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let header: &[u8; HEADER] =
            bytes.get(..HEADER).and_then(|h| h.try_into().ok()).ok_or(BadHeader::NotOurs)?;
        if header[..8] != MAGIC {
            return Err(BadHeader::NotOurs);
        }
        // Version first: the rest of another version's header may mean something else.
        let version = u32_at(header, 8).unwrap_or(0);
        if version != FORMAT {
            return Err(BadHeader::Version(version));
        }
        let mut unsummed = *header;
        put(&mut unsummed, 12, &[0; 4]);
        if u32_at(header, 12) != Some(crc32fast::hash(&unsummed)) {
            return Err(BadHeader::Checksum);
        }
        let field = |at| u64_at(header, at).ok_or(BadHeader::Checksum);
        Ok(Self { number: field(16)?, salt: field(24)?, length: field(32)? })
    }
}

/// The next multiple of eight.
pub(crate) const fn aligned(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// What a batch with a payload of that length takes up, its mark included.
pub(crate) const fn footprint(payload: usize) -> usize {
    aligned(BATCH_HEADER + payload) + MARK
}

fn batch_crc(salt: u64, length: u32, rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc.update(rest);
    crc.finalize()
}

/// Completes a batch in place: `batch` has [`BATCH_HEADER`] bytes of room before its payload.
pub(crate) fn seal(batch: &mut Vec<u8>, salt: u64, number: u64, time: u64) {
    debug_assert!(batch.len() >= BATCH_HEADER, "the room for the header is missing");
    let length = u32::try_from(batch.len() - BATCH_HEADER).unwrap_or(END);
    put(batch, 0, &length.to_le_bytes());
    put(batch, 8, &number.to_le_bytes());
    put(batch, 16, &time.to_le_bytes());
    let crc = batch_crc(salt, length, &batch[8..]);
    put(batch, 4, &crc.to_le_bytes());
    batch.resize(aligned(batch.len()), 0);
}

/// The batch that ends a segment whose log goes on in the next.
pub(crate) fn end(salt: u64, number: u64) -> [u8; BATCH_HEADER] {
    let mut bytes = [0; BATCH_HEADER];
    put(&mut bytes, 0, &END.to_le_bytes());
    put(&mut bytes, 8, &number.to_le_bytes());
    let crc = batch_crc(salt, END, &bytes[8..]);
    put(&mut bytes, 4, &crc.to_le_bytes());
    bytes
}

/// The mark after batch `number`, to stand at `offset`.
pub(crate) fn mark(salt: u64, number: u64, offset: usize) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    put(&mut bytes, 8, &number.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(b"mark");
    crc.update(&salt.to_le_bytes());
    crc.update(&number.to_le_bytes());
    crc.update(&(offset as u64).to_le_bytes());
    let crc = crc.finalize();
    put(&mut bytes, 0, &crc.to_le_bytes());
    bytes
}

/// What stands at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Batch { number: u64, time: u64, payload: &'a [u8] },
    End { number: u64 },
}

/// The whole batch at `offset`, if there is one.
pub(crate) fn batch_at(segment: &[u8], salt: u64, offset: usize) -> Option<Found<'_>> {
    let length = u32_at(segment, offset)?;
    let crc = u32_at(segment, offset + 4)?;
    let number = u64_at(segment, offset + 8)?;
    let payload_length = if length == END { 0 } else { length as usize };
    let rest_end = offset.checked_add(BATCH_HEADER)?.checked_add(payload_length)?;
    let rest = segment.get(offset + 8..rest_end)?;
    if batch_crc(salt, length, rest) != crc {
        return None;
    }
    if length == END {
        return Some(Found::End { number });
    }
    Some(Found::Batch { number, time: u64_at(segment, offset + 16)?, payload: &rest[16..] })
}

/// Whether there is a sign from `offset` on that batch `number` or a later one was answered: a
/// mark, or a whole batch that came after it.
pub(crate) fn answered_after(
    segment: &[u8],
    salt: u64,
    offset: usize,
    number: u64,
) -> Option<usize> {
    // Numbers beyond these do not fit into the rest of the segment.
    let plausible = number..number.saturating_add((segment.len() / BATCH_HEADER) as u64 + 1);
    (offset..segment.len().saturating_sub(MARK - 1)).step_by(8).find(|&at| {
        let Some(found) = u64_at(segment, at + 8) else { return false };
        if !plausible.contains(&found) {
            return false;
        }
        let is_mark = segment[at..at + MARK] == mark(salt, found, at);
        is_mark || (at > offset && batch_at(segment, salt, at).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut segment = vec![0; HEADER];
        for (number, payload) in (1..).zip(payloads) {
            let mut batch = vec![0; BATCH_HEADER];
            batch.extend_from_slice(payload);
            seal(&mut batch, 9, number, 5);
            segment.extend_from_slice(&batch);
            let at = segment.len();
            segment.extend_from_slice(&mark(9, number, at));
        }
        segment.resize(4_096, 0);
        segment
    }

    #[test]
    fn a_header_comes_back_and_no_changed_byte_is_missed() {
        let header = Header { number: 3, salt: 4, length: 65_536 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for at in 0..HEADER {
            let mut changed = bytes;
            changed[at] ^= 0x40;
            assert!(Header::decode(&changed).is_err(), "byte {at}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(BadHeader::Version(2)));
    }

    #[test]
    fn a_batch_comes_back_only_as_it_was_written() {
        let image = segment(&[b"one", b"", b"three"]);
        let second = HEADER + footprint(3);
        assert_eq!(
            batch_at(&image, 9, HEADER),
            Some(Found::Batch { number: 1, time: 5, payload: b"one" })
        );
        assert_eq!(
            batch_at(&image, 9, second),
            Some(Found::Batch { number: 2, time: 5, payload: b"" })
        );
        assert_eq!(batch_at(&image, 8, second), None, "another salt");
        assert_eq!(batch_at(&[0; 4_096], 9, 64), None, "empty room");
        assert_eq!(batch_at(&image, 9, 4_090), None, "beyond the end");
    }

    #[test]
    fn a_mark_tells_that_a_batch_was_answered() {
        let image = segment(&[b"one", b"two"]);
        let second = HEADER + footprint(3);
        let its_mark = second + footprint(3) - MARK;
        assert_eq!(answered_after(&image, 9, second, 2), Some(its_mark));
        assert_eq!(answered_after(&image, 9, its_mark + MARK, 3), None);
        let mut unmarked = image.clone();
        unmarked[its_mark..its_mark + MARK].fill(0);
        assert_eq!(answered_after(&unmarked, 9, second, 2), None);
        assert_eq!(answered_after(&image, 10, second, 2), None, "of an earlier use of the file");
    }
}
