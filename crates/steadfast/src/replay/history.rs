//! What has happened so far, read from the journal: the driver's whole memory.

use std::collections::{BTreeMap, HashMap};

use steadfast_dispatch::names::{CourierId, OfferId, OrderId};
use steadfast_dispatch::order::{self, OrderEvent};
use steadfast_journal::{Position, StorageError, Store};
use steadfast_time::Timestamp;

/// Events read at a time.
const PAGE: usize = 4_096;

/// A trip as it was assigned, and how far it is. Times are minutes of the day.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) courier: CourierId,
    /// In the sequence of delivery.
    pub(super) orders: Vec<OrderId>,
    pub(super) assigned_min: i64,
    pub(super) picked_up_min: Option<i64>,
    /// When each order was delivered, as far as they have been.
    pub(super) delivered_min: Vec<i64>,
}

/// The trips of the day, and who ordered what.
#[derive(Debug)]
pub(super) struct History {
    start: Timestamp,
    read_to: Position,
    /// When the last event happened.
    pub(super) now: Option<Timestamp>,
    /// The day's name of each order.
    name_of: HashMap<OrderId, String>,
    trips: BTreeMap<OfferId, Trip>,
    /// Trips in the order in which they were assigned.
    sequence: Vec<OfferId>,
    trip_of: HashMap<OrderId, OfferId>,
    pub(super) delivered: usize,
    /// Orders that came to another end.
    pub(super) undone: usize,
}

/// The journal cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It holds an event that a replay does not write.
    #[error("{0}; was this data directory made by a replay?")]
    Event(#[from] order::EventError),
    /// The same, for a stream's name.
    #[error("stream {0:?} is not an order's; was this data directory made by a replay?")]
    Stream(String),
}

impl History {
    pub(super) fn starting_at(start: Timestamp) -> Self {
        Self {
            start,
            read_to: Position::default(),
            now: None,
            name_of: HashMap::new(),
            trips: BTreeMap::new(),
            sequence: Vec::new(),
            trip_of: HashMap::new(),
            delivered: 0,
            undone: 0,
        }
    }

    /// Reads what has been committed since the last time.
    pub(super) fn read(&mut self, store: &dyn Store) -> Result<(), Error> {
        loop {
            let events = store.events(self.read_to, PAGE)?;
            for event in &events {
                self.read_to = event.position;
                self.now = self.now.max(Some(event.at));
                if event.stream.category() != order::CATEGORY {
                    continue;
                }
                let stream = || Error::Stream(event.stream.to_string());
                let id: OrderId = event.stream.key().parse().map_err(|_| stream())?;
                let minute = self.minute(event.at);
                self.apply(id, minute, OrderEvent::try_from(event)?);
            }
            if events.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// The minute of the day.
    pub(super) fn minute(&self, at: Timestamp) -> i64 {
        i64::try_from(at.since(self.start).as_secs() / 60).unwrap_or(i64::MAX)
    }

    /// The minute in which something happened last.
    pub(super) fn now_min(&self) -> Option<i64> {
        self.now.map(|now| self.minute(now))
    }

    /// The trips in the order in which they were assigned, without the first `seen`.
    pub(super) fn trips_after(&self, seen: usize) -> impl Iterator<Item = (OfferId, &Trip)> {
        let new = self.sequence.get(seen..).unwrap_or_default();
        new.iter().filter_map(|offer| Some((*offer, self.trips.get(offer)?)))
    }

    pub(super) fn trip(&self, offer: &OfferId) -> Option<&Trip> {
        self.trips.get(offer)
    }

    /// When the last trip was assigned.
    pub(super) fn last_assigned_min(&self) -> Option<i64> {
        let last = self.sequence.last()?;
        self.trips.get(last).map(|trip| trip.assigned_min)
    }

    /// The day's name of an order.
    pub(super) fn name_of(&self, order: OrderId) -> Option<&str> {
        self.name_of.get(&order).map(String::as_str)
    }

    fn apply(&mut self, id: OrderId, minute: i64, event: OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => {
                if let Some(name) = placed.request.customer {
                    self.name_of.insert(id, name);
                }
            }
            OrderEvent::Offered(offer) => {
                self.trip_of.insert(id, offer.offer);
                if !self.trips.contains_key(&offer.offer) {
                    self.sequence.push(offer.offer);
                    let trip = Trip {
                        courier: offer.courier,
                        orders: offer.trip,
                        assigned_min: minute,
                        picked_up_min: None,
                        delivered_min: Vec::new(),
                    };
                    self.trips.insert(offer.offer, trip);
                }
            }
            OrderEvent::PickedUp(_) => {
                if let Some(trip) = self.trip_of(id) {
                    trip.picked_up_min = Some(minute);
                }
            }
            OrderEvent::Delivered(_) => {
                self.delivered += 1;
                if let Some(trip) = self.trip_of(id) {
                    trip.delivered_min.push(minute);
                }
            }
            OrderEvent::UndoStarted(_) => self.undone += 1,
            _ => {}
        }
    }

    fn trip_of(&mut self, order: OrderId) -> Option<&mut Trip> {
        self.trip_of.get(&order).and_then(|offer| self.trips.get_mut(offer))
    }
}
