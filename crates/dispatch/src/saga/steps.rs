//! The steps by name, and their time limits.

use std::time::Duration;

use steadfast_transactions::{Definition, DefinitionError, Retry, Step};

pub(super) const RESERVE_STOCK: &str = "reserve-stock";
pub(super) const AUTHORIZE_PAYMENT: &str = "authorize-payment";
pub(super) const FIND_COURIER: &str = "find-courier";
pub(super) const DELIVER: &str = "deliver";
pub(super) const CAPTURE_PAYMENT: &str = "capture-payment";

/// The saga's time limits.
#[derive(Clone, Debug)]
pub struct SagaOptions {
    /// How long a provider has to answer one call. The hop budget's 100 ms.
    pub call_timeout: Duration,
    /// When a provider is asked again.
    pub retry: Retry,
}

impl Default for SagaOptions {
    fn default() -> Self {
        Self { call_timeout: Duration::from_millis(100), retry: Retry::DEFAULT }
    }
}

/// The definition that every order goes through.
pub(super) fn definition(
    options: &SagaOptions,
    search_timeout: Duration,
) -> Result<Definition, DefinitionError> {
    // The provider's policy ends a call in time, that is within one limit of waiting for a place
    // and one for the call, and has to be told what came of it. This is for the case that it does
    // not.
    let call = |name| Step::call(name).timeout(options.call_timeout * 3).retry(options.retry);
    Definition::new(
        "order",
        vec![
            call(RESERVE_STOCK).compensated(),
            call(AUTHORIZE_PAYMENT).compensated(),
            Step::wait(FIND_COURIER).timeout(search_timeout),
            Step::wait(DELIVER).pivot(),
            call(CAPTURE_PAYMENT),
        ],
    )
}
