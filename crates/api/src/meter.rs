//! Counting and timing requests.
//!
//! Looking a metric up by its labels costs more than serving a small request, so each route
//! fetches its handles once, when the router is made. The recorder must be installed before.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::StatusCode;
use metrics::{Counter, Histogram};
use steadfast_time::Clock;

use crate::problem::Problem;

/// Requests answered, by `route` and `status`.
pub const REQUESTS_TOTAL: &str = "steadfast_http_requests_total";
/// Seconds from the head of a request to the head of its answer, by `route`.
pub const REQUEST_SECONDS: &str = "steadfast_http_request_duration_seconds";

/// The statuses that our routes answer with. One that is missing here is counted as `other`.
const STATUSES: [u16; 21] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 500, 502,
    503, 504,
];

/// The handles of one route.
pub(crate) struct Meter {
    route: &'static str,
    seconds: Histogram,
    by_status: [OnceLock<Counter>; STATUSES.len()],
    other: OnceLock<Counter>,
}

impl Meter {
    pub(crate) fn new(route: &'static str) -> Self {
        metrics::describe_counter!(REQUESTS_TOTAL, "Requests answered.");
        metrics::describe_histogram!(
            REQUEST_SECONDS,
            metrics::Unit::Seconds,
            "From the head of a request to the head of its answer."
        );
        Self {
            route,
            seconds: metrics::histogram!(REQUEST_SECONDS, "route" => route),
            by_status: [const { OnceLock::new() }; STATUSES.len()],
            other: OnceLock::new(),
        }
    }

    fn count(&self, status: StatusCode) {
        let number = status.as_u16();
        let (place, label) = match STATUSES.binary_search(&number) {
            Ok(index) => (&self.by_status[index], Some(number)),
            Err(_) => (&self.other, None),
        };
        let counter = place.get_or_init(|| {
            let label = label.map_or_else(|| "other".to_owned(), |number| number.to_string());
            metrics::counter!(REQUESTS_TOTAL, "route" => self.route, "status" => label)
        });
        counter.increment(1);
    }
}

/// Something that routes can be given: it knows the time.
pub(crate) trait Timed: Clone + Send + Sync + 'static {
    /// The clock that requests are timed with.
    fn clock(&self) -> &Clock;
}

/// A handler on one method of a path, counted and timed under a name.
fn route<S, F, Fut>(method: MethodFilter, name: &'static str, handler: F) -> MethodRouter<S>
where
    S: Timed,
    F: Fn(S, Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Problem>> + Send,
{
    let meter = Arc::new(Meter::new(name));
    on(method, move |State(state): State<S>, request: Request| {
        let meter = Arc::clone(&meter);
        let handler = handler.clone();
        async move {
            let start = state.clock().monotonic();
            let clock = state.clock().clone();
            let response = handler(state, request).await.into_response();
            meter.seconds.record((clock.monotonic() - start).as_secs_f64());
            meter.count(response.status());
            response
        }
    })
}

/// Declares a function per method.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $filter:ident)*) => { $(
        $(#[$doc])*
        pub(crate) fn $name<S, F, Fut>(name: &'static str, handler: F) -> MethodRouter<S>
        where
            S: Timed,
            F: Fn(S, Request) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Response, Problem>> + Send,
        {
            route(MethodFilter::$filter, name, handler)
        }
    )* };
}

methods! {
    /// A handler of `GET`, and of `HEAD`.
    get = GET
    /// A handler of `POST`.
    post = POST
    /// A handler of `PUT`.
    put = PUT
    /// A handler of `DELETE`.
    delete = DELETE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn statuses_are_sorted_and_hold_those_of_all_problems() {
        assert!(STATUSES.is_sorted());
        for code in Code::ALL {
            assert!(STATUSES.contains(&code.status().as_u16()), "{code:?}");
        }
    }
}
