//! From values to places, with ticks at steps of 1, 2 and 5.

use crate::quantity::{Quantity, Unit};

/// How far apart two labelled ticks may be at least, as a part of the axis' length: with more labels
/// than that they run into each other on a phone.
const TICKS_MAX: usize = 6;

/// The ticks of an upright axis; it is short.
const TICKS_UPRIGHT_MAX: usize = 4;

/// One tick.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Where, 0 to 1.
    pub(crate) place: f64,
    /// The value there, with its unit.
    pub(crate) label: String,
}

/// One axis of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// The value at its beginning.
    pub(crate) from: f64,
    /// The value at its end.
    pub(crate) to: f64,
    /// Whether equal lengths are equal factors.
    pub(crate) log: bool,
    /// Of its values.
    pub(crate) unit: Unit,
    /// In rising order.
    pub(crate) ticks: Vec<Tick>,
}

impl Axis {
    /// Time from zero to the end of a trial, in seconds. It ends where the trial does.
    pub(crate) fn time(to: f64) -> Self {
        let to = if to.is_finite() && to > 0.0 { to } else { 1.0 };
        let mut axis = Self { from: 0.0, to, log: false, unit: Unit::Time, ticks: Vec::new() };
        axis.ticks = axis.linear_ticks(TICKS_MAX);
        axis
    }

    /// An upright axis for values of a unit. Lengths of time that differ by orders of magnitude get
    /// a logarithmic one, as latencies are usually shown; everything else begins at zero.
    pub(crate) fn upright(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (values.first(), values.last()) else {
            return Self::linear(unit, 0.0, 1.0, TICKS_UPRIGHT_MAX);
        };
        let positive = &values[values.partition_point(|&value| value <= 0.0)..];
        let low = positive.get(positive.len() / 20).copied().unwrap_or(most);
        let middle = positive.get(positive.len() / 2).copied().unwrap_or(most);
        // Most values would lie on the bottom line.
        if unit == Unit::Time && least >= 0.0 && most > 20.0 * middle && most > 100.0 * low {
            return Self::logarithmic(unit, low, most, TICKS_UPRIGHT_MAX);
        }
        Self::linear(unit, least.min(0.0), most, TICKS_UPRIGHT_MAX)
    }

    /// An axis of a chart, whose values have no unit of their own.
    pub(crate) fn chart(log: bool, upright: bool, values: impl Iterator<Item = f64>) -> Self {
        let most = if upright { TICKS_UPRIGHT_MAX } else { TICKS_MAX };
        let values: Vec<f64> =
            values.filter(|value| value.is_finite() && (!log || *value > 0.0)).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match (values.is_empty(), log) {
            (true, _) => Self::linear(Unit::Count, 0.0, 1.0, most),
            (false, true) => Self::logarithmic(Unit::Count, least, highest, most),
            // A chart of 98 to 100 that begins at zero shows nothing.
            (false, false) if least > 0.5 * highest => {
                Self::linear(Unit::Count, least, highest, most)
            }
            (false, false) => Self::linear(Unit::Count, least.min(0.0), highest, most),
        }
    }

    /// An axis from the least value to the highest, without ticks.
    pub(crate) fn tight(log: bool, values: impl Iterator<Item = f64>) -> Self {
        let mut axis = Self::chart(log, false, std::iter::empty());
        let values = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (least, highest) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if highest > least {
            (axis.from, axis.to, axis.log) = (least, highest, log);
        }
        axis.ticks.clear();
        axis
    }

    fn linear(unit: Unit, least: f64, highest: f64, most: usize) -> Self {
        let highest = if highest > least { highest } else { least + 1.0 };
        let (factor, _) = measure(unit, highest.abs().max(least.abs()));
        let step = step((highest - least) * factor, most);
        let from = (least * factor / step + 1e-9).floor() * step / factor;
        let to = (highest * factor / step - 1e-9).ceil() * step / factor;
        let mut axis = Self { from, to, log: false, unit, ticks: Vec::new() };
        axis.ticks = axis.linear_ticks(most);
        axis
    }

