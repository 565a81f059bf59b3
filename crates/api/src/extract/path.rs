//! Identifiers in a path.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::problem::{Code, Problem};

/// The identifier in the path. What cannot be an identifier names nothing, so the answer is that
/// there is no such thing.
///
/// # Errors
/// `missing`, with the rule that the text breaks.
pub(crate) async fn id<T>(parts: &mut Parts, missing: Code) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    read(parts).await.map_err(|rule| Problem::new(missing, rule))
}

/// The name in the path of something that the request may be about to make.
///
/// # Errors
/// [`Code::InvalidRequest`] with the rule that the name breaks.
pub(crate) async fn new_id<T>(parts: &mut Parts) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    read(parts).await.map_err(|rule| Problem::invalid("id", rule))
}

async fn read<T>(parts: &mut Parts) -> Result<T, String>
where
    T: FromStr<Err: Display>,
{
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| "the identifier in the path is not valid UTF-8".to_owned())?;
    let (_, text) = params.iter().next().ok_or_else(|| "the path has no identifier".to_owned())?;
    text.parse().map_err(|rule: T::Err| rule.to_string())
}
