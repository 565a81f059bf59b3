//! A list of servers that are asked for the time.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use steadfast_time::limits::NTP_SERVERS_MAX;

use super::Setting;

/// Longest name of a host (RFC 1035) with a port.
const NAME_BYTES_MAX: usize = 253 + 6;

/// NTP servers, as `host` or `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(Vec<String>);

impl Servers {
    /// Their names.
    pub fn get(&self) -> &[String] {
        &self.0
    }

    /// Checks a list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(names: Vec<String>) -> Result<Self, String> {
        if names.len() > NTP_SERVERS_MAX {
            return Err(format!("{} servers are more than {NTP_SERVERS_MAX}", names.len()));
        }
        for (place, name) in names.iter().enumerate() {
            let shown: String = name.chars().take(80).collect();
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(odd) {
                return Err(format!("{shown:?} is not a host or host:port"));
            }
            // A server that is asked twice would have two votes.
            if names[..place].contains(name) {
                return Err(format!("{shown:?} is named twice"));
            }
        }
        Ok(Self(names))
    }
}

impl Setting for Servers {
    const ALLOWED: &'static str =
        "a list of up to 16 different servers, such as `[\"time.example.org\", \"10.0.0.7:123\"]`";
}

impl Serialize for Servers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Servers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&Servers::ALLOWED.replace('`', ""))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Servers, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    names.push(name);
                    if names.len() > NTP_SERVERS_MAX {
                        break;
                    }
                }
                Servers::new(names).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_seq(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_and_each_votes_once() {
        let new = |names: &[&str]| Servers::new(names.iter().map(|&name| name.into()).collect());
        assert!(new(&["a.example", "10.0.0.7:123", "[::1]:123", "::1"]).is_ok());
        for wrong in [&["a", "a"][..], &[""], &["a b"], &["ntp://a"], &["x"; 17]] {
            assert!(new(wrong).is_err(), "{wrong:?}");
        }
        let wrong = serde_json::from_str::<Servers>(r#"["a", 5]"#).unwrap_err();
        assert!(wrong.to_string().contains("expected a string"), "{wrong}");
    }
}
