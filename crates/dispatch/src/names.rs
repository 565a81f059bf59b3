//! The names that things go by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steadfast_journal::StreamId;
use steadfast_time::Uuid;

use crate::limits::NAME_BYTES_MAX;

/// An order, by a UUID of version 7: sorted by the time at which it was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// The stream of the order's events.
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of(crate::order::CATEGORY, self.0)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OrderId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Uuid::try_parse(text).map(Self).map_err(|_| NameError::new("an order's id is a UUID", text))
    }
}

/// An offer, and the assignment that it becomes: the first order of the trip and a number that
/// counts that order's offers. So the name itself tells where to look it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OfferId {
    /// The first order of the trip.
    pub order: OrderId,
    /// Counts the offers of that order: 1, 2, 3 …
    pub number: u32,
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.order, self.number)
    }
}

impl FromStr for OfferId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new("an offer's id is an order's id, a dot, and a number", text);
        let (order, number) = text.split_once('.').ok_or_else(error)?;
        let order = order.parse().map_err(|_| error())?;
        let number = number.parse().map_err(|_| error())?;
        Ok(Self { order, number })
    }
}

impl From<OfferId> for String {
    fn from(id: OfferId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for OfferId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

/// The text is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {rule}")]
pub struct NameError {
    rule: &'static str,
    text: String,
}

impl NameError {
    fn new(rule: &'static str, text: &str) -> Self {
        Self { rule, text: text.chars().take(80).collect() }
    }
}

/// A name that somebody outside gave: kept as it came, only its length and characters checked.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
                if fits && !text.chars().any(char::is_control) {
                    Ok(Self(text.into()))
                } else {
                    let rule = "a name has 1 to 120 bytes and no control characters";
                    Err(NameError::new(rule, text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// A courier.
    CourierId
}
name! {
    /// A zone: an area with its own dispatcher and capacity.
    ZoneId
}
name! {
    /// Where an order is picked up: a restaurant, a shop.
    MerchantId
}
name! {
    /// Who a request is made for. Idempotency keys of different tenants never meet.
    TenantId
}

impl ZoneId {
    /// The zone of everything that lies in no other.
    #[must_use]
    pub fn default_zone() -> Self {
        Self("default".into())
    }

    /// What the zone's dispatcher holds a lease on, and its writes are fenced by.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("zone/{self}")
    }

    /// The counter of orders offered, assigned or on their way in the zone.
    #[must_use]
    pub fn counter(&self) -> String {
        format!("zone/{self}/dispatches")
    }
}

impl CourierId {
    /// The counter of orders that the courier has been offered or holds.
    #[must_use]
    pub fn counter(&self) -> String {
        format!("courier/{self}/orders")
    }
}

impl TenantId {
    /// The tenant of whoever does not say.
    #[must_use]
    pub fn public() -> Self {
        Self("public".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_names_its_order() {
        let order = OrderId(Uuid::from_u128(7));
        let offer = OfferId { order, number: 3 };
        assert_eq!(offer.to_string().parse::<OfferId>().unwrap(), offer);
        for text in ["", "7.1", "x.1", "00000000-0000-0000-0000-000000000007", "a.b.c"] {
            assert!(text.parse::<OfferId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_keep_their_text_and_have_limits() {
        let odd = "'; DROP TABLE couriers; -- <b>김밥</b>";
        assert_eq!(odd.parse::<CourierId>().unwrap().as_str(), odd);
        assert!("".parse::<CourierId>().is_err());
        assert!("a\u{0}b".parse::<CourierId>().is_err());
        assert!("x".repeat(NAME_BYTES_MAX + 1).parse::<ZoneId>().is_err());
    }
}
