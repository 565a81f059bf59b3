//! Routes that may be hedged.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Setting;

/// Routes that are safe to be made twice: they change nothing.
pub const SAFE: [&str; 2] = ["get_order", "list_order_events"];

/// A list of routes, each of which is safe to be made twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(Vec<&'static str>);

impl Routes {
    /// All that are safe.
    pub fn safe() -> Self {
        Self(SAFE.to_vec())
    }

    /// The routes.
    pub fn get(&self) -> &[&'static str] {
        &self.0
    }
}

impl Setting for Routes {
    const ALLOWED: &'static str =
        "a list of routes that are safe to be made twice: `\"get_order\"`, `\"list_order_events\"`";
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Routes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of routes that are safe to be made twice: {}", SAFE.join(", "))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Routes, A::Error> {
                let mut routes = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    let safe = SAFE.into_iter().find(|safe| *safe == name).ok_or_else(|| {
                        let name: String = name.chars().take(80).collect();
                        de::Error::custom(format!(
                            "{name:?} cannot be hedged, for it is not known to be safe to be made \
                             twice; may be: {}",
                            SAFE.join(", ")
                        ))
                    })?;
                    if !routes.contains(&safe) {
                        routes.push(safe);
                    }
                }
                Ok(Routes(routes))
            }
        }

        deserializer.deserialize_seq(Visitor)
    }
}
