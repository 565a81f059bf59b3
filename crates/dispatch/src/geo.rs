//! Where something is.

use std::fmt;

use serde::de::{self, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};

/// A place: planar metres, or degrees on the globe. One deployment uses one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Location {
    /// Metres east (`x`) and north (`y`) of any origin.
    Planar(Planar),
    /// Degrees, WGS 84.
    Geographic(Geographic),
}

/// Metres on a plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Planar {
    /// Metres east of the origin.
    pub x: f64,
    /// Metres north of the origin.
    pub y: f64,
}

/// Degrees on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Geographic {
    /// Degrees north, −90 to 90.
    pub lat: f64,
    /// Degrees east, −180 to 180.
    pub lon: f64,
}

/// Which kind of [`Location`] a deployment uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocationKind {
    /// `{"x", "y"}`.
    #[default]
    Planar,
    /// `{"lat", "lon"}`.
    Geographic,
}

/// Largest planar coordinate either way, in metres: a quarter of the earth's circumference.
pub const PLANAR_METRES_MAX: f64 = 10_000_000.0;

impl Location {
    /// A place on a plane.
    #[must_use]
    pub const fn planar(x: f64, y: f64) -> Self {
        Self::Planar(Planar { x, y })
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> LocationKind {
        match self {
            Self::Planar(_) => LocationKind::Planar,
            Self::Geographic(_) => LocationKind::Geographic,
        }
    }

    /// The two numbers: `(x, y)` in metres, or `(lat, lon)` in degrees.
    #[must_use]
    pub const fn pair(&self) -> (f64, f64) {
        match self {
            Self::Planar(Planar { x, y }) => (*x, *y),
            Self::Geographic(Geographic { lat, lon }) => (*lat, *lon),
        }
    }

    /// What is wrong with the numbers, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let (a, b) = self.pair();
        let (a_max, b_max, problem) = match self {
            Self::Planar(_) => (
                PLANAR_METRES_MAX,
                PLANAR_METRES_MAX,
                "x and y must be between -10000000 and 10000000 metres",
            ),
            Self::Geographic(_) => {
                (90.0, 180.0, "lat must be between -90 and 90, lon between -180 and 180 degrees")
            }
        };
        // Written so that NaN is a problem too.
        let fits = a.abs() <= a_max && b.abs() <= b_max;
        (!fits).then_some(problem)
    }
}

/// Read by hand, so that a mixture, an array or a missing half is called what it is.
impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

const FIELDS: &[&str] = &["x", "y", "lat", "lon"];

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Location;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a location: {\"x\", \"y\"} or {\"lat\", \"lon\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Location, A::Error> {
        let mut numbers = [None; 4];
        while let Some(field) = map.next_key::<String>()? {
            let place = FIELDS.iter().position(|known| *known == field);
            let place = place.ok_or_else(|| de::Error::unknown_field(&field, FIELDS))?;
            if numbers[place].replace(map.next_value::<f64>()?).is_some() {
                return Err(de::Error::duplicate_field(FIELDS[place]));
            }
        }
        match numbers {
            [Some(x), Some(y), None, None] => Ok(Location::Planar(Planar { x, y })),
            [None, None, Some(lat), Some(lon)] => Ok(Location::Geographic(Geographic { lat, lon })),
            _ => Err(de::Error::custom(
                "a location has either \"x\" and \"y\" or \"lat\" and \"lon\", both of them",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_mixtures_are_not() {
        let planar: Location = serde_json::from_str(r#"{"x":22135,"y":16867}"#).unwrap();
        assert_eq!(planar, Location::planar(22135.0, 16867.0));
        let globe: Location = serde_json::from_str(r#"{"lat":37.5,"lon":127.0}"#).unwrap();
        assert_eq!(globe.kind(), LocationKind::Geographic);
        for text in [r#"{"x":1}"#, r#"{"x":1,"lat":2}"#, r#"{"x":1,"y":2,"lat":3}"#, "[1,2]", "7"] {
            assert!(serde_json::from_str::<Location>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_off_the_map_are_a_problem() {
        for (x, y) in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (1e8, 0.0)] {
            assert!(Location::planar(x, y).problem().is_some());
        }
        assert!(Location::planar(-5.0, 9e6).problem().is_none());
        let off = Location::Geographic(Geographic { lat: 91.0, lon: 0.0 });
        assert!(off.problem().is_some());
    }
}
