//! A progress bar, on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar towards `length` on stderr; nothing when that is not a terminal.
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length).with_message(what);
    match ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3} %  {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
