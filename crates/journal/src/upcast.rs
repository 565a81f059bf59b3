//! Lifting old events to the present schema.
//!
//! Events are never rewritten: the hash chain would break, and with it the only proof of what
//! was decided. So an event keeps the schema it was written with, and whoever reads it lifts it,
//! one version at a time, through functions from JSON to JSON. Code that folds events then knows
//! one shape only.
//!
//! ```
//! use serde_json::json;
//! use steadfast_journal::upcast::Upcasters;
//!
//! let upcasters = Upcasters::new()
//!     // Schema 1 had an amount in units; schema 2 has minor units and a currency.
//!     .step("paid", 1, |mut paid| {
//!         let units = paid["amount"].as_i64().ok_or("`amount` is not a number")?;
//!         paid["amount"] = json!({ "minor": units * 100, "currency": "EUR" });
//!         Ok(paid)
//!     })?;
//! assert_eq!(upcasters.current("paid"), 2);
//! assert_eq!(upcasters.current("placed"), 1); // nothing registered: as it first was
//! # Ok::<(), steadfast_journal::upcast::Error>(())
//! ```
//!
//! # Limits
//! A step sees one event's payload. It cannot split, merge or drop events, nor look elsewhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Event, Position, StreamId, Version};

/// What a step may fail with.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;

type Step = Box<dyn Fn(Value) -> Result<Value, StepError> + Send + Sync>;

/// The schema that every kind of event starts with.
pub const FIRST_SCHEMA: u16 = 1;

/// Why an event could not be lifted, or a step not be registered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The steps of a kind must be registered in order and without gaps.
    #[error("{kind:?}: the next step lifts schema {expected}, not {found}")]
    Gap {
        /// The kind of event.
        kind: Cow<'static, str>,
        /// The schema that the next step must lift.
        expected: u16,
        /// The schema that this one would lift.
        found: u16,
    },
    /// The event has a schema that this program does not know.
    #[error(
        "{kind:?} at {position} ({stream}, version {version}) has schema {found}; this program \
         reads {FIRST_SCHEMA} to {current}: was it written by a newer one?"
    )]
    Unknown {
        /// The kind of event.
        kind: Cow<'static, str>,
        /// Where it stands.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its version.
        version: Version,
        /// Its schema.
        found: u16,
        /// The newest one that is known.
        current: u16,
    },
    /// The payload is not JSON, a step did not understand it, or the result has another shape
    /// than asked for.
    #[error(
        "{kind:?} at {position} ({stream}, version {version}), schema {schema}: {what}: {source}"
    )]
    Payload {
        /// The kind of event.
        kind: Cow<'static, str>,
        /// Where it stands.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its version.
        version: Version,
        /// The schema at which it failed.
        schema: u16,
        /// What was being done.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: StepError,
    },
}

/// For each kind of event, the steps from its first schema to the present one.
#[derive(Default)]
pub struct Upcasters {
    kinds: BTreeMap<Cow<'static, str>, Vec<Step>>,
}

impl Upcasters {
    /// Without steps: every kind has its first schema.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the step that lifts `kind` from schema `from` to the one after.
    ///
    /// # Errors
    /// [`Error::Gap`] when the kind's present schema is not `from`.
    pub fn step(
        mut self,
        kind: impl Into<Cow<'static, str>>,
        from: u16,
        lift: impl Fn(Value) -> Result<Value, StepError> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let kind = kind.into();
        let expected = self.current(&kind);
        // The last schema has no successor.
        if from != expected || from == u16::MAX {
            return Err(Error::Gap { kind, expected, found: from });
        }
        self.kinds.entry(kind).or_default().push(Box::new(lift));
        Ok(self)
    }

    /// The schema that events of this kind are written with today.
    #[must_use]
    pub fn current(&self, kind: &str) -> u16 {
        let steps = self.kinds.get(kind).map_or(0, Vec::len);
        u16::try_from(steps).map_or(u16::MAX, |steps| FIRST_SCHEMA.saturating_add(steps))
    }

    /// The payload in the present schema. One that has it already is not even parsed.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a schema from the future, [`Error::Payload`] when a step fails.
    pub fn lift(&self, event: &Event) -> Result<Bytes, Error> {
        if event.schema == self.current(&event.kind) {
            return Ok(event.payload.clone());
        }
        let lifted = self.lifted(event)?;
        let text = serde_json::to_vec(&lifted)
            .map_err(|source| failed(event, event.schema, "cannot write JSON", source.into()))?;
        Ok(text.into())
    }

    /// The payload in the present schema, as a value of a type.
    ///
    /// # Errors
    /// As [`Upcasters::lift`], and [`Error::Payload`] when the payload has another shape.
    pub fn decode<T: DeserializeOwned>(&self, event: &Event) -> Result<T, Error> {
        let current = self.current(&event.kind);
        let decoded = if event.schema == current {
            serde_json::from_slice(&event.payload)
        } else {
            serde_json::from_value(self.lifted(event)?)
        };
        decoded.map_err(|source| failed(event, current, "has another shape", source.into()))
    }

