//! The service: it places an order, takes its amount, and answers.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use steadfast_dispatch::names::{OrderId, TenantId};
use steadfast_dispatch::order::PlaceOrder;
use steadfast_dispatch::provider::{Call, Failure, Payment as _};
use steadfast_dispatch::service::{IdempotencyKey, Options, Services};
use steadfast_time::{Clock, Ids};

use super::database::Database;
use super::providers::Remote;
use super::{SERVICE, Trial};
use crate::fault::Http;
use crate::sim::Stage;

/// How long a supervisor waits before it starts the process again.
const RESTART: Duration = Duration::from_millis(300);

/// What a payment call may take.
const PAYMENT: Duration = Duration::from_millis(400);

/// The shop. Clones are the same.
#[derive(Clone)]
pub(super) struct Shop {
    running: Arc<Mutex<Option<Services>>>,
    clock: Clock,
    payment: Remote,
    gate: Arc<Mutex<Gate>>,
}

/// What stands before the service's requests, and what it has counted.
struct Gate {
    rng: Rng,
    http: Option<Http>,
    replayed: u64,
    lost: u64,
}

/// What happens to a request.
struct Fate {
    refused: bool,
    lost: bool,
    late: Duration,
}

impl Shop {
    /// Starts the service on its host.
    pub(super) fn start(
        stage: &Stage,
        database: &Database,
        payment: Remote,
        trial: &Trial<'_>,
    ) -> Self {
        let host = stage.host(SERVICE);
        let gate = Gate { rng: trial.rng("gate"), http: None, replayed: 0, lost: 0 };
        let shop = Self {
            running: Arc::default(),
            clock: host.clock(),
            payment,
            gate: Arc::new(Mutex::new(gate)),
        };
        let (served, database, seed) = (shop.clone(), database.clone(), trial.seed);
        let lives = Rc::new(Cell::new(0_u64));
        host.boot(move || {
            let (shop, database, lives) = (served.clone(), database.clone(), Rc::clone(&lives));
            async move {
                loop {
                    lives.set(lives.get() + 1);
                    shop.live(&database, seed ^ (lives.get() << 32)).await;
                    shop.clock.sleep(RESTART).await;
                }
            }
            .boxed_local()
        });
        shop
    }

    /// One life: ends when the database does.
    async fn live(&self, database: &Database, seed: u64) {
        let Some(journal) = database.journal() else { return };
        let (clock, ids) = (self.clock.clone(), Ids::seeded(seed));
        let services = Services::new(journal.clone(), clock.clone(), ids, Options::default());
        *self.running() = Some(services);
        let _open = Open(self);
        while database.journal().is_some() && journal.store().head().is_ok() {
            clock.sleep(RESTART).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Services>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives its requests a fault, or takes it away.
    pub(super) fn disturb(&self, http: Option<Http>) {
        self.gate().http = http;
    }

    /// Answers that were given before.
    pub(super) fn replayed(&self) -> u64 {
        self.gate().replayed
    }

    /// Answers that were lost on purpose.
    pub(super) fn lost_replies(&self) -> u64 {
        self.gate().lost
    }

    /// Serves a request: the answer's body, or nothing when it failed. A reply that is lost never
    /// comes.
    pub(super) async fn serve(self, request: PlaceOrder, key: String) -> Option<Vec<u8>> {
        let fate = self.gate().fate();
        self.clock.sleep(fate.late).await;
        if fate.refused {
            return None;
        }
        let answer = self.place(request, key).await;
        if fate.lost {
            self.gate().lost += 1;
            futures::future::pending::<()>().await;
        }
        answer
    }

    async fn place(&self, request: PlaceOrder, key: String) -> Option<Vec<u8>> {
        let services = self.running().clone()?;
        let amount = request.amount.clone();
        let deadline = self.clock.monotonic() + PAYMENT;
        let key = IdempotencyKey::parse(key.as_bytes()).ok()?;
        let placed =
            services.orders.place(request, TenantId::public(), key, deadline).await.ok()?;
        if placed.replayed {
            self.gate().replayed += 1;
        }
        let body = placed.response.body.to_vec();
        let id: OrderId = super::customers::order_id(&body)?;
        // Under the order's own key: asked again, it is the same payment.
        let call =
            |step: &str| Call::first(format!("{id}/{step}"), self.clock.monotonic() + PAYMENT);
        sure(self.payment.authorize(&call("authorize"), id, &amount).await)?;
        sure(self.payment.capture(&call("capture"), id).await)?;
        Some(body)
    }
}

/// Only what surely happened counts; the customer asks again about the rest.
fn sure(answer: Result<String, Failure>) -> Option<String> {
    answer.ok()
}

impl Gate {
    fn fate(&mut self) -> Fate {
        let Some(http) = self.http else {
            return Fate { refused: false, lost: false, late: Duration::ZERO };
        };
        // Always the same number of draws, so that one share does not shift the others.
        let (refused, lost, late) = (self.rng.f64(), self.rng.f64(), self.rng.f64());
        Fate {
            refused: refused < http.share,
            lost: lost < http.lost_replies,
            late: http.latency + http.jitter.mul_f64(late),
        }
    }
}

/// The process is there until it is dropped, however that happens.
struct Open<'a>(&'a Shop);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let services = self.0.running().take();
        drop(services);
    }
}
