//! A part of a whole.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Setting;

/// A probability, or a part of a whole: a number from 0 (never, nothing) to 1 (always,
/// everything).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    /// Never.
    pub const ZERO: Self = Self(0.0);

    /// From a number of thousandths; more than 1,000 counts as 1,000.
    pub const fn permille(permille: u16) -> Self {
        Self(if permille >= 1_000 { 1.0 } else { permille as f64 / 1_000.0 })
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Setting for Share {
    const ALLOWED: &'static str = "a number from `0.0` to `1.0`";
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl Visitor {
            fn check<E: de::Error>(number: f64) -> Result<Share, E> {
                if (0.0..=1.0).contains(&number) {
                    Ok(Share(number))
                } else {
                    Err(E::custom(format!("{number} is not a number from 0.0 to 1.0")))
                }
            }
        }

        impl de::Visitor<'_> for Visitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0.0 to 1.0")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Share, E> {
                Self::check(number)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Share, E> {
                i32::try_from(number)
                    .map_or_else(|_| Self::check(f64::NAN), |n| Self::check(n.into()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Share, E> {
                u32::try_from(number)
                    .map_or_else(|_| Self::check(f64::NAN), |n| Self::check(n.into()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
