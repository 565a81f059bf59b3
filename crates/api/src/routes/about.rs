//! What the interface says of itself.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderValue;

use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "about",
    summary = "Gives this document",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json",
        body = serde_json::Value)),
)]
pub(crate) async fn openapi(_: Api, _: Request) -> Result<Response, Problem> {
    Ok(respond::bytes(StatusCode::OK, &respond::JSON, crate::openapi::json()))
}

#[utoipa::path(
    get, path = "/errors", operation_id = "get_errors", tag = "about",
    summary = "Explains all error codes",
    responses((status = 200, description = "A page in Markdown, a section per code.",
        content_type = "text/markdown", body = String)),
)]
pub(crate) async fn errors(_: Api, _: Request) -> Result<Response, Problem> {
    static MARKDOWN: HeaderValue = HeaderValue::from_static("text/markdown; charset=utf-8");
    Ok(respond::bytes(StatusCode::OK, &MARKDOWN, Code::page()))
}
