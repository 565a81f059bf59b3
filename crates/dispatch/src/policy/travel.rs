//! How far and how long: distances and travel times behind one type.
//!
//! Recorded days give planar metres and round every leg up to a whole minute; a live deployment
//! has latitudes and longitudes and wants seconds. Both are a [`Travel`], so that no policy ever
//! computes a distance itself and the two can not drift apart.

/// Mean radius of the Earth in metres (IUGG: (2a + b) / 3 of WGS 84).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A place. The meaning of the two numbers is that of the [`Metric`] they are used with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Metres east ([`Metric::Planar`]) or degrees of longitude ([`Metric::Haversine`]).
    pub x: f64,
    /// Metres north ([`Metric::Planar`]) or degrees of latitude ([`Metric::Haversine`]).
    pub y: f64,
}

impl Point {
    /// A planar point, both in metres.
    pub const fn planar(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// A point on the globe, both in degrees. Latitude first, as people say it.
    pub const fn geographic(lat: f64, lon: f64) -> Self {
        Self { x: lon, y: lat }
    }
}

/// How the distance of two points is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Straight line in the plane; points are metres.
    Planar,
    /// Great circle on a sphere (haversine formula, error against the ellipsoid below 0.6 %);
    /// points are degrees.
    Haversine,
}

/// How a travel time becomes a whole number of seconds. Always upwards: an estimate that is
/// rounded down promises what the courier can not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Up to the next whole minute, as in the recorded days of Grubhub's library.
    UpToMinute,
    /// Up to the next whole second.
    UpToSecond,
}

/// Travel times between points at one mean speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Travel {
    metric: Metric,
    metres_per_minute: f64,
    rounding: Rounding,
}

impl Travel {
    /// Travel at `metres_per_minute`.
    ///
    /// # Panics
    ///
    /// If the speed is not finite and positive: it comes from configuration or from a parsed
    /// file, and both check it first.
    pub fn new(metric: Metric, metres_per_minute: f64, rounding: Rounding) -> Self {
        assert!(
            metres_per_minute.is_finite() && metres_per_minute > 0.0,
            "the speed must be finite and positive, got {metres_per_minute} m/min"
        );
        Self { metric, metres_per_minute, rounding }
    }

    /// The rule of the recorded days: straight line, every leg rounded up to whole minutes.
    ///
    /// # Panics
    ///
    /// As [`Travel::new`].
    pub fn recorded(metres_per_minute: f64) -> Self {
        Self::new(Metric::Planar, metres_per_minute, Rounding::UpToMinute)
    }

    /// Distance in metres.
    pub fn metres(&self, from: Point, to: Point) -> f64 {
        match self.metric {
            Metric::Planar => {
                let (dx, dy) = (from.x - to.x, from.y - to.y);
                (dx * dx + dy * dy).sqrt()
            }
            Metric::Haversine => haversine_m(from, to),
        }
    }

    /// Travel time in whole seconds; 0 between equal points. With rounding the triangle
    /// inequality can fail: a detour may be quicker than the straight way.
    pub fn seconds(&self, from: Point, to: Point) -> i64 {
        let minutes = self.metres(from, to) / self.metres_per_minute;
        match self.rounding {
            Rounding::UpToMinute => minutes.ceil() as i64 * 60,
            Rounding::UpToSecond => (minutes * 60.0).ceil() as i64,
        }
    }
}

fn haversine_m(from: Point, to: Point) -> f64 {
    let half_lat = (to.y - from.y).to_radians() / 2.0;
    let half_lon = (to.x - from.x).to_radians() / 2.0;
    let h = half_lat.sin().powi(2)
        + from.y.to_radians().cos() * to.y.to_radians().cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_days_round_every_leg_up_to_a_minute() {
        let travel = Travel::recorded(320.0);
        let origin = Point::planar(0.0, 0.0);
        assert_eq!(travel.seconds(origin, origin), 0);
        assert_eq!(travel.seconds(origin, Point::planar(1.0, 0.0)), 60);
        assert_eq!(travel.seconds(origin, Point::planar(320.0, 0.0)), 60);
        assert_eq!(travel.seconds(origin, Point::planar(192.0, 256.0)), 60);
        assert_eq!(travel.seconds(origin, Point::planar(321.0, 0.0)), 120);
    }

    #[test]
    fn live_travel_rounds_up_to_a_second() {
        let travel = Travel::new(Metric::Planar, 320.0, Rounding::UpToSecond);
        let origin = Point::planar(0.0, 0.0);
        assert_eq!(travel.seconds(origin, Point::planar(160.0, 0.0)), 30);
        assert_eq!(travel.seconds(origin, Point::planar(161.0, 0.0)), 31);
    }

    #[test]
    fn one_degree_of_latitude_is_about_111_kilometres() {
        let travel = Travel::new(Metric::Haversine, 320.0, Rounding::UpToSecond);
        let metres = travel.metres(Point::geographic(37.0, 127.0), Point::geographic(38.0, 127.0));
        assert!((metres - 111_195.0).abs() < 1.0, "{metres}");
        let here = Point::geographic(37.5, 127.1);
        assert_eq!(travel.seconds(here, here), 0);
    }

    #[test]
    #[should_panic(expected = "the speed must be finite and positive")]
    fn a_speed_of_zero_is_refused() {
        let _ = Travel::recorded(0.0);
    }
}
