//! Pictures, without a page around them.
//!
//! # Own SVG, or a library
//! The pictures are few: curves over time, lanes of states, a space-time diagram, bars. What makes
//! them good is not drawing lines. It is that they follow the reader's light or dark theme through
//! the page's style sheet, that letters keep their size when a phone squeezes the plot, that the same
//! curve has the same colour and can be switched off in all pictures at once, and that each picture
//! says in words what it shows. `plotters` writes fixed colours and pixels, for one size and one
//! theme, without classes or titles; `charming` needs a JavaScript run time. So the elements are
//! written here, through `maud`, which escapes every text; the scales and ticks are a page of code.
//!
//! # How a picture fits any width
//! A plot has no view box: heights are in pixels, places along the axis in per cent. Only the curves
//! lie in a box that is stretched, with strokes that are not.

pub(crate) mod bands;
pub(crate) mod curve;
pub(crate) mod plot;
pub(crate) mod scale;
pub(crate) mod spacetime;
pub(crate) mod spark;

/// A share as SVG has it.
pub(crate) fn percent(share: f64) -> String {
    format!("{}%", (share * 10_000.0).round() / 100.0)
}

/// About how wide a text is in the pictures' letters of 11 pixels.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.3
}

/// A text of at most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
