//! A picture of the size of a word.

use maud::{Markup, html};

use super::curve::{HEIGHT, WIDTH, path};
use super::scale::Axis;
use crate::quantity::Unit;

/// Curves without axes; a number for the colour of each.
pub(crate) fn spark(title: &str, curves: &[(usize, &[(f64, f64)])], log: (bool, bool)) -> Markup {
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let x = Axis::tight(log.0, all().map(|point| point.0));
    let y = if log.1 {
        Axis::chart(true, true, all().map(|point| point.1))
    } else {
        Axis::upright(Unit::Count, all().map(|point| point.1))
    };
    html! {
        svg.spark role="img" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" {
            title { (title) }
            @for (number, points) in curves {
                path class={ "curve c" (number % 8) } d=(path(points, &x, &y, None)) {}
            }
        }
    }
}
