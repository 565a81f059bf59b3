//! The leases on zones: asked for, held, given back, lost and asked for again.
//!
//! Which zones are asked for is the [territory](super::territory)'s to say. A zone that has become
//! another dispatcher's is handed over: nothing more is begun in it, the write under way ends, and
//! then the lease is given back. Until its turn comes the zone is dispatched as ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::{AbortHandle, Abortable, BoxFuture, Either, FutureExt, pending, select};
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use steadfast_coordination::port::{Error, Name};
use steadfast_coordination::{Client, Guard, Patience};
use steadfast_fencing::FencingToken;

use super::presence;
use super::territory::{Members, Territory};
use crate::board::Board;
use crate::limits::{ZONES_RETURNED_AT_ONCE, ZONES_WITHDRAWN_AT_ONCE};
use crate::names::ZoneId;

/// What has happened to the lease on a zone.
pub(super) enum Change {
    Held {
        zone: ZoneId,
        token: FencingToken,
    },
    Lost {
        zone: ZoneId,
    },
    /// There is something to [settle](ZoneLeases::settle).
    Unsettled,
}

enum Event {
    Answered(ZoneId, Result<Guard, Error>),
    /// No longer asked for.
    Withdrawn(ZoneId),
    Ended(ZoneId),
    Returned(ZoneId),
    /// More requests may be withdrawn.
    Rested,
    /// The zones that somebody asks for, by the names of their leases.
    Looked(Result<HashSet<String>, Error>),
}

enum Hold {
    Asked(AbortHandle),
    /// Asked for, and that is being taken back.
    Withdrawn,
    Held(Arc<Guard>, AbortHandle),
    /// To be given back as soon as nothing is written any more.
    Leaving(Arc<Guard>, AbortHandle),
    /// Being given back; with the guard until nobody else looks at it.
    Returned(Option<Arc<Guard>>),
}

/// One lock per zone, all under the client's one session.
pub(super) struct ZoneLeases {
    client: Client,
    territory: Territory,
    views: BoxStream<'static, Option<Members>>,
    zones: HashMap<ZoneId, Hold>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    /// What is held or asked for may not be what is wanted.
    unsettled: bool,
    /// Those that are leaving.
    leaving: Vec<ZoneId>,
    /// Those that are leaving and those that are being given back.
    returning: usize,
    /// Requests that were withdrawn since the last rest; it rests when there are some.
    withdrawn: usize,
    /// A look at what others ask for is under way.
    looking: bool,
}

impl ZoneLeases {
    /// Under a name that is this dispatcher's alone.
    pub(super) fn new(client: Client, name: String) -> Self {
        Self {
            territory: Territory::new(name.clone()),
            views: presence::views(client.clone(), name),
            client,
            zones: HashMap::new(),
            events: FuturesUnordered::new(),
            unsettled: true,
            leaving: Vec::new(),
            returning: 0,
            withdrawn: 0,
            looking: false,
        }
    }

