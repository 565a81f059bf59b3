//! Configuration: one TOML file, and three ways to override it.
//!
//! A key comes from a flag, or else from the environment, or else from the file, or else it has
//! its default; [`Loaded::origin`] says which. What is wrong is refused before anything starts,
//! all of it at once, with the key, the file, the line, and what is allowed. A key that nobody
//! knows is an error with a suggestion, because a typo that is ignored looks like a setting that
//! does not work.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | every key with its meaning and its default; the one place to add one |
//! | [`value`] | the types of values: [`value::Length`], [`value::Size`], … |
//! | [`load`](mod@load) | the sources and their order |
//! | [`check`] | rules between keys |
//! | [`policies`] | the numbers of every policy |
//! | [`budget`] | the tree of deadlines, and whether it adds up |
//! | [`reference`](mod@reference) | the reference page, generated from the above |

pub mod budget;
mod check;
mod error;
mod lines;
mod load;
mod map;
mod overlay;
pub mod policies;
pub mod reference;
pub mod settings;
pub mod value;

pub use error::Error;
pub use load::{Flags, Loaded, load};
pub use settings::Config;