    fn linear_ticks(&self, most: usize) -> Vec<Tick> {
        let (factor, suffix) = measure(self.unit, self.to.abs().max(self.from.abs()));
        let (from, to) = (self.from * factor, self.to * factor);
        let step = step(to - from, most);
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        let tick = |number: i64| {
            let value = number as f64 * step;
            let place = ((value - from) / (to - from)).clamp(0.0, 1.0);
            Tick { place, label: label(value, step, to.abs().max(from.abs()), suffix) }
        };
        (first..=last).map(tick).collect()
    }

    fn logarithmic(unit: Unit, least: f64, highest: f64, most: usize) -> Self {
        let (low, high) = (least.log10(), highest.log10());
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let steps = |from: i32, to: i32| {
            (from..=to).flat_map(|power| [1.0, 2.0, 5.0].map(|part| part * 10f64.powi(power)))
        };
        let near = |a: f64, b: f64| a <= b * (1.0 + 1e-9);
        let from = steps(first, last).filter(|&at| near(at, least)).fold(0.0, f64::max);
        let to = steps(first, last)
            .filter(|&at| near(highest, at))
            .fold(f64::INFINITY, f64::min)
            .max(from * 2.0);
        let mut axis = Self { from, to, log: true, unit, ticks: Vec::new() };
        let decades = (first..=last).map(|power| 10f64.powi(power));
        let within = |at: &f64| near(from, *at) && near(*at, to);
        let whole: Vec<f64> = decades.filter(within).collect();
        let values: Vec<f64> = if whole.len() >= 3 {
            let every = whole.len().div_ceil(most.max(1));
            whole.into_iter().step_by(every).collect()
        } else {
            let all: Vec<f64> = steps(first, last).filter(within).collect();
            let every = all.len().div_ceil(most.max(1));
            all.into_iter().step_by(every).collect()
        };
        axis.ticks = values
            .into_iter()
            .map(|value| Tick { place: axis.place(value), label: plain(unit, value) })
            .collect();
        axis
    }

    /// Where a value lies, 0 to 1; what lies outside is put on the edge.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = if self.log {
            if value <= 0.0 {
                return 0.0;
            }
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }
}