    /// Asks for the leases that are wanted, and sees to it that the others are given back.
    pub(super) fn settle(&mut self, board: &Board) {
        if self.territory.survey(board.zones().count(), board.zones().map(|(id, _)| id)) {
            self.unsettled = true;
        }
        if std::mem::take(&mut self.unsettled) {
            for (zone, _) in board.zones() {
                if !self.territory.wants(zone) {
                    self.give_up(zone);
                } else if !self.zones.contains_key(zone) {
                    // What is on its way back is asked for again when it has gone.
                    self.ask(zone.clone());
                }
            }
        }
        if self.territory.has_neighbours() && !self.looking {
            self.looking = true;
            let client = self.client.clone();
            let look = async move {
                client.clock().sleep(client.options().length).await;
                Event::Looked(presence::asked_for(&client).await)
            };
            self.events.push(look.boxed());
        }
        let (idle, writing): (Vec<_>, _) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|zone| board.zone(zone).is_none_or(|on_board| !on_board.writing));
        self.leaving = writing;
        for zone in idle {
            if let Some(hold) = self.zones.get_mut(&zone)
                && let Hold::Leaving(guard, watched) = hold
            {
                watched.abort();
                *hold = Hold::Returned(Some(Arc::clone(guard)));
            }
        }
    }

    /// Takes a request back, or prepares a hand-over, as soon as there is room for it.
    fn give_up(&mut self, zone: &ZoneId) {
        let Some(hold) = self.zones.get_mut(zone) else { return };
        match hold {
            Hold::Asked(asking) if self.withdrawn < ZONES_WITHDRAWN_AT_ONCE => {
                asking.abort();
                *hold = Hold::Withdrawn;
                self.withdrawn += 1;
                if self.withdrawn == 1 {
                    let rest = self.client.clock().sleep(self.client.options().ask_every);
                    self.events.push(rest.map(|()| Event::Rested).boxed());
                }
            }
            Hold::Held(guard, watched) if self.returning < ZONES_RETURNED_AT_ONCE => {
                *hold = Hold::Leaving(Arc::clone(guard), watched.clone());
                self.leaving.push(zone.clone());
                self.returning += 1;
            }
            // When there is room.
            Hold::Asked(_) | Hold::Held(..) => {}
            Hold::Withdrawn | Hold::Leaving(..) | Hold::Returned(_) => {}
        }
    }

    fn ask(&mut self, zone: ZoneId) {
        let (abort, registration) = AbortHandle::new_pair();
        self.zones.insert(zone.clone(), Hold::Asked(abort));
        let client = self.client.clone();
        let ask = async move {
            match Abortable::new(wait(&client, &zone), registration).await {
                Ok(answer) => Event::Answered(zone, answer),
                Err(_) => Event::Withdrawn(zone),
            }
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

    /// Asks again for what is wanted and has gone.
    fn gone(&mut self, zone: ZoneId) {
        self.zones.remove(&zone);
        if self.territory.wants(&zone) {
            self.ask(zone);
        }
    }

    /// The token to write with, as long as the lease may be relied on and the zone is to be kept.
    pub(super) fn token(&self, zone: &ZoneId) -> Option<FencingToken> {
        match self.zones.get(zone) {
            Some(Hold::Held(guard, _)) => guard.check().ok(),
            _ => None,
        }
    }

    /// The storage has seen a later owner: gives the lease up, whatever it says itself.
    pub(super) fn deposed(&mut self, zone: &ZoneId) {
        if let Some(Hold::Held(_, watched) | Hold::Leaving(_, watched)) = self.zones.get(zone) {
            watched.abort();
        }
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> Change {
        loop {
            let event = {
                let views = self.views.next();
                let events = async {
                    match self.events.next().await {
                        Some(event) => event,
                        None => pending().await,
                    }
                };
                match select(std::pin::pin!(events), views).await {
                    Either::Left((event, _)) => event,
                    Either::Right((view, _)) => {
                        self.territory.see(view.flatten());
                        self.unsettled = true;
                        return Change::Unsettled;
                    }
                }
            };
            if let Some(change) = self.take(event) {
                return change;
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<Change> {
        match event {
            Event::Answered(zone, Ok(guard)) => {
                let token = guard.token();
                self.unsettled |= !self.territory.wants(&zone);
                self.hold(zone.clone(), guard);
                Some(Change::Held { zone, token })
            }
            // The end is near, and somebody else's turn.
            Event::Answered(zone, Err(Error::Closed)) => {
                tracing::debug!(%zone, "given back");
                None
            }
            Event::Answered(zone, Err(error)) => {
                // It stays so: the name cannot be leased.
                tracing::error!(%zone, %error, "the zone cannot be dispatched");
                None
            }
            Event::Withdrawn(zone) => {
                self.gone(zone);
                None
            }
            Event::Ended(zone) => {
                match self.zones.remove(&zone) {
                    Some(Hold::Returned(Some(guard))) => self.give_back(zone.clone(), guard),
                    Some(Hold::Leaving(..)) => {
                        self.leaving.retain(|leaving| *leaving != zone);
                        self.returned();
                        self.gone(zone.clone());
                    }
                    _ => self.gone(zone.clone()),
                }
                Some(Change::Lost { zone })
            }
            Event::Returned(zone) => {
                self.returned();
                self.gone(zone);
                Some(Change::Unsettled)
            }
            Event::Rested => {
                self.withdrawn = 0;
                self.unsettled = true;
                Some(Change::Unsettled)
            }
            Event::Looked(answer) => {
                self.looking = false;
                match answer {
                    Ok(asked_for) if self.territory.look(&asked_for) => {
                        tracing::warn!("nobody asks for some zones of other dispatchers");
                        self.unsettled = true;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "cannot see which zones are asked for");
                    }
                }
                Some(Change::Unsettled)
            }
        }
    }

    fn give_back(&mut self, zone: ZoneId, guard: Arc<Guard>) {
        tracing::info!(%zone, token = %guard.token(), "handing the zone over");
        self.zones.insert(zone.clone(), Hold::Returned(None));
        let returned = async move {
            if let Some(guard) = Arc::into_inner(guard)
                && let Err(error) = guard.release().await
            {
                // It was lost anyway, or the client's keeper goes on with it.
                tracing::debug!(%zone, %error, "handed over without an answer");
            }
            Event::Returned(zone)
        };
        self.events.push(returned.boxed());
    }

    fn returned(&mut self) {
        self.returning -= 1;
        self.unsettled = true;
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
