//! What a scenario decides about the platform.

use std::time::Duration;

use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::ZoneId;
use steadfast_dispatch::zone::{Area, ZoneRequest};
use steadfast_journal::memory::Protections;
use steadfast_messaging::chaos;

use crate::fault::Link;
use crate::scenario::{Load, Reader};

/// The nodes that dispatch, relay and take orders.
pub(super) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

/// Where the leases are.
pub(super) const COORDINATOR: &str = "coordinator";

/// The host of the journal.
pub(super) const DATABASE: &str = "database";

/// Where customers and couriers are.
pub(super) const CITY: &str = "city";

/// The city is a strip of so many zones, side by side.
pub(super) const ZONES: u32 = 3;

/// A zone is a square of so many metres.
pub(super) const ZONE_METRES: f64 = 1_000.0;

/// How long the platform may take to come to rest, at most.
const HEALING_MAX: Duration = Duration::from_secs(3_600);

/// The settings of one variant.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Orders a second.
    pub(super) rate: f64,
    /// Couriers.
    pub(super) couriers: u32,
    /// Orders in dispatch that a zone may have.
    pub(super) zone_capacity: u32,
    /// The length of leases.
    pub(super) lease: Duration,
    /// The longest time that a policy takes to match orders with couriers.
    pub(super) thinking: Duration,
    /// How long the booking of a fee takes.
    pub(super) booking: Duration,
    /// How long a commit takes.
    pub(super) sync: Duration,
    /// How often a courier moves on to another zone.
    pub(super) roaming: Duration,
    /// How long everything may take to come to its end once the faults have.
    pub(super) healing: Duration,
    /// What the journal checks.
    pub(super) protections: Protections,
    /// What all links do.
    pub(super) link: Link,
    /// When the database's disk begins to acknowledge syncs that it does not do, and for how long.
    pub(super) lying: (Duration, Duration),
    /// What goes wrong on the nodes' own buses.
    pub(super) bus: chaos::Faults,
}

impl Setup {
    /// Reads a variant's settings; what is wrong is noted on the reader.
    pub(super) fn read(load: Load, settings: &Reader<'_>) -> Self {
        let ms = Duration::from_millis;
        let couriers = load.clients.unwrap_or(12);
        let zone_capacity = settings.count("zone_capacity", 1..=10_000, 8);
        let setup = Self {
            rate: load.rate.unwrap_or(1.0),
            couriers,
            zone_capacity: u32::try_from(zone_capacity).unwrap_or(u32::MAX),
            lease: settings.duration("lease", ms(3_000)),
            thinking: settings.duration("thinking", ms(100)),
            booking: settings.duration("booking", ms(50)),
            sync: settings.duration("sync", ms(2)),
            roaming: settings.duration("roaming", ms(30_000)),
            healing: settings.duration("healing", ms(600_000)),
            protections: Protections {
                claims: settings.flag("keys", true),
                inbox: settings.flag("inbox", true),
                fence: settings.flag("fence", true),
                guards: settings.flag("guards", true),
            },
            link: Link {
                delay: settings.duration("link_delay", ms(1)),
                jitter: settings.duration("link_jitter", ms(4)),
                loss: settings.share("link_loss", 0.0),
                ..Link::default()
            },
            lying: (
                settings.duration("lying_at", Duration::ZERO),
                settings.duration("lying_for", Duration::ZERO),
            ),
            bus: chaos::Faults {
                drop: settings.share("bus_loss", 0.0),
                lose_answer: settings.share("bus_lost_answers", 0.0),
                duplicate: settings.share("bus_duplicates", 0.0),
                delay: settings.share("bus_delays", 0.0),
                delay_max: ms(400),
            },
        };
        if setup.lease < ms(200) {
            settings.problem("lease", "must be at least \"200ms\", some round trips");
        }
        if setup.healing > HEALING_MAX {
            settings.problem("healing", format!("must be at most {HEALING_MAX:?}"));
        }
        setup
    }
}

/// A zone's name.
pub(super) fn zone_name(number: u32) -> String {
    format!("z{}", number + 1)
}

/// What the operator has decided about the zones. None when a name were not one, which it is.
pub(super) fn zones(capacity: u32) -> Vec<(ZoneId, ZoneRequest)> {
    (0..ZONES)
        .filter_map(|number| {
            let west = f64::from(number) * ZONE_METRES;
            let area = Area {
                min: Location::planar(west, 0.0),
                // The next one begins a centimetre further on.
                max: Location::planar(west + ZONE_METRES - 0.01, ZONE_METRES),
            };
            let request = ZoneRequest { capacity, area: Some(area), policy: None };
            Some((zone_name(number).parse().ok()?, request))
        })
        .collect()
}
