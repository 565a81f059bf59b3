//! Bodies that belong to HTTP alone; the others are the domain's own.

use serde::Deserialize;
use steadfast_dispatch::names::{CourierId, OrderId};

/// Who reports or answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CourierRequest {
    pub(crate) courier: CourierId,
}

/// Who delivered, and which order of a bundle.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveredRequest {
    pub(crate) courier: CourierId,
    #[serde(default)]
    pub(crate) order: Option<OrderId>,
}

/// Why an order is called off.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    #[serde(default)]
    pub(crate) reason: Option<String>,
}
