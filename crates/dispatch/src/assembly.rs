//! Everything that runs the business, over whatever ports it is given.
//!
//! The binary assembles it over SQLite and real providers, a replay over a simulated day, the
//! simulation tests over engines that crash and a bus that loses messages. It is the same code
//! each time: the assembly names no engine, spawns nothing and reads no clock. It hands out
//! [`Task`]s, and whoever holds them runs them.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use steadfast_coordination::Client;
use steadfast_journal::Journal;
use steadfast_messaging::{Bus, Consumer, Relay, bus, consumer, relay};
use steadfast_resilience::Invalid;
use steadfast_time::{Clock, Ids};
use steadfast_transactions::{DefinitionError, timers::Timers};
use tokio::sync::watch;

use crate::dispatcher::{Dispatcher, Planner, Ticker};
use crate::order;
use crate::policies::Policies;
use crate::provider::{Guarded, Payment, Stock};
use crate::relay as leadership;
use crate::saga::{CONSUMER, OrderSaga, SagaOptions};
use crate::service::{Numbers, NumbersError, Options, Services};

/// The ports, and what the deployment decides.
pub struct Parts<B> {
    /// Where everything is kept.
    pub journal: Journal,
    /// The time.
    pub clock: Clock,
    /// Where names come from.
    pub ids: Ids,
    /// How messages travel.
    pub bus: Arc<B>,
    /// Who may dispatch which zone, who relays, and where order numbers come from. Its keeper is run by whoever made it.
    pub coordination: Client,
    /// Who runs the dispatcher's policies.
    pub planner: Arc<dyn Planner>,
    /// The stock service.
    pub stock: Arc<dyn Stock>,
    /// The payment service.
    pub payment: Arc<dyn Payment>,
    /// What stands between the services and what they call.
    pub policies: Policies,
    /// For the services and the dispatcher.
    pub options: Options,
    /// For the saga.
    pub saga: SagaOptions,
    /// For the relay.
    pub relay: relay::Options,
    /// Lanes of the saga's consumer; keys of different lanes run on different tasks.
    pub lanes: usize,
}

/// Why the parts do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The services' options.
    #[error("the services: {0}")]
    Services(#[from] Invalid),
    /// The saga's options.
    #[error("the order saga: {0}")]
    Saga(#[from] DefinitionError),
    /// The saga's consumer.
    #[error("the order saga's consumer: {0}")]
    Consumer(#[from] consumer::Error),
    /// The bus.
    #[error("the order saga's subscription: {0}")]
    Bus(#[from] bus::Error),
    /// The orders' numbers.
    #[error("the orders' numbers: {0}")]
    Numbers(#[from] NumbersError),
    /// What is open could not be read from the journal.
    #[error("the open orders and couriers: {0}")]
    Board(#[source] crate::Error),
}

/// How a task ended that could not go on.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// Something that has to run for as long as the business does.
pub struct Task {
    /// What it is.
    pub name: &'static str,
    /// Ends when the journal is closed, or with an error when it cannot go on.
    pub work: BoxFuture<'static, Result<(), TaskError>>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({})", self.name)
    }
}

/// The assembled business. Keep it as long as its tasks run: when it is dropped, the relay ends as if
/// told to [`Assembly::stop`].
#[derive(Debug)]
pub struct Assembly {
    /// What the outside can ask for.
    pub services: Services,
    /// The saga, for operators.
    pub saga: OrderSaga,
    /// The saga's consumer, for its dead letters.
    pub consumer: Consumer<OrderSaga>,
    /// The relay's counters.
    pub relay: relay::Handle,
    /// Makes the dispatcher decide, where it does not by itself.
    pub ticker: Ticker,
    /// What has to run.
    pub tasks: Vec<Task>,
    stop: watch::Sender<bool>,
}

impl Assembly {
    /// Puts the parts together. Subscribes to the bus, which must not be open yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new<B: Bus>(parts: Parts<B>) -> Result<Self, Error> {
        let Parts { journal, clock, ids, bus, coordination, stock, payment, policies, .. } = parts;
        let stock = Arc::new(Guarded::new(stock, policies.stock, clock.clone()));
        let payment = Arc::new(Guarded::new(payment, policies.payment, clock.clone()));
        let numbers = Some(Arc::new(Numbers::new(&journal, &coordination)?));
        let options = Options { journal: Some(policies.journal), numbers, ..parts.options };
        options.check()?;
        let services = Services::new(journal.clone(), clock.clone(), ids, options);
        let saga = OrderSaga::new(&services, stock, payment, parts.saga)?;
        let consumer_options = consumer::Options::new(CONSUMER);
        let consumer =
            Consumer::open(journal.clone(), clock.clone(), saga.clone(), consumer_options)?;
        let workers = consumer.subscribe(&*bus, &[order::TOPIC], parts.lanes)?;
        let relay = Relay::new(journal.clone(), bus, clock.clone(), parts.relay);
        let relay_handle = relay.handle();
        let mut dispatcher =
            Dispatcher::new(&services, coordination.clone()).with_planner(parts.planner);
        dispatcher.load().map_err(Error::Board)?;
        let ticker = dispatcher.ticker();
        let timers = Timers::new(journal, clock);
        let (stop, stopped) = watch::channel(false);

        let mut tasks = vec![
            task("relay", leadership::run(relay, coordination, stopped)),
            task("dispatcher", async move { Ok(dispatcher.run().await?) }),
            task("order list", services.list_projection()),
        ];
        let firing = saga.clone();
        tasks.push(task("timers", async move { Ok(timers.run(firing).await?) }));
        for worker in workers {
            tasks.push(task("order saga", async move { Ok(worker.run().await?) }));
        }
        Ok(Self { services, saga, consumer, relay: relay_handle, ticker, tasks, stop })
    }

    /// Tells the relay to take nothing more, to finish what is under way, and to hand its lead over.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

fn task(
    name: &'static str,
    work: impl Future<Output = Result<(), TaskError>> + Send + 'static,
) -> Task {
    Task { name, work: work.boxed() }
}
