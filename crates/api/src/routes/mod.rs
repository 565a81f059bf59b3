//! The public routes.

pub(crate) mod about;
mod bodies;
pub(crate) mod couriers;
pub(crate) mod offers;
pub(crate) mod orders;
pub(crate) mod place;
pub(crate) mod track;
pub(crate) mod zones;

use axum::Router;
use axum::extract::Request;
use steadfast_time::Clock;

pub(crate) use bodies::{CancelRequest, CourierRequest, DeliveredRequest};

use crate::extract::body;
use crate::meter::{Timed, get, post, put};
use crate::problem::{Code, Problem};
use crate::state::Api;

impl Timed for Api {
    fn clock(&self) -> &Clock {
        Self::clock(self)
    }
}

/// The routes of the public listener. Install the recorder of metrics before.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/orders", get("list_orders", orders::list).merge(post("place_order", place::place)))
        .route("/orders/{id}", get("get_order", orders::get))
        .route("/orders/{id}/events", get("list_order_events", orders::events))
        .route("/orders/{id}/track", get("track_order", track::track))
        .route("/orders/{id}/cancel", post("cancel_order", orders::cancel))
        .route("/couriers/{id}", get("get_courier", couriers::get))
        .route("/couriers/{id}/shift", put("put_shift", couriers::put_shift))
        .route("/couriers/{id}/heartbeat", post("heartbeat", couriers::heartbeat))
        .route("/couriers/{id}/offers", get("list_offers", couriers::offers))
        .route("/couriers/{id}/assignments", get("list_assignments", couriers::assignments))
        .route("/offers/{id}/accept", post("accept_offer", offers::accept))
        .route("/offers/{id}/decline", post("decline_offer", offers::decline))
        .route("/assignments/{id}/arrived", post("report_arrived", offers::arrived))
        .route("/assignments/{id}/picked-up", post("report_picked_up", offers::picked_up))
        .route("/assignments/{id}/delivered", post("report_delivered", offers::delivered))
        .route("/zones", get("list_zones", zones::list))
        .route("/zones/{id}", get("get_zone", zones::get).merge(put("put_zone", zones::put)))
        .route("/openapi.json", get("get_openapi", about::openapi))
        .route("/errors", get("get_errors", about::errors))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(api)
}

/// What every path that there is not answers.
pub(crate) async fn unknown(request: Request) -> Problem {
    let (parts, rest) = request.into_parts();
    body::discard(&parts.headers, rest).await;
    Problem::new(Code::RouteNotFound, format!("there is no path {}", parts.uri.path()))
}

/// What a path answers to a method that it does not take; axum adds `Allow`.
pub(crate) async fn not_allowed(request: Request) -> Problem {
    let (parts, rest) = request.into_parts();
    body::discard(&parts.headers, rest).await;
    let (method, path) = (&parts.method, parts.uri.path());
    Problem::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}
