//! Zones: areas with a dispatcher and a capacity each.

mod settings;

pub use settings::{Area, PolicyName, ZoneRequest, ZoneSettings, ZoneView};

/// The category of zone streams.
pub const CATEGORY: &str = "zone";
