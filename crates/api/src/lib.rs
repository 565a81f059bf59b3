//! The HTTP face of Steadfast: routes, problem details, OpenAPI, event streams.
