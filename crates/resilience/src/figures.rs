//! How figures are written in events and errors.

use std::fmt;
use std::time::Duration;

/// A length of time with as many digits as say something: `60 s`, `2.5 s`, `350 ms`, `12.3 µs`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief(pub(crate) Duration);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (value, unit) = if seconds >= 1.0 {
            (seconds, "s")
        } else if seconds >= 1e-3 {
            (seconds * 1e3, "ms")
        } else {
            (seconds * 1e6, "µs")
        };
        let value = if value >= 100.0 { value.round() } else { (value * 10.0).round() / 10.0 };
        write!(f, "{value} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit_and_few_digits() {
        let rows = [
            (Duration::from_secs(60), "60 s"),
            (Duration::from_millis(2_512), "2.5 s"),
            (Duration::from_millis(350), "350 ms"),
            (Duration::from_nanos(12_345), "12.3 µs"),
            (Duration::from_secs(259), "259 s"),
            (Duration::ZERO, "0 µs"),
        ];
        for (length, text) in rows {
            assert_eq!(Brief(length).to_string(), text);
        }
    }
}
