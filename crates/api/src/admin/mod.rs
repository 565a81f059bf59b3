//! The admin listener: how the process is, and what an operator can do about it.
//!
//! Its routes know neither the saga engine nor the bus. They stand on small traits, such as
//! [`SagaAdmin`] and [`LeaseAdmin`], which the binary puts in front of whatever runs in this
//! process; a process that runs no sagas simply has no `/sagas`.
//!
//! | route | does |
//! |---|---|
//! | `GET /healthz` | 200 while the process is alive at all |
//! | `GET /readyz` | 200 when it can take work, or 503, and why |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /policies`, `GET /policies/{name}` | circuits, budgets, bulkheads; one with its decisions |
//! | `POST /policies/{name}/breaker` | force a circuit open or closed, or leave it to itself |
//! | `GET /leases`, `GET /leases/{name}` | what is held at the coordination engine; one with its queue |
//! | `POST /leases/{name}/release` | take it away from its holder |
//! | `GET /slo` | indicators and error budgets |
//! | `POST /drain` | take no new work; the process ends once what is at work is done |
//! | `GET /sagas`, `GET /sagas/{id}` | those that need attention; one with its history |
//! | `POST /sagas/{id}/retry`, `…/skip`, `…/resolve` | an operator's decision |
//! | `GET /dead-letters`, `GET /dead-letters/{place}` | parked messages |
//! | `POST /dead-letters/replay`, `DELETE /dead-letters/{place}` | handle again; give up |

mod dead_letters;
mod health;
mod leases;
mod policies;
mod port;
mod sagas;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use steadfast_time::Clock;

pub use port::{
    Answer, DeadLetterAdmin, Error, Finding, Force, ForcedState, LeaseAdmin, ListDeadLetters,
    ListLeases, ListSagas, Page, PolicyAdmin, Release, Replay, Resolve, Retry, SagaAdmin, Skip,
};

use crate::lifecycle::Lifecycle;
use crate::meter::{Timed, delete, get, post};
use crate::routes::{not_allowed, unknown};

/// Writes all metrics in Prometheus' text format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// What the admin listener shows and steers. Clones are the same.
#[derive(Clone)]
pub struct Admin {
    clock: Clock,
    lifecycle: Lifecycle,
    metrics: Render,
    sagas: Option<Arc<dyn SagaAdmin>>,
    dead_letters: Option<Arc<dyn DeadLetterAdmin>>,
    policies: Option<Arc<dyn PolicyAdmin>>,
    leases: Option<Arc<dyn LeaseAdmin>>,
}

impl Admin {
    /// Health, readiness, metrics and draining; nothing else yet.
    #[must_use]
    pub fn new(clock: Clock, lifecycle: Lifecycle, metrics: Render) -> Self {
        let (sagas, dead_letters, policies, leases) = (None, None, None, None);
        Self { clock, lifecycle, metrics, sagas, dead_letters, policies, leases }
    }

    /// With the sagas of this process.
    #[must_use]
    pub fn with_sagas(mut self, sagas: Arc<dyn SagaAdmin>) -> Self {
        self.sagas = Some(sagas);
        self
    }

    /// With the policies of this process.
    #[must_use]
    pub fn with_policies(mut self, policies: Arc<dyn PolicyAdmin>) -> Self {
        self.policies = Some(policies);
        self
    }

    /// With what is held at the engine that this process coordinates by.
    #[must_use]
    pub fn with_leases(mut self, leases: Arc<dyn LeaseAdmin>) -> Self {
        self.leases = Some(leases);
        self
    }

    /// With the dead letters of this process.
    #[must_use]
    pub fn with_dead_letters(mut self, letters: Arc<dyn DeadLetterAdmin>) -> Self {
        self.dead_letters = Some(letters);
        self
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("lifecycle", &self.lifecycle)
            .field("sagas", &self.sagas.is_some())
            .field("dead_letters", &self.dead_letters.is_some())
            .field("policies", &self.policies.is_some())
            .field("leases", &self.leases.is_some())
            .finish_non_exhaustive()
    }
}

/// The state of the routes of one part, with the part at hand.
struct With<T: ?Sized> {
    part: Arc<T>,
    clock: Clock,
}

impl<T: ?Sized> Clone for With<T> {
    fn clone(&self) -> Self {
        Self { part: Arc::clone(&self.part), clock: self.clock.clone() }
    }
}

impl<T: ?Sized + Send + Sync + 'static> Timed for With<T> {
    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Timed for Admin {
    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// The routes of the admin listener.
pub fn admin_router(admin: Admin) -> Router {
    let clock = admin.clock.clone();
    let mut router = Router::new();
    if let Some(part) = admin.sagas.clone() {
        let state = With { part, clock: clock.clone() };
        let sagas = Router::new()
            .route("/sagas", get("admin_list_sagas", sagas::list))
            .route("/sagas/{id}", get("admin_get_saga", sagas::get))
            .route("/sagas/{id}/retry", post("admin_retry_saga", sagas::retry))
            .route("/sagas/{id}/skip", post("admin_skip_step", sagas::skip))
            .route("/sagas/{id}/resolve", post("admin_resolve_step", sagas::resolve));
        router = router.merge(sagas.with_state(state));
    }
    if let Some(part) = admin.policies.clone() {
        let state = With { part, clock: clock.clone() };
        let policies = Router::new()
            .route("/policies", get("admin_list_policies", policies::list))
            .route("/policies/{id}", get("admin_get_policy", policies::get))
            .route("/policies/{id}/breaker", post("admin_force_breaker", policies::force))
            .route("/slo", get("admin_slo", policies::slo));
        router = router.merge(policies.with_state(state));
    }
    if let Some(part) = admin.leases.clone() {
        let state = With { part, clock: clock.clone() };
        let leases = Router::new()
            .route("/leases", get("admin_list_leases", leases::list))
            .route("/leases/{name}", get("admin_get_lease", leases::get))
            .route("/leases/{name}/release", post("admin_release_lease", leases::release));
        router = router.merge(leases.with_state(state));
    }
    if let Some(part) = admin.dead_letters.clone() {
        let state = With { part, clock };
        // A letter's name has slashes.
        let letter = get("admin_get_dead_letter", dead_letters::get)
            .merge(delete("admin_discard_dead_letter", dead_letters::discard));
        let letters = Router::new()
            .route("/dead-letters", get("admin_list_dead_letters", dead_letters::list))
            .route("/dead-letters/replay", post("admin_replay", dead_letters::replay))
            .route("/dead-letters/{*place}", letter);
        router = router.merge(letters.with_state(state));
    }
    let own = Router::new()
        .route("/healthz", get("healthz", health::healthz))
        .route("/readyz", get("readyz", health::readyz))
        .route("/metrics", get("metrics", health::metrics))
        .route("/drain", post("drain", health::drain))
        .with_state(admin);
    router.merge(own).fallback(unknown).method_not_allowed_fallback(not_allowed)
}
