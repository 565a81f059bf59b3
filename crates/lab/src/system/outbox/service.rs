//! The service that takes orders, in three ways of telling the warehouse.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{pending, select};
use steadfast_journal::{Append, Expected, Journal, Message, NewEvent, StreamId, Version, Write};
use steadfast_messaging::bus::{Bus as _, Parcel, Receipts};
use steadfast_messaging::{Envelope, Relay, relay};
use steadfast_time::{Clock, Ids};

use super::broker::{Broker, Remote, TOPIC};
use super::database::Database;
use super::{SERVICE, Setup};
use crate::sim::Stage;

/// How long a supervisor waits before it starts the process again.
const RESTART: Duration = Duration::from_millis(300);

/// The pause before a naive service publishes again.
const AGAIN: Duration = Duration::from_millis(100);

/// How the warehouse is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    DatabaseThenBroker,
    BrokerThenDatabase,
    Outbox,
}

impl Mode {
    pub(super) const NAMES: &'static [&'static str] =
        &["database-then-broker", "broker-then-database", "outbox"];

    pub(super) fn of(name: &str) -> Self {
        match name {
            "database-then-broker" => Self::DatabaseThenBroker,
            "broker-then-database" => Self::BrokerThenDatabase,
            _ => Self::Outbox,
        }
    }
}

/// The running service; none while the process is down.
pub(super) type Door = Arc<Mutex<Option<Arc<Service>>>>;

/// One life of the service's process.
pub(super) struct Service {
    journal: Journal,
    clock: Clock,
    ids: Ids,
    bus: Arc<Remote>,
    mode: Mode,
    attempts: u32,
}

/// Starts the service on its host.
pub(super) fn start(
    stage: &Stage,
    database: &Database,
    broker: &Broker,
    setup: &Setup,
    seed: u64,
) -> Door {
    let door = Door::default();
    let host = stage.host(SERVICE);
    let (clock, setup, lives) = (host.clock(), *setup, Rc::new(Cell::new(0_u64)));
    let bus = Arc::new(Remote::new(stage.net(), SERVICE, &clock, broker, setup.patience));
    let (served, database) = (Arc::clone(&door), database.clone());
    host.boot(move || {
        let (door, database, clock) = (Arc::clone(&served), database.clone(), clock.clone());
        let (bus, lives) = (Arc::clone(&bus), Rc::clone(&lives));
        async move {
            loop {
                if let Some(journal) = database.journal() {
                    lives.set(lives.get() + 1);
                    let service = Service {
                        journal,
                        clock: clock.clone(),
                        ids: Ids::seeded(seed ^ (lives.get() << 32)),
                        bus: Arc::clone(&bus),
                        mode: setup.mode,
                        attempts: setup.attempts,
                    };
                    let _open = Open::new(&door, service);
                    live(&door, &database).await;
                }
                clock.sleep(RESTART).await;
            }
        }
        .boxed_local()
    });
    door
}

/// One life: ends when the database does.
async fn live(door: &Door, database: &Database) {
    let Some(service) = lock(door) else { return };
    let gone = async {
        while database.journal().is_some() && service.journal.store().head().is_ok() {
            service.clock.sleep(RESTART).await;
        }
    };
    let relay = async {
        if service.mode != Mode::Outbox {
            return pending().await;
        }
        let (journal, bus) = (service.journal.clone(), Arc::clone(&service.bus));
        let relay = Relay::new(journal, bus, service.clock.clone(), relay::Options::default());
        // It ends with the database, which is noticed here as well.
        let _ = relay.run(pending()).await;
    };
    select(std::pin::pin!(gone), std::pin::pin!(relay)).await;
}

fn lock(door: &Door) -> Option<Arc<Service>> {
    door.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The process is there until it is dropped, however that happens.
struct Open<'a>(&'a Door);

impl<'a> Open<'a> {
    fn new(door: &'a Door, service: Service) -> Self {
        *door.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(service));
        Self(door)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let service = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(service);
    }
}

impl Service {
    /// Places the order with this number; says whether it is placed.
    pub(super) async fn place(door: &Door, number: u64) -> bool {
        let Some(service) = lock(door) else { return false };
        let key = format!("order-{number:06}");
        let (Ok(stream), message) = (StreamId::new("order", &key), service.message(&key)) else {
            return false;
        };
        let mut write = Write::at(service.clock.now());
        let event =
            NewEvent { kind: "placed".into(), schema: 1, payload: Bytes::from_static(b"{}") };
        let expected = Expected::Exactly(Version::NONE);
        write.appends.push(Append { stream, expected, events: vec![event] });
        match service.mode {
            Mode::DatabaseThenBroker => {
                if service.journal.commit(write).await.is_err() {
                    return false;
                }
                // The order is placed; if nobody takes the message, it is logged and forgotten.
                service.publish(&message).await;
                true
            }
            Mode::BrokerThenDatabase => {
                service.publish(&message).await && service.journal.commit(write).await.is_ok()
            }
            Mode::Outbox => {
                write.messages.push(message);
                service.journal.commit(write).await.is_ok()
            }
        }
    }

    fn message(&self, key: &str) -> Message {
        Message {
            id: self.ids.next(self.clock.now()),
            topic: TOPIC.into(),
            aggregate_type: "order".into(),
            aggregate_id: key.to_owned(),
            event_type: "placed".into(),
            sequence: 1,
            payload: Bytes::from_static(b"{}"),
        }
    }

    /// Publishes a message, a few times if need be; says whether the broker has taken it.
    async fn publish(&self, message: &Message) -> bool {
        for attempt in 0..self.attempts {
            if attempt > 0 {
                self.clock.sleep(AGAIN).await;
            }
            let receipts = Receipts::new();
            let envelope = Envelope::foreign(message.clone());
            self.bus.publish(vec![Parcel { ticket: 0, envelope }], &receipts).await;
            if receipts.take().await.iter().any(|receipt| receipt.outcome.is_ok()) {
                return true;
            }
        }
        false
    }
}
