//! Being one of the dispatchers, and knowing the others.
//!
//! A member's heartbeats are sent from the dispatcher's own loop, so that one whose loop is stuck is
//! suspected though its session lives on. They need not be frequent: a zone can be taken over when
//! the session of its dispatcher has ended and not before, and that is told as it happens. So there
//! are three of them in the length of a lease, each of which is one more write beside the renewals.
//! And once in that time it is read which zones are asked for at all.

use std::collections::HashSet;

use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::{BoxStream, StreamExt};
use steadfast_coordination::port::{Error, Name};
use steadfast_coordination::recipe::membership::{Change, Member, Missed, Options, Watcher};
use steadfast_coordination::{Client, Patience};

use super::territory::Members;
use crate::limits::{BEATS_MISSED_MAX, BEATS_PER_LEASE};

/// The group of all dispatchers on one engine.
const GROUP: &str = "dispatchers";

/// What the names of zones' leases begin with, and those of nothing else.
const ZONES: &str = "zone/";

/// Joins the group under a name that must be this dispatcher's alone, and tells who is there each
/// time that it has changed; `None` when that is not known. It never ends, and does nothing but when
/// it is polled.
pub(super) fn views(client: Client, name: String) -> BoxStream<'static, Option<Members>> {
    let presence = Presence { client, name, inside: None, failed: false };
    let views = futures::stream::unfold(presence, |mut presence| async move {
        let view = presence.next().await;
        Some((view, presence))
    });
    views.boxed()
}

struct Presence {
    client: Client,
    name: String,
    inside: Option<Inside>,
    /// The last attempt came to nothing.
    failed: bool,
}

struct Inside {
    /// Dropped, it leaves.
    _member: Member,
    beats: BoxFuture<'static, Result<(), Error>>,
    watcher: Watcher<Missed>,
    is_blind: bool,
    /// What was told last.
    told: Option<Members>,
}

impl Presence {
    async fn next(&mut self) -> Option<Members> {
        loop {
            if let Some(inside) = &mut self.inside {
                match inside.next().await {
                    Ok(view) => return view,
                    Err(error) => {
                        tracing::warn!(%error, "no longer among the dispatchers; joining again");
                        (self.inside, self.failed) = (None, true);
                        return None;
                    }
                }
            }
            if self.failed {
                self.client.clock().sleep(self.client.options().ask_every).await;
            }
            match join(&self.client, &self.name).await {
                Ok(inside) => (self.inside, self.failed) = (Some(inside), false),
                // The end is near.
                Err(Error::Closed) => std::future::pending().await,
                Err(error) => {
                    tracing::warn!(%error, "not among the dispatchers; asking for all zones");
                    self.failed = true;
                }
            }
        }
    }
}

async fn join(client: &Client, name: &str) -> Result<Inside, Error> {
    let interval = client.options().length / BEATS_PER_LEASE;
    let options = Options { interval, ..Options::default() };
    let group = client.membership(&Name::new(GROUP)?, options);
    let (name, owner) = (Name::new(name)?, client.owner().as_bytes());
    let (member, beats) = group.join(&name, owner, Patience::Forever).await?;
    Ok(Inside {
        _member: member,
        beats: beats.run().boxed(),
        watcher: group.watch(Missed::beats(BEATS_MISSED_MAX, interval)),
        is_blind: false,
        told: None,
    })
}

impl Inside {
    /// The next view that is another one than the last.
    async fn next(&mut self) -> Result<Option<Members>, Error> {
        loop {
            let change = {
                let change = std::pin::pin!(self.watcher.next());
                match select(&mut self.beats, change).await {
                    // It ends with a reason; it was not told to leave.
                    Either::Left((ended, _)) => return Err(ended.err().unwrap_or(Error::Closed)),
                    Either::Right((change, _)) => change?,
                }
            };
            match change {
                Change::Blind { reason } => {
                    tracing::warn!(%reason, "the other dispatchers cannot be seen");
                    self.is_blind = true;
                }
                Change::Sighted => self.is_blind = false,
                _ => {}
            }
            let members = self.watcher.members().iter();
            let members = members.map(|(name, peer)| (name.to_string(), peer.is_suspected));
            let view = (!self.is_blind).then(|| members.collect::<Members>());
            if view != self.told {
                self.told.clone_from(&view);
                return Ok(view);
            }
        }
    }
}

/// The names of all zones' leases that somebody holds or waits for.
pub(super) async fn asked_for(client: &Client) -> Result<HashSet<String>, Error> {
    let mut names = HashSet::new();
    let mut last = Name::new(ZONES)?;
    let (clock, limit) = (client.clock(), client.options().length);
    loop {
        let page = clock.timeout(limit, client.coordinator().queues(Some(&last))).await;
        let late = |_| Error::Timeout { name: last.clone(), waited: limit };
        let page = page.map_err(late)??;
        let zones = page.into_iter().filter(|name| name.as_str().starts_with(ZONES));
        let zones: Vec<Name> = zones.collect();
        match zones.last() {
            Some(name) if *name > last => last = name.clone(),
            _ => return Ok(names),
        }
        names.extend(zones.iter().map(ToString::to_string));
    }
}
