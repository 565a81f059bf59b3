//! Reads a segment back: which batches count, and where the next one goes.

use super::layout::{self, BATCH_HEADER, Found, HEADER, Header};

/// Where the batches of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The next batch goes here.
    Open(usize),
    /// The log goes on in the next segment.
    Continued,
}

/// Not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: usize,
    pub(crate) what: String,
}

/// Goes through the batches of a segment, from batch `expected` on, in order.
///
/// What follows the last whole batch is either empty room or a torn batch, which was never
/// answered: both may be overwritten. If there is any sign that it was answered, it is damage.
///
/// # Errors
/// [`Damage`], also when `take` refuses a batch.
pub(crate) fn scan(
    segment: &[u8],
    header: Header,
    expected: &mut u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<End, Damage> {
    let mut offset = HEADER;
    loop {
        match layout::batch_at(segment, header.salt, offset) {
            Some(Found::Batch { number, time, payload }) if number == *expected => {
                take(time, payload).map_err(|what| Damage { offset, what })?;
                *expected += 1;
                offset += layout::footprint(payload.len());
            }
            Some(Found::End { number }) if number == *expected => {
                return Ok(End::Continued);
            }
            Some(Found::Batch { number, .. } | Found::End { number }) => {
                let what = format!("batch {number} stands where batch {expected} belongs");
                return Err(Damage { offset, what });
            }
            None => {
                let rest = offset.min(segment.len());
                let sign = layout::answered_after(segment, header.salt, rest, *expected);
                return match sign {
                    None => Ok(End::Open(offset)),
                    Some(at) => {
                        let what = format!(
                            "batch {expected} is not whole, although byte {at} says that it was \
                             answered"
                        );
                        Err(Damage { offset, what })
                    }
                };
            }
        }
    }
}

/// Whether a batch with that payload fits at an offset, with room for the end after it.
pub(crate) const fn fits(length: u64, offset: usize, payload: usize) -> bool {
    (offset + layout::footprint(payload) + BATCH_HEADER) as u64 <= length
}
