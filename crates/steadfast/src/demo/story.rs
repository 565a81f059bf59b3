//! What happens in the city, a line each, as it is committed.

use std::io::Write as _;

use steadfast_dispatch::order::{self, OrderEvent};
use steadfast_journal::{Event, Feed, Journal};
use steadfast_time::Clock;

/// Follows the journal and tells.
pub(super) struct Story {
    feed: Option<Feed>,
    clock: Clock,
}

impl Story {
    /// Tells what happens from now on.
    pub(super) fn of(journal: &Journal, clock: Clock) -> Self {
        let head = journal.store().head().ok();
        Self { feed: head.map(|head| journal.follow(head.position)), clock }
    }

    pub(super) async fn tell(self) {
        let Self { feed: Some(mut feed), clock } = self else { return };
        loop {
            match feed.next(64).await {
                Ok(Some(events)) => events.iter().filter_map(line).for_each(|line| {
                    // Nobody has to listen.
                    let _ = writeln!(anstream::stderr(), "{line}");
                }),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "the story is interrupted");
                    clock.sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// `08:30:01  …3f9a  assigned to courier-2`
fn line(event: &Event) -> Option<String> {
    if event.stream.category() != order::CATEGORY {
        return None;
    }
    let what = match OrderEvent::try_from(event).ok()? {
        OrderEvent::Placed(placed) => {
            let item = placed.request.items.first()?;
            format!("placed: {} × {} from {}", item.quantity, item.sku, placed.request.merchant)
        }
        OrderEvent::Offered(offer) => format!("offered to {}", offer.courier),
        OrderEvent::OfferClosed(closed) => {
            format!("{} by {}", reason(closed.reason), closed.courier)
        }
        OrderEvent::Assigned(assigned) => format!("assigned to {}", assigned.courier),
        OrderEvent::PickedUp(_) => "picked up".to_owned(),
        OrderEvent::Delivered(_) => "delivered".to_owned(),
        OrderEvent::PaymentCaptured(_) => "paid".to_owned(),
        OrderEvent::UndoStarted(undo) => format!("being undone: {}", undo.reason),
        OrderEvent::Cancelled(_) => "cancelled; nothing was taken".to_owned(),
        OrderEvent::Rejected(_) => "rejected; nothing was taken".to_owned(),
        _ => return None,
    };
    let time = event.at.to_string();
    let time = time.get(11..19).unwrap_or_default();
    let id = event.stream.key();
    let tail = id.get(id.len().saturating_sub(4)..).unwrap_or(id);
    Some(format!("{time}  …{tail}  {what}"))
}

const fn reason(reason: order::CloseReason) -> &'static str {
    match reason {
        order::CloseReason::Declined => "declined",
        order::CloseReason::Expired => "left unanswered",
    }
}