/// The smallest step of 1, 2 or 5 times a power of ten that cuts a range into at most so many.
pub(crate) fn step(range: f64, most: usize) -> f64 {
    if !(range > 0.0 && range.is_finite()) {
        return 1.0;
    }
    let raw = range / most as f64;
    let power = 10f64.powi(raw.log10().floor() as i32);
    let parts = [1.0, 2.0, 5.0].map(|part| part * power);
    parts.into_iter().find(|&step| step >= raw * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// In which measure values of this size are shown: the factor to it, and what follows the number.
fn measure(unit: Unit, most: f64) -> (f64, &'static str) {
    match unit {
        Unit::Count => (1.0, ""),
        Unit::Share => (100.0, " %"),
        Unit::Time if most > 2.0 * 3_600.0 => (1.0 / 3_600.0, " h"),
        Unit::Time if most > 120.0 => (1.0 / 60.0, " min"),
        Unit::Time if most > 1.0 => (1.0, " s"),
        Unit::Time if most > 1e-3 => (1e3, " ms"),
        Unit::Time => (1e6, " µs"),
        Unit::Rate => (1.0, "/s"),
        Unit::Times => (1.0, "×"),
    }
}

fn label(value: f64, step: f64, most: f64, suffix: &str) -> String {
    let (by, letter) = match most {
        m if m >= 1e7 => (1e6, "M"),
        m if m >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    // A zero needs no unit.
    if value == 0.0 {
        return "0".to_owned();
    }
    let places = usize::try_from(-((step / by).log10() + 1e-9).floor() as i64).unwrap_or(0);
    format!("{:.places$}{letter}{suffix}", value / by)
}

/// A value by itself, as on a logarithmic axis.
fn plain(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count if !(1e-3..1e9).contains(&value) => power_of_ten(value),
        Unit::Count if value >= 1e6 => format!("{}M", value / 1e6),
        Unit::Count if value >= 1e4 => format!("{}k", value / 1e3),
        // As many digits as it takes, and not 0.30000000000000004.
        Unit::Count => {
            let places = usize::try_from(-(value.log10() + 1e-9).floor() as i64).unwrap_or(0);
            format!("{value:.places$}")
        }
        unit => Quantity { value, unit }.to_string(),
    }
}

/// `10⁻⁶`, `2·10⁻⁶`.
fn power_of_ten(value: f64) -> String {
    let power = (value.log10() + 1e-9).floor();
    let part = (value / 10f64.powi(power as i32)).round();
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        // The others stand in a row.
        digit => {
            digit.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(digit)
        }
    };
    let power: String = format!("{power}").chars().map(raised).collect();
    if part == 1.0 { format!("10{power}") } else { format!("{part}·10{power}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_stand_at_steps_of_one_two_and_five() {
        assert_eq!(
            labels(&Axis::time(60.0)),
            ["0", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s"]
        );
        assert_eq!(labels(&Axis::time(600.0)), ["0", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        let shares = Axis::upright(Unit::Share, [0.0, 0.043].into_iter());
        assert_eq!(labels(&shares), ["0", "2 %", "4 %", "6 %"]);
        let rates = Axis::upright(Unit::Rate, [12.0, 17_300.0].into_iter());
        assert_eq!(labels(&rates), ["0", "5k/s", "10k/s", "15k/s", "20k/s"]);
        assert_eq!(
            labels(&Axis::upright(Unit::Count, [0.3].into_iter())),
            ["0", "0.1", "0.2", "0.3"]
        );
    }

    #[test]
    fn latencies_over_orders_of_magnitude_get_a_logarithmic_axis() {
        let values = (0..100).map(|n| if n < 95 { 0.002 } else { 2.0 });
        let axis = Axis::upright(Unit::Time, values);
        assert!(axis.log);
        assert_eq!(labels(&axis), ["10 ms", "100 ms", "1 s"]);
        assert_eq!(axis.place(0.0), 0.0, "below the lowest");
        assert!((axis.place(axis.to) - 1.0).abs() < 1e-12);
        assert!(!Axis::upright(Unit::Time, [0.1, 0.2, 0.3].into_iter()).log);
    }

    #[test]
    fn a_logarithmic_axis_of_less_than_a_decade_has_labels_too() {
        let axis = Axis::chart(true, true, [3.0, 7.0].into_iter());
        assert_eq!((axis.from, axis.to), (2.0, 10.0));
        assert_eq!(labels(&axis), ["2", "5", "10"]);
        let one = Axis::chart(true, true, [1.0].into_iter());
        assert!(one.to > one.from && one.ticks.len() >= 2);
    }

    #[test]
    fn very_small_and_very_large_are_powers_of_ten() {
        assert_eq!(plain(Unit::Count, 1e-6), "10⁻⁶");
        assert_eq!(plain(Unit::Count, 2e-12), "2·10⁻¹²");
        assert_eq!(plain(Unit::Count, 1e10), "10¹⁰");
        assert_eq!(plain(Unit::Count, 0.02), "0.02");
        assert_eq!(plain(Unit::Count, 5e4), "50k");
    }

    #[test]
    fn nothing_and_nonsense_still_make_an_axis() {
        for axis in [
            Axis::time(f64::NAN),
            Axis::time(0.0),
            Axis::upright(Unit::Rate, std::iter::empty()),
            Axis::upright(Unit::Rate, [f64::NAN, f64::INFINITY].into_iter()),
            Axis::upright(Unit::Count, [5.0, 5.0].into_iter()),
            Axis::upright(Unit::Count, [-3.0, -1.0].into_iter()),
            Axis::chart(true, false, [0.0, -1.0].into_iter()),
        ] {
            assert!(axis.to > axis.from, "{axis:?}");
            assert!(!axis.ticks.is_empty() && axis.ticks.len() <= 8, "{axis:?}");
            assert!(axis.ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.place)), "{axis:?}");
        }
    }
}
