//! People who are hungry, and some who change their minds.

use std::time::Duration;

use fastrand::Rng;
use steadfast_dispatch::names::{OrderId, TenantId};
use steadfast_dispatch::service::{IdempotencyKey, Services};
use steadfast_time::Clock;

use super::city::City;

/// How long an order may take to be accepted.
const PATIENCE: Duration = Duration::from_secs(2);

/// Orders again and again.
pub(super) async fn order(services: Services, city: City, clock: Clock, mut rng: Rng) {
    loop {
        let id = place(&services, &city, &clock, &mut rng).await;
        clock.sleep(Duration::from_millis(rng.u64(400..1_600))).await;
        if let Some(id) = id
            && rng.u8(..12) == 0
        {
            // Too late is an answer, too.
            let reason = Some("not hungry any more".to_owned());
            let _ = services.orders.cancel(id, reason, None).await;
        }
    }
}

async fn place(services: &Services, city: &City, clock: &Clock, rng: &mut Rng) -> Option<OrderId> {
    let request = city.wish(rng).ok()?;
    let key = format!("demo-{:016x}", rng.u64(..));
    let key = IdempotencyKey::parse(key.as_bytes()).ok()?;
    let deadline = clock.monotonic() + PATIENCE;
    match services.orders.place(request, TenantId::public(), key, deadline).await {
        Ok(placed) => {
            let location = placed.response.location.as_deref()?;
            location.strip_prefix("/orders/")?.parse().ok()
        }
        Err(error) => {
            tracing::debug!(%error, "an order of the demo was not taken");
            None
        }
    }
}
