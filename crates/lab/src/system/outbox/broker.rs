//! The broker with the warehouse behind it, and the service's way to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::join;
use steadfast_journal::{Guard, Journal, RecordChange, StorageError, Write, memory};
use steadfast_messaging::bus::{Bus, Error, Parcel, Receipts, Subscription, embedded};
use steadfast_messaging::chaos::{self, Chaos};
use steadfast_messaging::{Consumer, Delivery, Embedded, Failure, Handled, Handler, bus, consumer};
use steadfast_time::Clock;

use crate::sim::{Net, Stage};

/// What is published.
pub(super) const TOPIC: &str = "orders";

/// The warehouse's records: one for each order that it has heard of.
const SPACE: &str = "warehouse";

/// The size of a message, for links of limited bandwidth.
const BYTES: usize = 300;

type Running = Arc<Mutex<Option<Arc<Chaos<Embedded>>>>>;

/// A broker and a warehouse on one host. The warehouse's journal survives every stop.
#[derive(Clone)]
pub(super) struct Broker {
    name: &'static str,
    running: Running,
    journal: Journal,
    stats: Arc<Mutex<u64>>,
}

impl Broker {
    /// Starts it on its host.
    pub(super) fn start(
        stage: &mut Stage,
        name: &'static str,
        seed: u64,
        faults: chaos::Faults,
    ) -> Self {
        let host = stage.host(name);
        let clock = host.clock();
        let (journal, mut writer) = Journal::new(memory::Engine::new(), clock.clone());
        // It is without faults, so it cannot fail.
        stage.simulation().on_idle(move || writer.run_once().is_ok_and(|count| count > 0));
        let broker = Self { name, running: Running::default(), journal, stats: Arc::default() };
        let served = broker.clone();
        host.boot(move || {
            let (broker, clock) = (served.clone(), clock.clone());
            async move { broker.live(clock, seed, faults).await }.boxed_local()
        });
        broker
    }

    /// One life of the process.
    async fn live(self, clock: Clock, seed: u64, faults: chaos::Faults) {
        let embedded = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let chaos = Arc::new(Chaos::new(Arc::clone(&embedded), clock.clone(), seed, faults));
        let warehouse = Warehouse { journal: self.journal.clone(), clock: clock.clone() };
        let options = consumer::Options::new("warehouse");
        // Both can only fail for a name that is none, or a journal that cannot be read.
        let Ok(consumer) = Consumer::open(self.journal.clone(), clock, warehouse, options) else {
            return;
        };
        let Ok(workers) = consumer.subscribe(&*chaos, &[TOPIC], 1) else { return };
        embedded.open();
        let _open = Open { broker: &self, chaos: Arc::clone(&chaos) };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&chaos));
        let work = futures::future::join_all(workers.into_iter().map(|worker| worker.run()));
        join(chaos.run(), work).await;
    }

    /// How often the warehouse has worked on each order.
    pub(super) fn effects(&self) -> Result<BTreeMap<String, i64>, StorageError> {
        let store = self.journal.store();
        let (mut effects, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let page = store.records(SPACE, "", after.as_deref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(effects) };
            after = Some(last.clone());
            for (order, _) in page {
                let count = store.counter(&counter(&order))?;
                effects.insert(order, count);
            }
        }
    }

    /// How many messages were brought again, on purpose.
    pub(super) fn redelivered(&self) -> u64 {
        let before = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        before + now.as_ref().map_or(0, |chaos| chaos.stats().duplicated)
    }
}

/// One life of the process, however it ends.
struct Open<'a> {
    broker: &'a Broker,
    chaos: Arc<Chaos<Embedded>>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let running = self.broker.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
        *self.broker.stats.lock().unwrap_or_else(PoisonError::into_inner) +=
            self.chaos.stats().duplicated;
    }
}

fn counter(order: &str) -> String {
    format!("warehouse/{order}")
}

/// Sets the articles of an order aside; twice, when it is told twice and does not notice.
struct Warehouse {
    journal: Journal,
    clock: Clock,
}

impl Handler for Warehouse {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let order = delivery.message().aggregate_id.clone();
        let mut write = Write::at(self.clock.now());
        write.guards.push(Guard { counter: counter(&order), delta: 1, bounds: 0..=i64::MAX });
        let value = Some(Bytes::from_static(b"true"));
        write.records.push(RecordChange { space: SPACE.into(), key: order, value });
        delivery.commit(&self.journal, write).await
    }
}

/// A publisher's way to the broker, over the network. What is not answered in time counts as lost,
/// although it may have arrived.
pub(super) struct Remote {
    net: Net,
    from: &'static str,
    here: Clock,
    broker: &'static str,
    running: Running,
    patience: Duration,
}

impl Remote {
    pub(super) fn new(
        net: Net,
        from: &'static str,
        here: &Clock,
        broker: &Broker,
        patience: Duration,
    ) -> Self {
        let (here, running) = (here.clone(), Arc::clone(&broker.running));
        Self { net, from, here, broker: broker.name, running, patience }
    }
}

/// The one answer to a parcel: the broker's, or that there was none.
#[derive(Clone)]
struct Answer {
    ticket: u64,
    receipts: Receipts,
    given: Arc<AtomicBool>,
}

impl Answer {
    fn give(&self, outcome: Result<(), Error>) {
        if !self.given.swap(true, Ordering::Relaxed) {
            self.receipts.file(self.ticket, outcome);
        }
    }
}

impl Bus for Remote {
    type Lane = embedded::Lane;

    async fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts) {
        let (from, to) = (self.from, self.broker);
        for parcel in parcels {
            let ticket = parcel.ticket;
            let answer = Answer { ticket, receipts: receipts.clone(), given: Arc::default() };
            let (late, here, patience) = (answer.clone(), self.here.clone(), self.patience);
            self.net.post(from, from, 0, move || {
                let (late, sleep) = (late.clone(), here.sleep(patience));
                async move {
                    sleep.await;
                    late.give(Err(Error::Lost));
                }
                .boxed()
            });
            let (net, running) = (self.net.clone(), Arc::clone(&self.running));
            self.net.post(from, to, BYTES, move || {
                let chaos = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (net, answer, parcel) = (net.clone(), answer.clone(), parcel.clone());
                async move {
                    let Some(chaos) = chaos else { return };
                    let receipts = Receipts::new();
                    chaos.publish(vec![parcel], &receipts).await;
                    for receipt in receipts.take().await {
                        let (answer, outcome) = (answer.clone(), receipt.outcome);
                        net.post(to, from, BYTES, move || {
                            answer.give(outcome.clone());
                            futures::future::ready(()).boxed()
                        });
                    }
                }
                .boxed()
            });
        }
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<Self::Lane>, Error> {
        // Those who publish from afar do not receive.
        Err(Error::Late { group: subscription.group.clone() })
    }
}
