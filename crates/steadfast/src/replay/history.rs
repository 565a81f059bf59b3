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
    pub(super) picked_up: bool,
    /// How many have been delivered.
    pub(super) delivered: usize,
}

/// The trips of the day, and who ordered what.
#[derive(Debug, Default)]
pub(super) struct History {
    start: Timestamp,
    read_to: Position,
    /// When the last event happened.
    pub(super) now_min: Option<i64>,
    /// The day's name of each order, and back.
    pub(super) name_of: HashMap<OrderId, String>,
    pub(super) by_name: HashMap<String, OrderId>,
    pub(super) trips: BTreeMap<OfferId, Trip>,
    /// Trips in the order in which they were assigned.
    pub(super) sequence: Vec<OfferId>,
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
        Self { start, ..Self::default() }
    }

    /// Reads what has been committed since the last time.
    pub(super) fn read(&mut self, store: &dyn Store) -> Result<(), Error> {
        loop {
            let events = store.events(self.read_to, PAGE)?;
            let Some(last) = events.last() else { return Ok(()) };
            self.read_to = last.position;
            for event in &events {
                let minute = self.minute(event.at);
                self.now_min = self.now_min.max(Some(minute));
                if event.stream.category() != order::CATEGORY {
                    continue;
                }
                let stream = || Error::Stream(event.stream.to_string());
                let id: OrderId = event.stream.key().parse().map_err(|_| stream())?;
                self.apply(id, minute, OrderEvent::try_from(event)?);
            }
        }
    }

    fn minute(&self, at: Timestamp) -> i64 {
        i64::try_from(at.since(self.start).as_secs() / 60).unwrap_or(i64::MAX)
    }

    fn apply(&mut self, id: OrderId, minute: i64, event: OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => {
                if let Some(name) = placed.request.customer {
                    self.by_name.insert(name.clone(), id);
                    self.name_of.insert(id, name);
                }
            }
            OrderEvent::Offered(offer) => {
                if !self.trips.contains_key(&offer.offer) {
                    self.sequence.push(offer.offer);
                }
                self.trip_of.insert(id, offer.offer);
                self.trips.entry(offer.offer).or_insert_with(|| Trip {
                    courier: offer.courier,
                    orders: offer.trip,
                    assigned_min: minute,
                    picked_up: false,
                    delivered: 0,
                });
            }
            OrderEvent::PickedUp(_) => {
                if let Some(trip) = self.trip_of(id) {
                    trip.picked_up = true;
                }
            }
            OrderEvent::Delivered(_) => {
                self.delivered += 1;
                if let Some(trip) = self.trip_of(id) {
                    trip.delivered += 1;
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
