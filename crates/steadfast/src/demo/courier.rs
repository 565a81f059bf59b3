//! Couriers who mostly say yes.

use std::time::Duration;

use fastrand::Rng;
use steadfast_dispatch::Error;
use steadfast_dispatch::courier::{AssignmentView, Heartbeat, ShiftRequest};
use steadfast_dispatch::names::CourierId;
use steadfast_dispatch::order::Status;
use steadfast_dispatch::service::Services;
use steadfast_time::Clock;

use super::city::place;

/// How long a shift of the demo lasts before the next one starts.
const SHIFT: Duration = Duration::from_secs(8 * 3_600);

/// Works for as long as it is polled.
pub(super) async fn work(number: usize, services: Services, clock: Clock, mut rng: Rng) {
    let Ok(id) = format!("courier-{}", number + 1).parse::<CourierId>() else { return };
    loop {
        let shift = ShiftRequest {
            location: place(&mut rng),
            zone: None,
            starts_at: None,
            ends_at: clock.now() + SHIFT,
            capacity: 2,
            auto_accept: false,
        };
        if let Err(error) = services.couriers.put_shift(id.clone(), shift).await {
            tracing::debug!(%error, courier = %id, "no shift yet");
            clock.sleep(Duration::from_secs(1)).await;
            continue;
        }
        let ends = clock.monotonic() + SHIFT;
        while clock.monotonic() < ends {
            clock.sleep(Duration::from_millis(rng.u64(700..1_800))).await;
            if let Err(error) = round(&id, &services, &mut rng).await {
                tracing::debug!(%error, courier = %id, "that did not work");
            }
        }
    }
}

/// Answers offers, and takes one step with what is in hand.
async fn round(id: &CourierId, services: &Services, rng: &mut Rng) -> Result<(), Error> {
    let couriers = &services.couriers;
    couriers.heartbeat(id, Heartbeat::default())?;
    for offer in couriers.offers(id)? {
        if rng.u8(..8) == 0 {
            couriers.decline(offer.id, id.clone()).await?;
        } else {
            couriers.accept(offer.id, id.clone()).await?;
        }
    }
    for assignment in couriers.assignments(id)? {
        if rng.bool() {
            advance(id, services, &assignment).await?;
        }
    }
    Ok(())
}

async fn advance(
    id: &CourierId,
    services: &Services,
    assignment: &AssignmentView,
) -> Result<(), Error> {
    let couriers = &services.couriers;
    let least = assignment.orders.iter().map(|order| order.status).min();
    match least {
        Some(Status::Assigned) => couriers.arrived(assignment.id, id.clone()).await.map(drop),
        Some(Status::AtPickup) => couriers.picked_up(assignment.id, id.clone()).await.map(drop),
        Some(Status::PickedUp) => {
            couriers.delivered(assignment.id, id.clone(), None).await.map(drop)
        }
        _ => Ok(()),
    }
}
