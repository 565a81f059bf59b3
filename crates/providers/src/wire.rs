//! The HTTP contract of a stock or payment service, as both sides use it. In words:
//! `docs/providers.md`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};

/// The call's key; the same for every repetition.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long the caller still waits, in milliseconds.
#[cfg(feature = "serve")]
pub(crate) const TIMEOUT_MS: &str = "x-envoy-expected-rq-timeout-ms";

/// `POST {base}/reservations`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reserve<'a> {
    pub(crate) order: OrderId,
    pub(crate) items: Cow<'a, [Item]>,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) reservation: String,
}

/// `POST {base}/authorizations`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Authorize<'a> {
    pub(crate) order: OrderId,
    pub(crate) amount: Cow<'a, Money>,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Authorized {
    pub(crate) authorization: String,
}

/// The answer to `POST {base}/authorizations/{order}/capture`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Captured {
    pub(crate) capture: String,
}

/// The body of a refusal: `application/problem+json` (RFC 9457) with a `code`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Problem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}
