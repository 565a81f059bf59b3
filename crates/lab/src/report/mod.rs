//! What a reader sees: a page for each run, a gallery over many, and the same figures as JSON, as
//! text for a terminal, and as Markdown for the documentation.
//!
//! All of them say the verdict first and come from the same [`Report`](crate::run::Report); none of
//! them judges anything. A [page](html::page) is one file that needs no network and no script: light
//! or dark as the reader likes, on a screen or on a phone. [`save`] writes it all into a folder.
//!
//! | for | |
//! |---|---|
//! | a browser | [`html::page`], [`gallery::page`] |
//! | a program | [`json()`], and [`load`] for what a gallery needs of it |
//! | a terminal | [`terminal::table`] |
//! | the documentation | [`markdown::figures`], [`markdown::update`] |
//!
//! # Limits
//! Curves, pieces of histories and long tables are cut to what a reader can look at
//! ([`limits`](crate::limits)); the JSON has all of it, and the histories are files of their own.

mod draw;
pub mod gallery;
pub mod html;
mod json;
pub mod markdown;
mod save;
mod summary;
pub mod terminal;
mod words;

pub use json::json;
pub use save::{Gallery, Saved, index, save};
pub use summary::{NotAReport, Summary, VariantSummary, load};
