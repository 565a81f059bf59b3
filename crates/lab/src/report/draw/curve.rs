//! Curves as SVG paths, in a square of 2,000 by 1,000 that is stretched over the plot.
//!
//! Whole numbers, each relative to the one before: a curve of 600 points takes about four
//! kilobytes, and is still finer than a screen.

use std::fmt::Write as _;

use super::scale::Axis;
use crate::limits::PICTURE_POINTS_MAX;

/// The square's width.
pub(crate) const WIDTH: f64 = 2_000.0;
/// The square's height.
pub(crate) const HEIGHT: f64 = 1_000.0;

/// A curve's path. A value that is no number makes a gap; a `stepped` curve holds each value until
/// the next point, and the last one until `until`.
pub(crate) fn path(points: &[(f64, f64)], x: &Axis, y: &Axis, stepped: Option<f64>) -> String {
    let points = thinned(points, PICTURE_POINTS_MAX);
    let mut pen = Pen::default();
    let mut level: Option<i64> = None;
    for &(at, value) in &points {
        if !(at.is_finite() && value.is_finite()) {
            pen.lift();
            level = None;
            continue;
        }
        let (px, py) = (along(x.place(at)), down(y.place(value)));
        if let (Some(level), true) = (level, stepped.is_some()) {
            pen.to(px, level);
        }
        pen.to(px, py);
        level = Some(py);
    }
    if let (Some(level), Some(until)) = (level, stepped) {
        pen.to(along(x.place(until)), level);
    }
    pen.path
}

/// Stretches of time as a path of horizontal strokes; none is too short to be seen. What begins after
/// the axis ends is left out.
pub(crate) fn strokes(spans: &[(f64, f64)], x: &Axis) -> String {
    let mut path = String::new();
    let mut end = i64::MIN;
    let shown = |span: &&(f64, f64)| span.0 < x.to && span.0.is_finite() && span.1.is_finite();
    for &(from, to) in spans.iter().filter(shown) {
        let from = along(x.place(from)).max(end).min(WIDTH as i64 - 4);
        let to = along(x.place(to)).max(from + 4);
        let _ = write!(path, "M{from} 0h{}", to - from);
        end = to;
    }
    path
}

fn along(place: f64) -> i64 {
    (place * WIDTH).round() as i64
}

fn down(place: f64) -> i64 {
    ((1.0 - place) * HEIGHT).round() as i64
}

#[derive(Default)]
struct Pen {
    path: String,
    at: Option<(i64, i64)>,
    drawing: bool,
}

impl Pen {
    fn to(&mut self, x: i64, y: i64) {
        let _ = match self.at {
            None => write!(self.path, "M{x} {y}"),
            Some(at) if at == (x, y) => Ok(()),
            Some((from_x, from_y)) => {
                let lead = if self.drawing { " " } else { "l" };
                self.drawing = true;
                write!(self.path, "{lead}{} {}", x - from_x, y - from_y)
            }
        };
        self.at = Some((x, y));
    }

    fn lift(&mut self) {
        // A point between two gaps is still to be seen: a stroke with round ends.
        if self.at.is_some() && !self.drawing {
            self.path.push_str("l1 0");
        }
        self.at = None;
        self.drawing = false;
    }
}

/// At most about so many points: of each piece the first, the lowest, the highest and the last, so
/// that no peak is lost (Jugel et al., "M4: a visualization-oriented time series data aggregation").
pub(crate) fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let piece = (4 * points.len()).div_ceil(most).max(4);
    let mut kept = Vec::with_capacity(most + 4);
    for piece in points.chunks(piece) {
        let by = |a: &usize, b: &usize| piece[*a].1.total_cmp(&piece[*b].1);
        let last = piece.len() - 1;
        let numbers = || (0..piece.len()).filter(|&at| piece[at].1.is_finite());
        let mut places =
            vec![0, numbers().min_by(by).unwrap_or(0), numbers().max_by(by).unwrap_or(0), last];
        // A gap stays one.
        places.extend((0..piece.len()).find(|&at| !piece[at].1.is_finite()));
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().map(|at| piece[at]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    fn axes() -> (Axis, Axis) {
        (Axis::time(10.0), Axis::upright(Unit::Count, [0.0, 10.0].into_iter()))
    }

    #[test]
    fn a_curve_is_whole_numbers_from_point_to_point() {
        let (x, y) = axes();
        assert_eq!(
            path(&[(0.0, 0.0), (5.0, 10.0), (10.0, 5.0)], &x, &y, None),
            "M0 1000l1000 -1000 1000 500"
        );
    }

    #[test]
    fn a_step_holds_its_value_to_the_end() {
        let (x, y) = axes();
        assert_eq!(
            path(&[(0.0, 0.0), (5.0, 10.0)], &x, &y, Some(10.0)),
            "M0 1000l1000 0 0 -1000 1000 0"
        );
    }

    #[test]
    fn what_is_no_number_is_a_gap() {
        let (x, y) = axes();
        let points = [(0.0, 0.0), (1.0, 0.0), (2.0, f64::NAN), (3.0, 0.0), (4.0, f64::NAN)];
        assert_eq!(path(&points, &x, &y, None), "M0 1000l200 0M600 1000l1 0");
    }

    #[test]
    fn thinning_keeps_the_peaks_and_the_order() {
        let points: Vec<(f64, f64)> =
            (0..100_000).map(|n| (f64::from(n), f64::from(u8::from(n == 54_321)))).collect();
        let kept = thinned(&points, 1_000);
        assert!(kept.len() <= 1_010, "{}", kept.len());
        assert!(kept.contains(&(54_321.0, 1.0)));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[99_999]));
    }

    #[test]
    fn a_short_stretch_is_still_seen_and_none_covers_the_next() {
        let (x, _) = axes();
        assert_eq!(strokes(&[(1.0, 1.0), (5.0, 6.0)], &x), "M200 0h4M1000 0h200");
        assert_eq!(strokes(&[(9.0, 9.0), (9.999, 20.0), (10.0, 11.0)], &x), "M1800 0h4M1996 0h4");
    }
}
