//! Stock and payment, as the configuration has them.

use std::sync::Arc;

use steadfast_dispatch::provider::{Payment, Stock};
use steadfast_providers::sandbox::Sandbox;
use steadfast_providers::{Secret, http};
use steadfast_time::Clock;

use super::Error;
use super::storage::Storage;
use crate::config::Config;
use crate::config::value::{Provider, Remote};

/// The engines behind the provider port.
pub(super) struct Providers {
    pub(super) stock: Arc<dyn Stock>,
    pub(super) payment: Arc<dyn Payment>,
    /// The sandbox, when one of the two is its ledger.
    pub(super) sandbox: Option<Sandbox>,
}

impl Providers {
    pub(super) fn new(config: &Config, storage: &Storage, clock: &Clock) -> Result<Self, Error> {
        let (stock, payment) = (storage.stock().clone(), storage.payment().clone());
        let sandbox = Sandbox::open(stock, payment, clock, config.sandbox_options());
        config.inject(&sandbox.faults);
        let settings = &config.providers;
        let stock: Arc<dyn Stock> = match &settings.stock {
            Provider::Sandbox => Arc::new(sandbox.stock.clone()),
            Provider::Remote(remote) => Arc::new(connect("stock", remote, clock)?),
        };
        let payment: Arc<dyn Payment> = match &settings.payment {
            Provider::Sandbox => Arc::new(sandbox.payment.clone()),
            Provider::Remote(remote) => Arc::new(connect("payment", remote, clock)?),
        };
        let used = [&settings.stock, &settings.payment].contains(&&Provider::Sandbox);
        Ok(Self { stock, payment, sandbox: used.then_some(sandbox) })
    }
}

fn connect(name: &'static str, remote: &Remote, clock: &Clock) -> Result<http::Provider, Error> {
    let mut options = http::Options::new(remote.url.as_str());
    if let Some(variable) = &remote.token_env {
        let missing = |_| Error::NoToken { variable: variable.clone() };
        options.token = Some(Secret::new(std::env::var(variable).map_err(missing)?));
    }
    http::Provider::connect(&options, clock.clone())
        .map_err(|source| Error::Provider { name, source })
}
