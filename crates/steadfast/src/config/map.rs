//! From what an operator writes to what the parts take.

use std::time::Duration;

use steadfast_dispatch::geo::LocationKind;
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::{courier, service, zone};
use steadfast_journal::sqlite;
use steadfast_providers::Operation;
use steadfast_providers::sandbox::{self, Delay, Faults, Plan, Probability};
use steadfast_resilience::detector;
use steadfast_transactions::Retry;

use super::settings::{Config, Fault};
use super::value::{Distribution, Duplicates, Locations, OrOff, Policy, Share};

impl From<Policy> for zone::PolicyName {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Nearest => Self::Nearest,
            Policy::Batch => Self::Batch,
        }
    }
}

impl From<Locations> for LocationKind {
    fn from(locations: Locations) -> Self {
        match locations {
            Locations::Planar => Self::Planar,
            Locations::Geographic => Self::Geographic,
        }
    }
}

impl Config {
    /// For the services and the dispatcher.
    pub fn dispatch_options(&self) -> service::Options {
        let dispatch = &self.dispatch;
        service::Options {
            locations: dispatch.locations.into(),
            attach: self.orders.duplicates == Duplicates::Attach,
            preparing_max: self.orders.preparing_max,
            policy: dispatch.policy.into(),
            tick: dispatch.tick.get(),
            offer_timeout: dispatch.offer_timeout.get(),
            search_timeout: dispatch.search_timeout.get(),
            heartbeat_timeout: dispatch.heartbeat_timeout.on().map(super::value::Length::get),
            detector: self.detector_options(),
            metres_per_minute: dispatch.metres_per_minute,
            stacking: dispatch.stacking,
            zone_capacity: dispatch.zone_capacity,
            hop: self.limits.order.get(),
            self_driven: true,
            ..service::Options::default()
        }
    }

    /// For the watch over the couriers.
    fn detector_options(&self) -> detector::Options {
        let settings = &self.dispatch.detector;
        detector::Options {
            distribution: match settings.distribution {
                Distribution::Normal => detector::Distribution::Normal,
                Distribution::Logistic => detector::Distribution::Logistic,
                Distribution::Exponential => detector::Distribution::Exponential,
            },
            threshold: settings.threshold,
            samples: settings.samples,
            min_deviation: settings.min_deviation.get(),
            first_heartbeat: settings.first_heartbeat.get(),
            acceptable_pause: settings.acceptable_pause.get(),
            tick: settings.tick.get(),
            stall_tolerance: settings.stall_tolerance.get(),
            ..courier::liveness::detector()
        }
    }

    /// For the order saga.
    pub fn saga_options(&self) -> SagaOptions {
        let retry = &self.providers.retry;
        let retry =
            Retry { base: retry.base.get(), cap: retry.cap.get(), attempts: retry.attempts };
        SagaOptions { call_timeout: self.providers.call_timeout.get(), retry }
    }

    /// How long a request may take that names no deadline: the gateway's own time, and the order
    /// service's.
    pub fn request_deadline(&self) -> Duration {
        self.limits.gateway.get() + self.limits.order.get()
    }

    /// For the SQLite engine.
    pub fn sqlite_options(&self) -> sqlite::Options {
        let settings = &self.sqlite;
        let memory = |size: super::value::Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        sqlite::Options {
            writer_cache_bytes: memory(settings.writer_cache),
            reader_cache_bytes: memory(settings.reader_cache),
            readers: settings.readers,
            checkpoint_bytes: settings.checkpoint.bytes(),
            log_bytes: settings.log.bytes(),
            size_bytes_max: match settings.size_max {
                OrOff::On(size) => Some(size.bytes()),
                OrOff::Off => None,
            },
        }
    }

    /// For the sandbox's ledgers.
    pub fn sandbox_options(&self) -> sandbox::Options {
        let settings = &self.providers.sandbox;
        let stock = sandbox::options::Stock { default_stock: settings.default_stock };
        sandbox::Options { stock, seed: settings.seed, ..sandbox::Options::default() }
    }

    /// Tells the sandbox what is to go wrong. Operations without faults stay as they are.
    pub fn inject(&self, faults: &Faults) {
        let operations = self.providers.sandbox.faults();
        for (operation, (_, fault)) in operations_in_order().into_iter().zip(operations) {
            if *fault != Fault::default() {
                faults.set(operation, plan(fault));
            }
        }
    }
}

/// As [`super::settings::Sandbox::faults`] lists them.
const fn operations_in_order() -> [Operation; 5] {
    [
        Operation::Reserve,
        Operation::Release,
        Operation::Authorize,
        Operation::Capture,
        Operation::Void,
    ]
}

fn plan(fault: &Fault) -> Plan {
    // Both types have checked the number; the sandbox's has no unchecked way in.
    let likely = |share: Share| Probability::new(share.get()).unwrap_or_default();
    Plan {
        unavailable: likely(fault.unavailable),
        refuse: likely(fault.refuse),
        lose_reply: likely(fault.lose_reply),
        delay: Delay {
            least: fault.delay.get(),
            mean_extra: fault.delay_extra.get(),
            most: fault.delay_max.get(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_parts() {
        let config = Config::default();
        let (ours, theirs) = (config.dispatch_options(), service::Options::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        assert_eq!(config.sqlite_options(), sqlite::Options::default());
        assert_eq!(config.sandbox_options(), sandbox::Options::default());
        let (ours, theirs) = (config.saga_options(), SagaOptions::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        assert_eq!(config.request_deadline(), steadfast_api::limits::DEADLINE_DEFAULT);
        let connections = steadfast_api::limits::CONNECTIONS_MAX;
        assert_eq!(config.http.connections_max, connections);
        assert_eq!(config.http.drain_timeout.get(), steadfast_api::limits::DRAIN_TIMEOUT);
    }

    #[test]
    fn faults_reach_the_operation_that_they_are_named_after() {
        for (operation, (name, _)) in
            operations_in_order().into_iter().zip(Config::default().providers.sandbox.faults())
        {
            assert_eq!(operation.name(), name);
        }
        let mut config = Config::default();
        config.providers.sandbox.capture.lose_reply = serde_json::from_str("0.25").unwrap();
        let faults = Faults::seeded(1);
        config.inject(&faults);
        assert_eq!(faults.plan(Operation::Capture).lose_reply.get(), 0.25);
        assert_eq!(faults.plan(Operation::Reserve), Plan::default());
    }
}
