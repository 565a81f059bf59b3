//! The types of configuration values.
//!
//! A value that is wrong should be refused where it is read, by a sentence that says what would
//! have been right. So each kind of value is a type that reads itself, and knows how to describe
//! what it accepts: the same words serve the error message and the reference.

mod concurrency;
mod coordination;
mod length;
mod off;
mod provider;
mod routes;
mod servers;
mod share;
mod size;
mod text;
mod window;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use concurrency::Concurrency;
pub use coordination::Coordination;
pub use length::Length;
pub use off::OrOff;

pub use provider::{Provider, Remote};
pub use routes::Routes;
pub use servers::Servers;
pub use share::Share;
pub use size::Size;
pub use window::Window;
pub use words::{
    Adaptive, ClockSource, Distribution, Duplicates, Locations, LogFormat, Policy, Store,
};

/// A kind of configuration value.
pub trait Setting: Serialize + DeserializeOwned {
    /// What it accepts, as it follows the words "must be" or stands in a table.
    const ALLOWED: &'static str;
}

macro_rules! allowed {
    ($($kind:ty => $words:literal,)*) => {
        $(impl Setting for $kind {
            const ALLOWED: &'static str = $words;
        })*
    };
}

allowed! {
    bool => "`true` or `false`",
    u16 => "a whole number from 0 to 65535",
    u32 => "a whole number from 0 to 4294967295",
    u64 => "a whole number that is not negative",
    usize => "a whole number that is not negative",
    f64 => "a number",
    String => "text",
    Option<String> => "text",
    PathBuf => "a path",
    SocketAddr => "an address and a port, such as `\"127.0.0.1:7070\"`",
}
