//! Watching a group.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;

use futures::Stream;
use futures::future::{BoxFuture, Either, pending, ready, select};

use super::roster::{Change, Peer, Roster};
use super::{Options, Suspicion};
use crate::client::Client;
use crate::port::{Error, Listing, Name};
use crate::recipe::watch::{Sight, Watch, ask};

type Look = BoxFuture<'static, (Watch, Result<Sight, Error>)>;
type FreshLook = BoxFuture<'static, Result<Listing, Error>>;

/// Looks, after a pause.
fn look(mut watch: Watch, pause: impl Future<Output = ()> + Send + 'static) -> Look {
    Box::pin(async move {
        pause.await;
        let sight = watch.next().await;
        (watch, sight)
    })
}

/// What a watcher has waited for.
enum Event {
    Looked(Result<Sight, Error>),
    LookedAfresh(Result<Listing, Error>),
    Due,
}

/// Follows a group: those who are there first, then each change, across lost connections.
pub struct Watcher<S> {
    client: Client,
    group: Name,
    options: Options,
    roster: Roster<S>,
    ready: VecDeque<Change>,
    /// Under way; kept while suspicions come and go, so that the engine is asked once.
    look: Look,
    /// A second look, before somebody is suspected, and while nothing can be seen.
    fresh: Option<FreshLook>,
    failures: u32,
}

impl<S> std::fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<S: Suspicion> Watcher<S> {
    pub(super) fn new(client: &Client, group: &Name, options: Options, suspicion: S) -> Self {
        let watch = Watch::new(client.clone(), group.clone());
        Self {
            client: client.clone(),
            group: group.clone(),
            options,
            roster: Roster::new(suspicion),
            ready: VecDeque::new(),
            look: look(watch, ready(())),
            fresh: None,
            failures: 0,
        }
    }

    /// The members that are known now, by name. It changes as [`Watcher::next`] is called, and is
    /// ahead of it by what that has not told yet.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<Name, Peer> {
        self.roster.members()
    }

    /// The next change. May be dropped and called again; nothing is lost by it.
    ///
    /// # Errors
    /// What asking again cannot help, such as [`Error::Refused`].
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(change);
            }
            let event = self.event().await;
            let now = self.client.clock().monotonic();
            let changes = match event {
                Event::Looked(sight) => match sight? {
                    Sight::Seen(listing) => self.roster.see(now, &listing),
                    Sight::Blind(error) => self.roster.blind(error.to_string()),
                },
                Event::LookedAfresh(Ok(listing)) => self.roster.see(now, &listing),
                Event::LookedAfresh(Err(error)) if error.is_transient() => {
                    self.failures += 1;
                    self.roster.blind(error.to_string())
                }
                Event::LookedAfresh(Err(error)) => return Err(error),
                Event::Due if self.roster.overdue(now) => {
                    self.look_afresh();
                    continue;
                }
                Event::Due => self.roster.tick(now),
            };
            if !self.roster.is_blind() {
                self.failures = 0;
                self.fresh = None;
            } else if self.fresh.is_none() {
                self.look_afresh();
            }
            self.ready.extend(changes);
        }
    }

    /// Waits for what comes first. What is there is taken in this order: news, a look that was
    /// asked for, the time.
    async fn event(&mut self) -> Event {
        let due = match (&self.fresh, self.roster.due()) {
            (None, Some(due)) => self.client.clock().sleep_until(due),
            _ => Box::pin(pending()),
        };
        let fresh = async {
            match &mut self.fresh {
                Some(fresh) => fresh.await,
                None => pending().await,
            }
        };
        let fresh = std::pin::pin!(fresh);
        let second = select(fresh, due);
        match select(&mut self.look, second).await {
            Either::Left(((watch, sight), _)) => {
                self.look = look(watch, self.client.clock().sleep(self.options.look_every));
                Event::Looked(sight)
            }
            Either::Right((Either::Left((listing, _)), _)) => {
                self.fresh = None;
                if let Ok(listing) = &listing {
                    // What the look under way brings may be older than this.
                    let (client, group) = (self.client.clone(), self.group.clone());
                    let watch = Watch::since(client, group, listing.version);
                    self.look = look(watch, self.client.clock().sleep(self.options.look_every));
                }
                Event::LookedAfresh(listing)
            }
            Either::Right((Either::Right(_), _)) => Event::Due,
        }
    }

    fn look_afresh(&mut self) {
        let (client, group) = (self.client.clone(), self.group.clone());
        let again = self.failures.checked_sub(1).map(|again| client.options().backoff(again));
        self.fresh = Some(Box::pin(async move {
            if let Some(pause) = again {
                client.clock().sleep(pause).await;
            }
            ask(&client, &group).await
        }));
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Change, Error>> + Send {
        futures::stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            let change = watcher.next().await;
            let rest = change.is_ok().then_some(watcher);
            Some((change, rest))
        })
    }
}
