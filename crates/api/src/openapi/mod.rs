//! The OpenAPI document of the public listener, made from the handlers' own annotations.
//!
//! The domain knows no HTTP, so its types are described here a second time (`schema`); a test
//! reads and writes real values against the descriptions. Which errors an operation can answer
//! with is a table (`errors`), so that the codes are the ones of [`crate::Code`].

mod errors;
pub(crate) mod params;
pub(crate) mod schema;

use std::sync::OnceLock;

use bytes::Bytes;
use utoipa::OpenApi;

use crate::routes;
use errors::Problems;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Steadfast",
        description = "Takes orders and dispatches couriers, exactly once.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    servers((url = "http://127.0.0.1:7070", description = "The public listener, as it comes")),
    tags(
        (name = "orders", description = "Placing, showing, following and cancelling orders."),
        (name = "couriers", description = "Couriers and their shifts."),
        (name = "offers", description = "Offers, and the assignments that they become."),
        (name = "zones", description = "Areas with a dispatcher and a capacity each."),
        (name = "about", description = "What the interface says of itself."),
    ),
    paths(
        routes::place::place, routes::orders::list, routes::orders::get, routes::orders::events,
        routes::track::track, routes::orders::cancel, routes::couriers::get,
        routes::couriers::put_shift, routes::couriers::heartbeat, routes::couriers::offers,
        routes::couriers::assignments, routes::offers::accept, routes::offers::decline, routes::offers::arrived,
        routes::offers::picked_up, routes::offers::delivered, routes::zones::list,
        routes::zones::get, routes::zones::put, routes::about::openapi, routes::about::errors,
    ),
    components(schemas(errors::Problem)),
    modifiers(&Problems),
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as `/openapi.json` gives it out: indented, for people too.
#[must_use]
pub fn json() -> Bytes {
    static JSON: OnceLock<Bytes> = OnceLock::new();
    let make = || {
        let mut json = serde_json::to_vec_pretty(&document()).unwrap_or_default();
        json.push(b'\n');
        Bytes::from(json)
    };
    JSON.get_or_init(make).clone()
}
