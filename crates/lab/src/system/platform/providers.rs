//! Stock and payment on a host of their own, and the nodes' ways to them.
//!
//! They are the sandbox's ledgers. They belong to somebody else, so they lose nothing; but they can be
//! away, slow, unwilling, and their answers can be lost.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Answer, Call, Failure, Payment, Stock};
use steadfast_journal::{Journal, memory};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_time::Clock;

use crate::fault;
use crate::sim::{Host, Net, Stage};

/// The host's name.
pub(in crate::system) const HOST: &str = "providers";

/// The size of a call, for links of limited bandwidth.
const BYTES: usize = 400;

/// Opens the ledgers on their host.
pub(in crate::system) fn open(stage: &mut Stage, host: &Host, seed: u64) -> Sandbox {
    let clock = host.clock();
    let (stock, mut first) = Journal::new(memory::Engine::new(), clock.clone());
    let (payment, mut second) = Journal::new(memory::Engine::new(), clock.clone());
    stage.simulation().on_idle(move || {
        // They are without faults, so they cannot fail; and if they did, everybody would hear so.
        [&mut first, &mut second].into_iter().any(|it| it.run_once().is_ok_and(|count| count > 0))
    });
    Sandbox::open(stock, payment, &clock, sandbox::Options { seed, ..Default::default() })
}

/// Gives them a fault of their requests, or takes it away.
pub(in crate::system) fn disturb(faults: &sandbox::Faults, fault: Option<fault::Http>) {
    let Some(http) = fault else { return faults.clear() };
    let share = |share: f64| sandbox::Probability::new(share).unwrap_or_default();
    faults.set_all(sandbox::Plan {
        unavailable: share(http.share),
        lose_reply: share(http.lost_replies),
        delay: sandbox::Delay {
            least: http.latency,
            mean_extra: http.jitter / 2,
            most: http.latency + http.jitter,
        },
        ..sandbox::Plan::default()
    });
}

/// A node's way to them. What is left of a call's time travels with it, as over HTTP, for the two
/// clocks have nothing in common.
#[derive(Clone)]
pub(in crate::system) struct Remote {
    pub(in crate::system) net: Net,
    pub(in crate::system) from: String,
    pub(in crate::system) here: Clock,
    pub(in crate::system) there: Clock,
    pub(in crate::system) sandbox: Sandbox,
}

impl Remote {
    fn ask<'a, T: Send + 'static>(
        &'a self,
        call: &Call,
        work: impl Fn(Sandbox, Call) -> BoxFuture<'static, Result<T, Failure>> + Send + Sync + 'static,
    ) -> Answer<'a, T> {
        let left = call.deadline - self.here.monotonic();
        let Call { key, attempt, .. } = call.clone();
        let (there, sandbox) = (self.there.clone(), self.sandbox.clone());
        Box::pin(async move {
            let asked = self.net.call(&self.from, HOST, BYTES, move || {
                let (key, deadline) = (key.clone(), there.monotonic() + left);
                work(sandbox.clone(), Call { key, deadline, attempt })
            });
            match self.here.timeout(left, asked).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(refused)) => Err(Failure::unavailable(refused.to_string())),
                Err(late) => Err(Failure::Unknown { reason: late.to_string() }),
            }
        })
    }
}

impl Stock for Remote {
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String> {
        let items = items.to_vec();
        self.ask(call, move |sandbox, call| {
            let items = items.clone();
            async move { sandbox.stock.reserve(&call, order, &items).await }.boxed()
        })
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        self.ask(call, move |sandbox, call| {
            async move { sandbox.stock.release(&call, order).await }.boxed()
        })
    }
}

impl Payment for Remote {
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String> {
        let amount = amount.clone();
        self.ask(call, move |sandbox, call| {
            let amount = amount.clone();
            async move { sandbox.payment.authorize(&call, order, &amount).await }.boxed()
        })
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        self.ask(call, move |sandbox, call| {
            async move { sandbox.payment.capture(&call, order).await }.boxed()
        })
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        self.ask(call, move |sandbox, call| {
            async move { sandbox.payment.void(&call, order).await }.boxed()
        })
    }
}
