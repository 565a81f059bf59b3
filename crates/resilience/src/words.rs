//! Options as people write them: lengths of time in words, shares as numbers, and a sentence that
//! says what is allowed where something else is written.
//!
//! Lengths are read in `jiff`'s friendly format: `"350ms"`, `"1h 30m"`, `"30 days"`, where a day is
//! 24 hours. A bare number is refused, because nobody can tell its unit. What a setting refuses
//! beyond that (a window of nothing, say) is up to the `check` of its options.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

use crate::{Share, breaker, hedge, limit, timeout};

const LENGTH: &str = "a length of time in words, such as \"350ms\", \"30s\" or \"1h 30m\"";
const LENGTH_OR_OFF: &str =
    "a length of time in words, such as \"350ms\", \"30s\" or \"1h 30m\", or \"off\"";
const SHARE: &str = "a share, a number from 0 to 1";
const WINDOW: &str = "a number of calls, or a length of time in words such as \"60s\"";
const DELAY: &str =
    "a share of calls, a number from 0 to 1, or a length of time in words such as \"30ms\"";
const ATTEMPT: &str =
    "a length of time in words such as \"100ms\", or a table with the options of an adaptive one";
const ALGORITHM: &str = "\"aimd\", \"vegas\" or \"gradient\", or a table such as \
                         { gradient = { tolerance = 2.0 } }";
const DECREASE: &str = "\"log10\", or a number above 0 and below 1";

/// What a value may look like: how each kind of it is read, and what is said where it is another.
struct Value<T> {
    allowed: &'static str,
    /// From text; `None`: it is not what is allowed.
    text: Option<fn(&str) -> Option<T>>,
    /// From a number that has a fraction, or could have one.
    number: Option<fn(f64) -> Option<T>>,
    kind: PhantomData<T>,
}

impl<T> Value<T> {
    const fn new(allowed: &'static str) -> Self {
        Self { allowed, text: None, number: None, kind: PhantomData }
    }

    const fn text(mut self, read: fn(&str) -> Option<T>) -> Self {
        self.text = Some(read);
        self
    }

    const fn number(mut self, read: fn(f64) -> Option<T>) -> Self {
        self.number = Some(read);
        self
    }

    fn read_number<E: de::Error>(&self, number: f64, found: impl fmt::Display) -> Result<T, E> {
        let Some(read) = self.number else {
            return Err(E::custom(format!("{found} has no unit, write {}", self.allowed)));
        };
        read(number).ok_or_else(|| E::custom(format!("{found} is not {}", self.allowed)))
    }
}

impl<'de, T> de::Visitor<'de> for Value<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.allowed)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let value = self.text.and_then(|read| read(text.trim()));
        value.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.read_number(number, number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        #[expect(clippy::cast_precision_loss, reason = "what is allowed is far smaller")]
        self.read_number(number as f64, number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        #[expect(clippy::cast_precision_loss, reason = "what is allowed is far smaller")]
        self.read_number(number as f64, number)
    }
}

fn in_words(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// A length of time.
pub(crate) fn length<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Value::new(LENGTH).text(in_words))
}

/// A length of time, or none.
pub(crate) fn length_or_off<'de, D>(from: D) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    let read = |text: &str| if text == "off" { Some(None) } else { in_words(text).map(Some) };
    from.deserialize_any(Value::new(LENGTH_OR_OFF).text(read))
}

/// A length of time; for ever when it is off.
pub(crate) fn length_or_ever<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Ok(length_or_off(from)?.unwrap_or(Duration::MAX))
}

/// The options of a part, or `"off"` where there is none.
pub(crate) fn part<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Part<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Part<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table with its options, or \"off\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<T>, E> {
            match text {
                "off" => Ok(None),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    from.deserialize_any(Part(PhantomData))
}

fn share(number: f64) -> Option<Share> {
    Share::new(number).ok()
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Value::new(SHARE).number(share))
    }
}

impl<'de> Deserialize<'de> for breaker::Window {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let calls = |number: f64| {
            let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
            whole.then_some(Self::Count(number as u32))
        };
        let time = |text: &str| in_words(text).map(Self::Time);
        from.deserialize_any(Value::new(WINDOW).text(time).number(calls))
    }
}

impl<'de> Deserialize<'de> for hedge::Delay {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fixed = |text: &str| in_words(text).map(Self::Fixed);
        let quantile = |number| share(number).map(Self::Quantile);
        from.deserialize_any(Value::new(DELAY).text(fixed).number(quantile))
    }
}

impl<'de> Deserialize<'de> for limit::vegas::Decrease {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let named = |text: &str| (text == "log10").then_some(Self::Log10);
        let to = |part: f64| (part > 0.0 && part < 1.0).then_some(Self::To(part));
        from.deserialize_any(Value::new(DECREASE).text(named).number(to))
    }
}

impl<'de> Deserialize<'de> for timeout::Attempt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Attempt;

        impl<'de> de::Visitor<'de> for Attempt {
            type Value = timeout::Attempt;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ATTEMPT)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let fixed = in_words(text).map(timeout::Attempt::Fixed);
                fixed.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let options = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(timeout::Attempt::Adaptive(options))
            }
        }

        from.deserialize_any(Attempt)
    }
}

impl<'de> Deserialize<'de> for limit::Algorithm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Table {
            Aimd(limit::aimd::Options),
            Vegas(limit::vegas::Options),
            Gradient(limit::gradient::Options),
        }

        struct Algorithm;

        impl<'de> de::Visitor<'de> for Algorithm {
            type Value = limit::Algorithm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALGORITHM)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text {
                    "aimd" => Ok(limit::Algorithm::Aimd(limit::aimd::Options::default())),
                    "vegas" => Ok(limit::Algorithm::Vegas(limit::vegas::Options::default())),
                    "gradient" => {
                        Ok(limit::Algorithm::Gradient(limit::gradient::Options::default()))
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ok(match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table::Aimd(options) => limit::Algorithm::Aimd(options),
                    Table::Vegas(options) => limit::Algorithm::Vegas(options),
                    Table::Gradient(options) => limit::Algorithm::Gradient(options),
                })
            }
        }

        from.deserialize_any(Algorithm)
    }
}
