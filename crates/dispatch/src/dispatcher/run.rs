//! The loop that drives everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};
use steadfast_coordination::Client;
use steadfast_journal::Position;
use steadfast_time::Monotonic;
use tokio::sync::{mpsc, oneshot};

use super::follow;
use super::leases::{Change, ZoneLeases};
use super::offer::{Outcome, Work};
use super::planner::{Inline, Planner};
use crate::Error;
use crate::board::Moment;
use crate::names::ZoneId;
use crate::policy::{Batch, Nearest, Policy};
use crate::service::{Core, Services};
use crate::zone::PolicyName;

/// Events applied to the board at a time.
const EVENTS: usize = 1_024;

/// How long a zone rests whose write failed for want of room in the journal.
const REST: Duration = Duration::from_millis(20);

/// How long a dispatcher waits that does nothing but when it is told to.
const IDLE: Duration = Duration::from_secs(3_600);

/// How far a zone's dispatcher is.
#[derive(Default)]
struct Round {
    /// When the policy runs at the latest.
    next: Monotonic,
    /// Not before.
    rests_until: Monotonic,
}

/// Dispatches all zones of the services' journal. Do nothing but [`Dispatcher::run`] it.
pub struct Dispatcher {
    core: Arc<Core>,
    leases: ZoneLeases,
    /// What the board has seen, once it is built.
    seen: Option<Position>,
    rounds: BTreeMap<ZoneId, Round>,
    planner: Arc<dyn Planner>,
    nearest: Arc<dyn Policy>,
    batch: Arc<dyn Policy>,
    writes: FuturesUnordered<BoxFuture<'static, (Work, Outcome)>>,
    ticks: mpsc::Receiver<oneshot::Sender<()>>,
    /// Keeps `ticks` open.
    ticker: Ticker,
    /// Who has asked for a round.
    asked: Vec<oneshot::Sender<()>>,
    /// Who waits for the round under way.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Makes a dispatcher decide now, for one that is not [self-driven](crate::service::Options).
#[derive(Clone, Debug)]
pub struct Ticker(mpsc::Sender<oneshot::Sender<()>>);

impl Ticker {
    /// One round in every zone; completes when its offers are committed.
    pub async fn tick(&self) {
        let (done, wait) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            // An error means that the dispatcher is gone, which its owner sees.
            let _ = wait.await;
        }
    }
}

