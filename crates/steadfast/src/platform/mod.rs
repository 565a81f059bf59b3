//! The platform in one process: the place that names engines and wires the parts together.
//!
//! It starts from the bottom (journals, then the business, then the listeners) and stops from the
//! top: requests end first, then the messages that are under way, then the journals close, and
//! with them everything that follows them. Killing it instead loses nothing that was answered.

mod clock;
mod coordination;
mod data;
mod error;
mod leases;
mod locks;
mod metrics;
mod operators;
mod planner;
mod policies;
mod providers;
mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared};
use steadfast_api::server::{self, Access, Token};
use steadfast_api::{Admin, Api, Gateway, Lifecycle, Phase, Server, admin_router, router};
use steadfast_dispatch::service::{self, Services};
use steadfast_dispatch::{Assembly, Parts, Task};
use steadfast_journal::Journal;
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_time::{Clock, Ids};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use clock::Timekeeper;
pub use coordination::connect;
pub use data::coordination_paths;
pub use error::Error;
pub use leases::LeaseOffice;
pub use storage::journals;

use crate::config::Config;
use clock::Watching;
use coordination::Coordination;
use locks::Locks;
use operators::{DeadLetterOffice, SagaOffice};
use policies::Watch;
use providers::Providers;
use storage::Storage;

/// Tasks of the order saga's consumer. The machine this is made for has two processors, one of
/// which the journal's writer keeps busy.
const LANES: usize = 2;

/// How long the tasks may take to end once the journals are closed.
const TASKS_END: Duration = Duration::from_secs(5);

/// How long the relay may take to hand its lead over before everything else is handed over.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How a task or a listener ended that should not have.
type Ended = Shared<BoxFuture<'static, Option<Arc<Error>>>>;

/// A running platform.
pub struct Platform {
    public: SocketAddr,
    admin: SocketAddr,
    services: Services,
    storage: Storage,
    assembly: Assembly,
    bus: Embedded,
    coordination: Coordination,
    lifecycle: Lifecycle,
    clock: Clock,
    ended: Ended,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    serving: JoinHandle<()>,
    office: JoinHandle<()>,
    gateway: Gateway,
    /// Ends the admin listener, which goes last.
    close_office: oneshot::Sender<()>,
}

impl Platform {
    /// Opens the journals, starts everything, and listens. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`Error`]. Nothing keeps running then.
    pub async fn start(config: &Config, clock: impl Into<Timekeeper>) -> Result<Self, Error> {
        let timekeeper = clock.into();
        let clock = timekeeper.clock().clone();
        let render = metrics::recorder();
        // Listening comes first: an address that is taken is noticed before anything is opened.
        let http = &config.http;
        let who = access(http.token_env.as_deref(), http.allow_remote)?;
        let public = listener("public", config.listen, who, config);
        let public = Server::bind(public, clock.clone()).await?;
        let who = access(http.admin_token_env.as_deref(), http.allow_remote)?;
        let admin = listener("admin", config.admin, who, config);
        let admin = Server::bind(admin, clock.clone()).await?;

        let storage = Storage::open(config, &clock)?;
        let providers = Providers::new(config, &storage, &clock)?;
        let watching = Watching::start(&clock)?;
        let coordination = Coordination::start(config, &clock, &watching).await?;
        let locks = Arc::new(Locks::new(clock.clone()));
        coordination.client().listen(locks.clone());
        let lifecycle = Lifecycle::default();
        let (keeping, keepers) =
            watching.judge(timekeeper, config, coordination.client(), &lifecycle)?;
        let bus = Embedded::new(bus::embedded::Options::default());
        let policies = Arc::new(Watch::new(config, &clock)?);
        let mut assembly = Assembly::new(Parts {
            journal: storage.orders().clone(),
            clock: clock.clone(),
            ids: Ids::from_entropy(),
            bus: Arc::new(bus.clone()),
            coordination: coordination.client().clone(),
            planner: Arc::new(planner::BlockingPool),
            stock: Arc::clone(&providers.stock),
            payment: Arc::clone(&providers.payment),
            policies: policies.policies().clone(),
            options: service::Options {
                events: policies.couriers_events(),
                ..config.dispatch_options()
            },
            saga: config.saga_options(),
            relay: relay::Options::default(),
            lanes: LANES,
        })?;
        bus.open();
        policies.watch(assembly.services.couriers.clone());
        let journals = [storage.orders(), storage.stock(), storage.payment()];
        policies.watch_locks(Arc::clone(&locks), journals.map(Journal::clone));
        policies.watch_clock(Arc::clone(&keeping));

        let (failed, mut failures) = mpsc::unbounded_channel::<Error>();
        let mut tasks = Vec::new();
        let (sampled, client) = (Arc::clone(&policies), coordination.client().clone());
        let sample = async move {
            futures::join!(sampled.sample(), locks.watch(&client));
            Ok(())
        };
        let watches = [
            Task { name: "indicators", work: sample.boxed() },
            watch("stock ledger", storage.stock()),
            watch("payment ledger", storage.payment()),
        ];
        for task in assembly.tasks.drain(..).chain(watches).chain(keepers) {
            let (failed, lifecycle) = (failed.clone(), lifecycle.clone());
            let name = task.name;
            let run = async move {
                let Err(source) = task.work.await else { return };
                if lifecycle.readiness().phase == Phase::Draining {
                    // The journals close while it is stopping, and everything ends with them.
                    return tracing::debug!(task = name, error = %source, "ended");
                }
                lifecycle.cut_off(name, source.to_string());
                // Whoever started the platform may have lost interest.
                let _ = failed.send(Error::Task { name, source });
            };
            tasks.push((name, tokio::spawn(run)));
        }
        drop(failed);
        let ended = async move { failures.recv().await.map(Arc::new) }.boxed().shared();

        let api = steadfast_api::Options {
            deadline: config.request_deadline(),
            ..steadfast_api::Options::default()
        };
        let services = assembly.services.clone();
        let gateway = policies.gateway().clone();
        let api = Api::new(services.clone(), clock.clone(), lifecycle.clone(), api)
            .behind(gateway.clone());
        let gauges = metrics::Gauges::new(&storage, &assembly, &bus, &policies);
        let render = keeping.with_metrics(gauges.render(render));
        let office = Admin::new(clock.clone(), lifecycle.clone(), render)
            .with_sagas(Arc::new(SagaOffice::new(assembly.saga.clone())))
            .with_policies(policies)
            .with_leases(Arc::new(LeaseOffice::new(coordination.client().coordinator().clone())))
            .with_dead_letters(Arc::new(DeadLetterOffice::new(assembly.consumer.dead_letters())));
        let mut office = admin_router(office);
        if let Some(sandbox) = &providers.sandbox {
            let served = steadfast_providers::serve::sandbox(sandbox, clock.clone(), None);
            office = office.nest("/sandbox", served);
        }
        let (public_address, admin_address) = (public.address(), admin.address());
        let draining = lifecycle.draining();
        let serving = tokio::spawn(async move {
            let drained = public.run(router(api), draining).await;
            if drained.cut > 0 {
                tracing::warn!(connections = drained.cut, "cut off after the time to drain");
            }
        });
        let (close_office, closed) = oneshot::channel::<()>();
        let office = tokio::spawn(async move {
            let closed = async {
                let _ = closed.await;
            };
            admin.run(office, closed).await;
        });
        lifecycle.ready();
        Ok(Self {
            public: public_address,
            admin: admin_address,
            services,
            storage,
            assembly,
            bus,
            coordination,
            lifecycle,
            clock,
            ended,
            tasks,
            serving,
            office,
            gateway,
            close_office,
        })
    }

