//! Where the next page of a list begins.
//!
//! The last order that was shown is all that is needed, since an order never changes its place.
//! A cursor taken to another list would work, and silently skip; so it carries a fingerprint of
//! the filter that it belongs to, and is refused with any other one. It is not a secret, and not
//! signed: whoever makes one up gets a page that may be asked for anyway.

use std::fmt;

use sha2::{Digest, Sha256};
use steadfast_time::Uuid;

use super::Filter;
use crate::names::OrderId;
use crate::order::Problem;

/// Digits of the fingerprint, and of the order's id behind it.
const FINGERPRINT_DIGITS: usize = 16;
const ID_DIGITS: usize = 32;

/// A place in the list of one filter. Its text is of hexadecimal digits, fit for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    fingerprint: u64,
    last: OrderId,
}

impl Cursor {
    /// Behind an order.
    pub(super) fn behind(last: OrderId, filter: &Filter) -> Self {
        Self { fingerprint: fingerprint(filter), last }
    }

    /// The order that the page comes behind.
    ///
    /// # Errors
    /// The text is not a cursor, or one of another filter.
    pub(super) fn read(text: &str, filter: &Filter) -> Result<OrderId, Problem> {
        let broken = || Problem::new("cursor", "is not one that a list has answered with");
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != FINGERPRINT_DIGITS + ID_DIGITS || !text.bytes().all(is_digit) {
            return Err(broken());
        }
        let (of, last) = text.split_at(FINGERPRINT_DIGITS);
        let of = u64::from_str_radix(of, 16).map_err(|_| broken())?;
        let last = Uuid::try_parse(last).map_err(|_| broken())?;
        if of != fingerprint(filter) {
            let rule = "belongs to a list with other filters: repeat the status and the zone of \
                        the first page";
            return Err(Problem::new("cursor", rule));
        }
        Ok(OrderId(last))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{}", self.fingerprint, self.last.0.simple())
    }
}

/// The first bytes of a hash of the filter and of what cursors mean in this version.
fn fingerprint(filter: &Filter) -> u64 {
    let status = filter.status.map_or("", |status| status.as_str());
    let zone = filter.zone.as_ref().map_or("", |zone| zone.as_str());
    // Neither has control characters, and neither is empty.
    let hash = Sha256::digest(format!("orders/1\0{status}\0{zone}"));
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Status;

    fn filters() -> Vec<Filter> {
        let statuses = [None, Some(Status::Placed), Some(Status::Offered)];
        let zones = [None, Some("a".parse().unwrap()), Some("placed".parse().unwrap())];
        let all = |status| zones.clone().map(|zone| Filter { status, zone });
        statuses.into_iter().flat_map(all).collect()
    }

    #[test]
    fn a_cursor_is_read_back_by_its_own_filter_only() {
        let last = OrderId(Uuid::from_u128(0x0199_c1a2_0000_7000_8000_0000_0000_0001));
        for filter in filters() {
            let text = Cursor::behind(last, &filter).to_string();
            assert!(text.bytes().all(|c| c.is_ascii_alphanumeric()), "{text}");
            for other in filters() {
                let read = Cursor::read(&text, &other);
                assert_eq!(read.is_ok(), other == filter, "{filter:?} {other:?}");
                match read {
                    Ok(read) => assert_eq!(read, last),
                    Err(problem) => assert_eq!(problem.field, "cursor"),
                }
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let filter = Filter::default();
        let text = Cursor::behind(OrderId(Uuid::nil()), &filter).to_string();
        let (short, long) = (&text[1..], format!("{text}0"));
        let upper = text.to_uppercase();
        let wide = "é".repeat(24);
        for text in ["", "nonsense", "\0", "🍱", short, &long, &upper, &wide, &format!("+{short}")]
        {
            assert_eq!(Cursor::read(text, &filter).unwrap_err().field, "cursor", "{text:?}");
        }
    }
}
