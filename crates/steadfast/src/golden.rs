//! Golden files: generated text that is kept, so that a change of it is seen.
//!
//! `cargo xtask golden` writes them anew; the test that compares fails until that is done and
//! the difference has been looked at.

use std::fs;
use std::path::Path;

/// Compares `actual` with a file beside this crate's manifest, or writes it when
/// `UPDATE_GOLDEN` is set.
///
/// # Panics
/// They differ, or the file cannot be read or written.
pub fn check(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == actual {
        return;
    }
    let differs = |(a, b): &(&str, &str)| a != b;
    let line = expected.lines().zip(actual.lines()).position(|pair| differs(&pair));
    let line = line.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    panic!(
        "{file} is out of date from line {}:\n- {}\n+ {}\nrun `cargo xtask golden` and look at the \
         difference",
        line + 1,
        expected.lines().nth(line).unwrap_or("(nothing)"),
        actual.lines().nth(line).unwrap_or("(nothing)"),
    );
}