    fn lifted(&self, event: &Event) -> Result<Value, Error> {
        let current = self.current(&event.kind);
        if !(FIRST_SCHEMA..=current).contains(&event.schema) {
            return Err(Error::Unknown {
                kind: event.kind.clone(),
                position: event.position,
                stream: event.stream.clone(),
                version: event.version,
                found: event.schema,
                current,
            });
        }
        let mut value: Value = serde_json::from_slice(&event.payload)
            .map_err(|source| failed(event, event.schema, "is not JSON", source.into()))?;
        let steps = self.kinds.get(&event.kind).map_or(&[][..], Vec::as_slice);
        let steps = (FIRST_SCHEMA..).zip(steps).skip_while(|(from, _)| *from < event.schema);
        for (schema, step) in steps {
            value =
                step(value).map_err(|source| failed(event, schema, "cannot be lifted", source))?;
        }
        Ok(value)
    }
}

fn failed(event: &Event, schema: u16, what: &'static str, source: StepError) -> Error {
    Error::Payload {
        kind: event.kind.clone(),
        position: event.position,
        stream: event.stream.clone(),
        version: event.version,
        schema,
        what,
        source,
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.kinds.keys().map(|kind| (kind, self.current(kind)));
        f.debug_map().entries(current).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steadfast_time::Timestamp;

    use super::*;
    use crate::{Hash, Recorded};

    fn event(schema: u16, payload: &'static str) -> Event {
        Event::new(Recorded {
            position: Position(9),
            stream: StreamId::new("order", "a").unwrap(),
            version: Version(3),
            kind: "paid".into(),
            schema,
            at: Timestamp::default(),
            payload: Bytes::from_static(payload.as_bytes()),
            hash: Hash::default(),
        })
    }

    fn upcasters() -> Upcasters {
        Upcasters::new()
            .step("paid", 1, |mut paid| {
                let units = paid["amount"].as_i64().ok_or("`amount` is not a number")?;
                paid["amount"] = json!({ "minor": units * 100 });
                Ok(paid)
            })
            .unwrap()
            .step("paid", 2, |mut paid| {
                paid["amount"]["currency"] = json!("EUR");
                Ok(paid)
            })
            .unwrap()
    }

    #[test]
    fn steps_are_chained_from_wherever_the_event_stands() {
        let present = json!({ "amount": { "minor": 700, "currency": "EUR" } });
        for (schema, payload) in [
            (1, "{\"amount\":7}"),
            (2, "{\"amount\":{\"minor\":700}}"),
            (3, "{\"amount\":{\"minor\":700,\"currency\":\"EUR\"}}"),
        ] {
            let event = event(schema, payload);
            let lifted = upcasters().lift(&event).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&lifted).unwrap(), present);
            assert_eq!(upcasters().decode::<Value>(&event).unwrap(), present);
            assert_eq!(event.payload, payload.as_bytes(), "the event itself stays");
        }
    }

    #[test]
    fn the_present_schema_is_handed_out_byte_for_byte() {
        let event = event(3, "{ \"odd\" :1e2, \"odd\":2 }");
        assert_eq!(upcasters().lift(&event).unwrap(), event.payload);
    }

    #[test]
    fn gaps_are_found_at_registration() {
        for from in [0, 1, 2, 4, u16::MAX] {
            let error = upcasters().step("paid", from, Ok).unwrap_err();
            let Error::Gap { expected: 3, found, .. } = error else { panic!("{error}") };
            assert_eq!(found, from);
        }
        assert!(Upcasters::new().step("placed", 2, Ok).is_err());
        assert!(upcasters().step("paid", 3, Ok).is_ok());
    }

    #[test]
    fn a_schema_from_the_future_is_an_error_that_says_so() {
        for schema in [0, 4, u16::MAX] {
            let error = upcasters().lift(&event(schema, "{}")).unwrap_err();
            assert!(matches!(error, Error::Unknown { current: 3, .. }), "{error}");
        }
        let message = upcasters().decode::<Value>(&event(4, "{}")).unwrap_err().to_string();
        for part in ["paid", "at 9", "order/a, version 3", "schema 4", "1 to 3", "newer"] {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
        assert!(Upcasters::new().lift(&event(2, "{}")).is_err());
    }

    #[test]
    fn a_payload_that_does_not_fit_is_named_with_its_event() {
        let failures = [
            (event(1, "{\"amount\":\"x\"}"), "schema 1: cannot be lifted: `amount` is not"),
            (event(1, "{"), "schema 1: is not JSON"),
            (event(3, "[]"), "schema 3: has another shape"),
        ];
        for (event, part) in failures {
            let error = upcasters().decode::<BTreeMap<String, Value>>(&event).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.to_string().contains("at 9 (order/a, version 3)"), "{error}");
        }
    }
}
