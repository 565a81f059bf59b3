//! What a deployment decides.

use std::time::Duration;

use crate::geo::LocationKind;
use crate::policy::{Metric, Rounding, ServiceTimes, Travel};
use crate::zone::PolicyName;

/// The options of the services, with defaults for a small city.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which kind of locations is in use.
    pub locations: LocationKind,
    /// Whether a request whose idempotency key is at work waits for the first one's answer
    /// (`true`), or is told to come again (`false`). The IETF draft permits both.
    pub attach: bool,
    /// Orders between being placed and looking for a courier, at once. More than that wait to
    /// be accepted.
    pub preparing_max: usize,
    /// How orders are matched with couriers, in zones that do not say otherwise.
    pub policy: PolicyName,
    /// How often the `batch` policy decides.
    pub tick: Duration,
    /// How long a courier has to answer an offer.
    pub offer_timeout: Duration,
    /// How long a courier is looked for before the order is undone.
    pub search_timeout: Duration,
    /// A courier who has not been heard of for this long gets no offers; `None`: everybody on
    /// shift does.
    pub heartbeat_timeout: Option<Duration>,
    /// Mean travel speed, in metres per minute.
    pub metres_per_minute: f64,
    /// How travel times are rounded.
    pub rounding: Rounding,
    /// Time spent at doors, for estimates.
    pub service: ServiceTimes,
    /// From the hand-over of the last order until the courier can be sent on.
    pub settle: Duration,
    /// Whether a courier who is on a trip may be offered more, up to the shift's capacity.
    /// Otherwise the capacity is the size of a bundle.
    pub stacking: bool,
    /// The capacity of a zone that nobody has set one for.
    pub zone_capacity: u32,
    /// Whether the dispatcher works by itself, or only when told to
    /// ([`crate::Ticker::tick`]), as in a replay.
    pub self_driven: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            locations: LocationKind::Planar,
            attach: true,
            preparing_max: 2_048,
            policy: PolicyName::Nearest,
            tick: Duration::from_secs(5),
            offer_timeout: Duration::from_secs(30),
            search_timeout: Duration::from_secs(30 * 60),
            heartbeat_timeout: Some(Duration::from_secs(60)),
            metres_per_minute: 320.0,
            rounding: Rounding::UpToSecond,
            service: ServiceTimes::RECORDED,
            settle: Duration::ZERO,
            stacking: true,
            zone_capacity: 100_000,
            self_driven: true,
        }
    }
}

impl Options {
    /// The travel model.
    #[must_use]
    pub fn travel(&self) -> Travel {
        let metric = match self.locations {
            LocationKind::Planar => Metric::Planar,
            LocationKind::Geographic => Metric::Haversine,
        };
        Travel::new(metric, self.metres_per_minute, self.rounding)
    }
}
