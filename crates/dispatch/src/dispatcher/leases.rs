//! The leases on zones: asked for, kept alive, lost and asked for again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use steadfast_coordination::{Error, Lease, Leases};
use steadfast_fencing::FencingToken;

use crate::names::ZoneId;

/// What has happened to the lease on a zone.
pub(super) enum Change {
    Held { zone: ZoneId, token: FencingToken },
    Lost { zone: ZoneId },
}

enum Event {
    Answered(ZoneId, Result<Lease, Error>),
    Ended(ZoneId),
}

enum Hold {
    Asked,
    Held(Arc<Lease>, AbortHandle),
}

/// One lease per zone.
pub(super) struct ZoneLeases {
    leases: Leases,
    zones: HashMap<ZoneId, Hold>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl ZoneLeases {
    pub(super) fn new(leases: Leases) -> Self {
        Self { leases, zones: HashMap::new(), events: FuturesUnordered::new() }
    }

    /// Asks for the leases on zones that have not been asked for yet.
    pub(super) fn want<'a>(&mut self, zones: impl Iterator<Item = &'a ZoneId>) {
        for zone in zones {
            if !self.zones.contains_key(zone) {
                self.ask(zone.clone());
            }
        }
    }

    fn ask(&mut self, zone: ZoneId) {
        self.zones.insert(zone.clone(), Hold::Asked);
        let leases = self.leases.clone();
        let ask = async move {
            let answer = leases.wait(&zone.resource()).await;
            Event::Answered(zone, answer)
        };
        self.events.push(ask.boxed());
    }

    fn hold(&mut self, zone: ZoneId, lease: Lease) {
        let lease = Arc::new(lease);
        let (abort, registration) = AbortHandle::new_pair();
        self.zones.insert(zone.clone(), Hold::Held(Arc::clone(&lease), abort));
        let keep = async move { lease.keep_alive().await };
        let kept = async move {
            // Aborted or lost, the end is the same.
            let _ = Abortable::new(keep, registration).await;
            Event::Ended(zone)
        };
        self.events.push(kept.boxed());
    }

    /// The token to write with, as long as the lease may be relied on.
    pub(super) fn token(&self, zone: &ZoneId) -> Option<FencingToken> {
        match self.zones.get(zone) {
            Some(Hold::Held(lease, _)) => lease.check().ok(),
            _ => None,
        }
    }

    /// The storage has seen a later owner: gives the lease up, whatever it says itself.
    pub(super) fn deposed(&mut self, zone: &ZoneId) {
        if let Some(Hold::Held(_, keep_alive)) = self.zones.get(zone) {
            keep_alive.abort();
        }
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> Change {
        loop {
            match self.events.next().await {
                Some(Event::Answered(zone, Ok(lease))) => {
                    let token = lease.token();
                    self.hold(zone.clone(), lease);
                    return Change::Held { zone, token };
                }
                Some(Event::Answered(zone, Err(error))) => {
                    // Only a name that cannot be leased ends the wait; it will stay so.
                    tracing::error!(%zone, %error, "the zone cannot be dispatched");
                }
                Some(Event::Ended(zone)) => {
                    self.ask(zone.clone());
                    return Change::Lost { zone };
                }
                None => futures::future::pending().await,
            }
        }
    }
}
