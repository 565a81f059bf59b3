//! Where a provider (stock, payment) is.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Setting;

/// The built-in sandbox, or a service of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The sandbox's durable ledger.
    Sandbox,
    /// Somewhere else.
    Remote(Remote),
}

/// A service of the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its base URL.
    pub url: String,
    /// The environment variable that holds its bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

const EXPECTED: &str =
    "\"sandbox\" or a table such as { url = \"http://stock:8080\", token_env = \"STOCK_TOKEN\" }";

impl Setting for Provider {
    const ALLOWED: &'static str = "`\"sandbox\"`, or a table such as \
        `{ url = \"http://stock:8080\", token_env = \"STOCK_TOKEN\" }`";
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sandbox => serializer.serialize_str("sandbox"),
            Self::Remote(remote) => remote.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Provider;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Provider, E> {
                match text {
                    "sandbox" => Ok(Provider::Sandbox),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Provider, A::Error> {
                let remote = Remote::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match remote.url.parse::<http::Uri>() {
                    Ok(uri) if uri.scheme_str() == Some("http") && uri.host().is_some() => {
                        Ok(Provider::Remote(remote))
                    }
                    _ => Err(de::Error::custom(format!(
                        "url: {:?} is not a URL such as \"http://stock:8080\"",
                        remote.url
                    ))),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