impl Dispatcher {
    /// A dispatcher that holds zones by the leases of a coordination client, whose keeper has to
    /// run beside it: its share of them, with others of its kind beside it, and else all.
    #[must_use]
    pub fn new(services: &Services, client: Client) -> Self {
        let core = Arc::clone(&services.core.0);
        let (sender, ticks) = mpsc::channel(1);
        // Another one for each life: two dispatchers may share a process, and even a session.
        let name = core.ids.next(core.clock.now()).to_string();
        Self {
            leases: ZoneLeases::new(client, name),
            core,
            seen: None,
            rounds: BTreeMap::new(),
            planner: Arc::new(Inline),
            nearest: Arc::new(Nearest),
            batch: Arc::new(Batch::default()),
            writes: FuturesUnordered::new(),
            ticks,
            ticker: Ticker(sender),
            asked: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Lets somebody else run the policies.
    #[must_use]
    pub fn with_planner(mut self, planner: Arc<dyn Planner>) -> Self {
        self.planner = planner;
        self
    }

    /// The means to make it decide now.
    #[must_use]
    pub fn ticker(&self) -> Ticker {
        self.ticker.clone()
    }

    /// Builds the board from the journal. Before that the services know no zone and no courier:
    /// an order that is placed would get the wrong zone, for good. So whoever lets somebody in
    /// calls this first; otherwise [`Dispatcher::run`] begins with it.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn load(&mut self) -> Result<(), Error> {
        self.seen = Some(follow::load(&self.core)?);
        Ok(())
    }

    /// Dispatches until the journal is closed or the future is dropped.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn run(mut self) -> Result<(), Error> {
        let core = Arc::clone(&self.core);
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => follow::load(&core)?,
        };
        let mut feed = core.journal.follow(seen);
        loop {
            self.leases.settle(&core.board());
            self.dispatch();
            let mut sleep = core.clock.sleep_until(self.wakes_at()).fuse();
            let mut notified = std::pin::pin!(core.wake.notified().fuse());
            let mut next = std::pin::pin!(feed.next(EVENTS).fuse());
            // Rare and urgent things first; the feed, which is always ready under load, late.
            select_biased! {
                change = self.leases.next().fuse() => self.lease_changed(change),
                (work, outcome) = self.writes.select_next_some() => self.finish(work, outcome),
                ask = self.ticks.recv().fuse() => self.asked.extend(ask),
                events = next => match events? {
                    Some(events) => follow::apply(&core, &events)?,
                    None => return Ok(()),
                },
                () = notified => {}
                () = sleep => {}
            }
        }
    }

    fn lease_changed(&mut self, change: Change) {
        let mut board = self.core.board();
        match change {
            Change::Held { zone, token } => {
                let zone = board.zone_mut(&zone);
                zone.token = Some(token);
                zone.dirty = true;
            }
            Change::Lost { zone } => board.zone_mut(&zone).token = None,
            // Done before anything else.
            Change::Unsettled => {}
        }
    }

    /// Starts a write in every zone that has something to do and none under way.
    fn dispatch(&mut self) {
        let now = self.core.moment();
        self.core.board().watch(now);
        let asked = !self.asked.is_empty();
        self.waiting.append(&mut self.asked);
        if asked || self.core.options.self_driven {
            let zones: Vec<ZoneId> = {
                let board = self.core.board();
                let idle = board.zones().filter(|(_, zone)| !zone.writing);
                idle.map(|(id, _)| id.clone()).collect()
            };
            for zone in zones {
                if let Some(mut work) = self.decide(zone, now, asked) {
                    let (core, planner) = (Arc::clone(&self.core), Arc::clone(&self.planner));
                    let write = async move {
                        let outcome = work.carry_out(&core, &*planner).await;
                        (work, outcome)
                    };
                    self.writes.push(write.boxed());
                }
            }
        }
        if self.writes.is_empty() {
            for waiting in self.waiting.drain(..) {
                // Whoever asked may have lost interest.
                let _ = waiting.send(());
            }
        }
    }

    /// What is to be done in a zone now.
    fn decide(
        &mut self,
        zone: ZoneId,
        Moment { at: now, monotonic }: Moment,
        asked: bool,
    ) -> Option<Work> {
        let mut board = self.core.board();
        let policy_name = {
            let policy = board.rules().policy;
            board.zone(&zone)?.settings.policy.unwrap_or(policy)
        };
        let Some(token) = self.leases.token(&zone) else {
            board.zone_mut(&zone).token = None;
            return None;
        };
        let on_board = board.zone_mut(&zone);
        let round = self.rounds.entry(zone.clone()).or_default();
        if monotonic < round.rests_until {
            return None;
        }
        let zone_capacity = on_board.settings.capacity;
        let expired: Vec<_> = on_board.expired(now).collect();
        let eager = on_board.dirty && policy_name == PolicyName::Nearest;
        let due = asked || eager || monotonic >= round.next;
        let mut policy = None;
        if due {
            on_board.dirty = false;
            round.next = monotonic + self.core.options.tick;
            policy = Some(match policy_name {
                PolicyName::Nearest => &self.nearest,
                PolicyName::Batch => &self.batch,
            });
        }
        let round = policy.and_then(|policy| Some((board.round(&zone, now)?, Arc::clone(policy))));
        let expired: Vec<_> = expired
            .into_iter()
            .filter_map(|offer| {
                let trip = board.trip(offer)?;
                let orders = trip.orders.iter().filter_map(|id| board.order(*id).cloned());
                Some((offer, orders.collect()))
            })
            .collect();
        if expired.is_empty() && round.is_none() {
            return None;
        }
        board.zone_mut(&zone).writing = true;
        Some(Work { zone, zone_capacity, token, at: now, expired, round, matches: Vec::new() })
    }

    fn rest(&mut self, zone: &ZoneId) {
        let rests_until = self.core.clock.monotonic() + REST;
        self.rounds.entry(zone.clone()).or_default().rests_until = rests_until;
    }

    fn finish(&mut self, work: Work, outcome: Outcome) {
        let core = Arc::clone(&self.core);
        let mut board = core.board();
        let zone = board.zone_mut(&work.zone);
        zone.writing = false;
        let done = matches!(outcome, Outcome::Done);
        match outcome {
            Outcome::Nothing => {}
            Outcome::Done => zone.dirty |= !work.matches.is_empty(),
            Outcome::Again => {
                // The board was behind. It catches up from the feed, which must get its turn.
                zone.dirty = true;
                self.rest(&work.zone);
            }
            Outcome::Deposed => {
                zone.token = None;
                drop(board);
                tracing::warn!(zone = %work.zone, token = %work.token, "another dispatcher has the zone");
                self.leases.deposed(&work.zone);
                board = core.board();
            }
            Outcome::Failed(error) => {
                tracing::warn!(zone = %work.zone, %error, "offers could not be written");
                drop(board);
                self.rest(&work.zone);
                board = core.board();
            }
        }
        if !done {
            board.unreserve(&work.zone, &work.matches);
        }
    }

    /// When something is to be done without anything happening.
    fn wakes_at(&self) -> Monotonic {
        let core = &self.core;
        let Moment { at: now, monotonic } = core.moment();
        let board = core.board();
        let longest = if core.options.self_driven { core.options.tick } else { IDLE };
        let mut wakes_at = monotonic + longest;
        if let Some(watches_at) = board.watches_at(monotonic) {
            wakes_at = wakes_at.min(watches_at);
        }
        if !core.options.self_driven {
            return wakes_at;
        }
        for (id, zone) in board.zones() {
            if zone.writing || zone.token.is_none() {
                continue;
            }
            if let Some((end, _)) = zone.expiries.first() {
                let left = end.since(now) + Duration::from_millis(1);
                wakes_at = wakes_at.min(monotonic + left);
            }
            if let Some(round) = self.rounds.get(id) {
                let policy = zone.settings.policy.unwrap_or(board.rules().policy);
                let eager = zone.dirty && policy == PolicyName::Nearest;
                let next = if eager { round.rests_until } else { round.next };
                wakes_at = wakes_at.min(next.max(round.rests_until));
            }
        }
        wakes_at
    }
}