    /// Where orders are taken.
    #[must_use]
    pub const fn public(&self) -> SocketAddr {
        self.public
    }

    /// Where it is administered.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The journal of orders.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.storage.orders()
    }

    /// The services, for whoever lives in the same process.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Completes when the platform cannot go on, or has been told to drain over HTTP.
    ///
    /// # Errors
    /// What it could not go on without.
    pub async fn ended(&self) -> Result<(), Error> {
        let drained = std::pin::pin!(self.lifecycle.draining());
        let ended = self.ended.clone();
        match futures::future::select(ended, drained).await {
            futures::future::Either::Left((Some(error), _)) => Err(Error::Ended(error)),
            _ => Ok(()),
        }
    }

    /// Takes nothing more, finishes what is under way, and closes the journals.
    ///
    /// # Errors
    /// A journal could not be closed as it should. What was answered is stored all the same.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.lifecycle.drain();
        // The relay marks what is under way, which takes milliseconds, and hands its lead over; then
        // the rest goes. Whoever stands by takes over while what is under way here ends. A relay
        // that takes longer loses its lead with the rest, and finishes all the same.
        self.assembly.stop();
        let relay = self.tasks.iter().position(|(name, _)| *name == "relay");
        let mut relay = relay.map(|place| self.tasks.swap_remove(place).1);
        if let Some(task) = &mut relay
            && self.clock.timeout(HAND_OVER, task).await.is_ok()
        {
            relay = None;
        }
        self.coordination.resign().await;
        // A listener that panicked has nothing left to serve.
        let _ = self.serving.await;
        self.gateway.close();
        if let Some(task) = relay {
            end(&self.clock, "relay", task).await;
        }
        let mut rest = Vec::new();
        for (name, task) in self.tasks {
            match name {
                // The list's place is in the journal, and it goes on from there; indicators live
                // as long as the process.
                "order list" | "indicators" | clock::TASK => task.abort(),
                _ => rest.push((name, task)),
            }
        }
        self.bus.close();
        drop(self.assembly);
        self.coordination.stop().await;
        let closed = self.storage.close().await;
        for (name, task) in rest {
            end(&self.clock, name, task).await;
        }
        let _ = self.close_office.send(());
        let _ = self.office.await;
        closed
    }
}

/// A task that ends with a journal, which nothing but a failure of its storage ends while the
/// platform is at work.
fn watch(name: &'static str, journal: &Journal) -> Task {
    let mut batches = journal.batches();
    let work = async move {
        while !matches!(batches.recv().await, Err(RecvError::Closed)) {}
        Err("its journal has failed; the log says why".into())
    };
    Task { name, work: work.boxed() }
}

/// Waits for a task, but not forever: what it still had under way comes again after a restart.
async fn end(clock: &Clock, name: &'static str, mut task: JoinHandle<()>) {
    if clock.timeout(TASKS_END, &mut task).await.is_err() {
        tracing::warn!(task = name, "did not end in time; stopped");
        task.abort();
    }
}

fn listener(
    name: &'static str,
    at: SocketAddr,
    access: Access,
    config: &Config,
) -> server::Options {
    server::Options {
        access,
        connections_max: config.http.connections_max,
        drain_timeout: config.http.drain_timeout.get(),
        ..server::Options::new(name, at)
    }
}

fn access(token_env: Option<&str>, allow_remote: bool) -> Result<Access, Error> {
    match token_env {
        Some(variable) => Ok(Access::Bearer(token(variable)?)),
        None if allow_remote => Ok(Access::Anyone),
        None => Ok(Access::Loopback),
    }
}

fn token(variable: &str) -> Result<Token, Error> {
    let missing = |_| Error::NoToken { variable: variable.to_owned() };
    let text = std::env::var(variable).map_err(missing)?;
    Token::new(&text).map_err(|source| Error::Token { variable: variable.to_owned(), source })
}
