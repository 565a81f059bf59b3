//! The leases on zones: asked for, held, lost and asked for again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use steadfast_coordination::port::{Error, Name};
use steadfast_coordination::{Client, Guard, Patience};
use steadfast_fencing::FencingToken;

use crate::names::ZoneId;

/// What has happened to the lease on a zone.
pub(super) enum Change {
    Held { zone: ZoneId, token: FencingToken },
    Lost { zone: ZoneId },
}

enum Event {
    Answered(ZoneId, Result<Guard, Error>),
    Ended(ZoneId),
}

enum Hold {
    Asked,
    Held(Arc<Guard>, AbortHandle),
}

/// One lock per zone, all under the client's one session.
pub(super) struct ZoneLeases {
    client: Client,
    zones: HashMap<ZoneId, Hold>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl ZoneLeases {
    pub(super) fn new(client: Client) -> Self {
        Self { client, zones: HashMap::new(), events: FuturesUnordered::new() }
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
        let client = self.client.clone();
        let ask = async move {
            let answer = wait(&client, &zone).await;
            Event::Answered(zone, answer)
        };
        self.events.push(ask.boxed());
    }

    fn hold(&mut self, zone: ZoneId, guard: Guard) {
        let guard = Arc::new(guard);
        let (abort, registration) = AbortHandle::new_pair();
        self.zones.insert(zone.clone(), Hold::Held(Arc::clone(&guard), abort));
        let lost = async move { guard.lost().await };
        let ended = async move {
            // Aborted or lost, the end is the same.
            let _ = Abortable::new(lost, registration).await;
            Event::Ended(zone)
        };
        self.events.push(ended.boxed());
    }

    /// The token to write with, as long as the lease may be relied on.
    pub(super) fn token(&self, zone: &ZoneId) -> Option<FencingToken> {
        match self.zones.get(zone) {
            Some(Hold::Held(guard, _)) => guard.check().ok(),
            _ => None,
        }
    }

    /// The storage has seen a later owner: gives the lease up, whatever it says itself.
    pub(super) fn deposed(&mut self, zone: &ZoneId) {
        if let Some(Hold::Held(_, watched)) = self.zones.get(zone) {
            watched.abort();
        }
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> Change {
        loop {
            match self.events.next().await {
                Some(Event::Answered(zone, Ok(guard))) => {
                    let token = guard.token();
                    self.hold(zone.clone(), guard);
                    return Change::Held { zone, token };
                }
                // The end is near, and somebody else's turn.
                Some(Event::Answered(zone, Err(Error::Closed))) => {
                    tracing::debug!(%zone, "given back");
                }
                Some(Event::Answered(zone, Err(error))) => {
                    // It stays so: the name cannot be leased.
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

/// Waits for the lease on a zone for as long as it takes: through a server that refuses, a node in
/// quarantine, an operator who takes its place in the line away.
async fn wait(client: &Client, zone: &ZoneId) -> Result<Guard, Error> {
    let name = Name::new(zone.resource())?;
    loop {
        match client.lock(&name).acquire(Patience::Forever).await {
            Err(error @ (Error::Closed | Error::Name(_))) => return Err(error),
            Err(error) => {
                tracing::warn!(%zone, %error, "no lease yet; asking again");
                client.clock().sleep(client.options().ask_every).await;
            }
            Ok(guard) => return Ok(guard),
        }
    }
}
