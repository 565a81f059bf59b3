//! One source of configuration values, by name.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// A few keys that come from one place.
pub struct Overlay {
    name: String,
    values: Dict,
}

impl Overlay {
    /// A source without keys; `name` is what messages call it.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), values: Dict::new() }
    }

    /// With everything that `values` holds.
    ///
    /// # Errors
    /// It is not a table.
    pub fn of(
        name: impl Into<String>,
        values: impl serde::Serialize,
    ) -> Result<Self, Box<figment::Error>> {
        let value = Value::serialize(values)?;
        let values = value.into_dict().unwrap_or_default();
        Ok(Self { name: name.into(), values })
    }

    /// With one more key, by its path.
    pub fn with(mut self, path: &[&str], value: Value) -> Self {
        insert(&mut self.values, path, value);
        self
    }
}

fn insert(dict: &mut Dict, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let mut inner = dict.remove(*key).and_then(Value::into_dict).unwrap_or_default();
            insert(&mut inner, rest, value);
            dict.insert((*key).to_owned(), Value::from(inner));
        }
    }
}

impl Provider for Overlay {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}
