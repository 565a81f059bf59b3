//! The whole business in memory: services, saga, relay, bus and dispatcher.

use std::sync::Arc;

use futures::FutureExt;
use steadfast_api::{Api, Lifecycle, Options, router};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::provider::{Answer, Call, Payment, Stock};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::Options as ServiceOptions;
use steadfast_dispatch::{Assembly, Inline, Parts};
use steadfast_journal::{Journal, WriterThread, memory};
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_time::{Clock, Ids};
use tokio::task::JoinSet;

use super::Running;

/// Stock and payment that always agree.
struct Agreeable;

fn yes(name: &str, order: OrderId) -> Answer<'static, String> {
    let name = format!("{name}-{order}");
    async { Ok(name) }.boxed()
}

impl Stock for Agreeable {
    fn reserve<'a>(&'a self, _: &'a Call, order: OrderId, _: &'a [Item]) -> Answer<'a, String> {
        yes("reservation", order)
    }

    fn release<'a>(&'a self, _: &'a Call, _: OrderId) -> Answer<'a, ()> {
        async { Ok(()) }.boxed()
    }
}

impl Payment for Agreeable {
    fn authorize<'a>(&'a self, _: &'a Call, order: OrderId, _: &'a Money) -> Answer<'a, String> {
        yes("authorization", order)
    }

    fn capture<'a>(&'a self, _: &'a Call, order: OrderId) -> Answer<'a, String> {
        yes("capture", order)
    }

    fn void<'a>(&'a self, _: &'a Call, _: OrderId) -> Answer<'a, ()> {
        async { Ok(()) }.boxed()
    }
}

/// A city at work, behind a listener.
pub struct City {
    pub clock: Clock,
    pub server: Running,
    assembly: Assembly,
    tasks: JoinSet<()>,
    writer: WriterThread,
}

impl City {
    pub async fn start() -> Self {
        let clock = Clock::system();
        let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
        let writer = writer.spawn("journal").unwrap();
        let coordinator = Arc::new(Memory::new(clock.clone()));
        let leases = coordination::Options::default();
        let (coordination, keeper) = Client::new(coordinator, clock.clone(), leases).unwrap();
        let bus = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let policies = Policies::standard(&clock);
        let mut assembly = Assembly::new(Parts {
            journal,
            clock: clock.clone(),
            ids: Ids::from_entropy(),
            bus: Arc::clone(&bus),
            coordination,
            planner: Arc::new(Inline),
            stock: Arc::new(Agreeable),
            payment: Arc::new(Agreeable),
            policies,
            options: ServiceOptions::default(),
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 2,
        })
        .unwrap();
        bus.open();
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        for task in assembly.tasks.drain(..) {
            tasks.spawn(async move {
                if let Err(error) = task.work.await {
                    panic!("{}: {error}", task.name);
                }
            });
        }
        let lifecycle = Lifecycle::default();
        let services = assembly.services.clone();
        let api = Api::new(services, clock.clone(), lifecycle, Options::default());
        let server = Running::over(router(api), |_| ()).await;
        Self { clock, server, assembly, tasks, writer }
    }
}
