//! Bodies, as the document describes them.
#![expect(dead_code, reason = "these types only describe; nothing reads their fields")]

use utoipa::ToSchema;

/// A place: planar metres, or degrees on the globe. One deployment uses one kind.
#[derive(ToSchema)]
#[schema(example = json!({"x": 22135, "y": 16867}))]
pub(crate) enum Location {
    #[schema(title = "planar")]
    #[serde(untagged)]
    Planar(Planar),
    #[schema(title = "geographic")]
    #[serde(untagged)]
    Geographic(Geographic),
}

/// Metres on a plane.
#[derive(ToSchema)]
#[schema(additional_properties = false)]
pub(crate) struct Planar {
    /// Metres east of the origin.
    #[schema(minimum = -10_000_000, maximum = 10_000_000)]
    x: f64,
    /// Metres north of the origin.
    #[schema(minimum = -10_000_000, maximum = 10_000_000)]
    y: f64,
}
