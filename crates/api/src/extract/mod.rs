//! From bytes to typed requests, with errors that say where.
//!
//! axum's own extractors answer in plain text and in several shapes; these answer in problems.
//! They are plain functions over the parts of a request, called by the handlers in the order in
//! which a client would want to hear about its mistakes.

pub(crate) mod body;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod path;
pub(crate) mod query;
