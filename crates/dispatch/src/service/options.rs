//! What a deployment decides.

use std::sync::Arc;
use std::time::Duration;

use steadfast_resilience::event::Events;
use steadfast_resilience::policy::Policy;
use steadfast_resilience::{Invalid, detector};

use super::Numbers;
use crate::courier::liveness;
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
    /// A courier who has not been heard of for this long gets no offers, whatever the rhythm of
    /// the heartbeats was; `None`: nobody is watched, and everybody on shift gets offers.
    pub heartbeat_timeout: Option<Duration>,
    /// How the couriers' heartbeats are judged: [`liveness::detector`], which says why. Its
    /// `silence_max` is set to `heartbeat_timeout`. To go by that timeout alone, set an
    /// `acceptable_pause` as long.
    pub detector: detector::Options,
    /// Who hears of couriers who are suspected, and trusted again: nobody, unless told.
    pub events: Events,
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
    /// What the service may spend of a request's time: its hop budget.
    pub hop: Duration,
    /// What stands between the services and the journal; `None`: nothing but the deadline.
    pub journal: Option<Policy>,
    /// Where the orders' numbers come from; `None`: orders have none.
    pub numbers: Option<Arc<Numbers>>,
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
            detector: liveness::detector(),
            events: Events::silent("couriers"),
            metres_per_minute: 320.0,
            rounding: Rounding::UpToSecond,
            service: ServiceTimes::RECORDED,
            settle: Duration::ZERO,
            stacking: true,
            zone_capacity: 100_000,
            hop: Duration::from_millis(350),
            journal: None,
            numbers: None,
            self_driven: true,
        }
    }
}

impl Options {
    /// Checks what can be wrong with them by itself.
    ///
    /// # Errors
    /// The first setting that makes no sense, and what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        let places = super::admission::options(self.preparing_max);
        places.check().map_err(|invalid| invalid.within("preparing"))?;
        self.watch().map_or(Ok(()), |watch| watch.check())
    }

    /// How couriers are watched; `None`: not at all.
    pub(crate) fn watch(&self) -> Option<detector::Options> {
        let silence_max = self.heartbeat_timeout?;
        Some(detector::Options { silence_max: Some(silence_max), ..self.detector })
    }

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
