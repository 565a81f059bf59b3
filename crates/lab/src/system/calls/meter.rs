//! Counts what happens, by time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast_resilience::breaker::State;
use steadfast_resilience::event::{Decision, Event, Listener};
use steadfast_resilience::policy::{Counters, Policy};
use steadfast_time::Monotonic;

/// Into how many pieces a trial is cut for its curves.
pub(super) const PIECES: u32 = 300;

/// Which attempt of a call was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    First,
    Retry,
    Hedge,
}

/// A call as its client saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When it began.
    pub at: Duration,
    pub took: Duration,
    pub answered: bool,
    /// Which dependency it needed.
    pub to: usize,
}

/// What happened to one dependency within a piece of the trial.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub firsts: u64,
    pub retries: u64,
    pub hedges: u64,
    /// The longest queue that an answer told of.
    pub waiting: u32,
}

impl Piece {
    pub fn sent(&self) -> u64 {
        self.firsts + self.retries + self.hedges
    }
}

/// What was counted of one dependency.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub pieces: Vec<Piece>,
    /// The policy's own counters at the end of each piece.
    pub counters: Vec<Counters>,
    /// When its breaker changed, and into what.
    pub breaker: Vec<(Duration, State)>,
    /// Attempts sent within the window that is looked at closely.
    pub watched: u64,
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Tally {
    pub origin: Monotonic,
    pub step: Duration,
    pub lanes: Vec<Lane>,
    pub heard: Vec<Heard>,
    /// The window that is looked at closely.
    pub watch: Option<(Duration, Duration)>,
}

/// Counts what happens. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<Mutex<Tally>>);

impl Meter {
    pub fn new(
        origin: Monotonic,
        duration: Duration,
        dependencies: usize,
        watch: Option<(Duration, Duration)>,
    ) -> Self {
        let step = (duration / PIECES).max(Duration::from_millis(1));
        let lanes = vec![Lane::default(); dependencies];
        Self(Arc::new(Mutex::new(Tally { origin, step, lanes, heard: Vec::new(), watch })))
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt goes out.
    pub fn sent(&self, now: Monotonic, to: usize, which: Sent) {
        let mut tally = self.lock();
        let at = now - tally.origin;
        let watched = tally.watch.is_some_and(|(from, until)| (from..until).contains(&at));
        let Some((lane, piece)) = tally.place(at, to) else { return };
        match which {
            Sent::First => piece.firsts += 1,
            Sent::Retry => piece.retries += 1,
            Sent::Hedge => piece.hedges += 1,
        }
        *lane += u64::from(watched);
    }

    /// An answer told how many wait.
    pub fn waiting(&self, to: usize, now: Monotonic, waiting: u32) {
        let mut tally = self.lock();
        let at = now - tally.origin;
        if let Some((_, piece)) = tally.place(at, to) {
            piece.waiting = piece.waiting.max(waiting);
        }
    }

    /// A client heard how its call ended.
    pub fn heard(&self, heard: Heard) {
        self.lock().heard.push(heard);
    }

    /// Reads the policies' counters at the end of a piece.
    pub fn counters(&self, policies: &[Policy]) {
        let mut tally = self.lock();
        for (lane, policy) in tally.lanes.iter_mut().zip(policies) {
            lane.counters.push(policy.counters());
        }
    }

    /// Hears what the policy in front of a dependency decides.
    pub fn listener(&self, to: usize) -> Arc<dyn Listener> {
        let meter = self.clone();
        Arc::new(move |event: &Event<'_>| {
            let Decision::Breaker(transition) = event.decision else { return };
            let mut tally = meter.lock();
            let at = event.at - tally.origin;
            if let Some(lane) = tally.lanes.get_mut(to) {
                lane.breaker.push((at, transition.to));
            }
        })
    }

    /// How long a piece is.
    pub fn step(&self) -> Duration {
        self.lock().step
    }

    /// What was counted so far, taken out.
    pub fn take(&self) -> Tally {
        let mut tally = self.lock();
        let (origin, step, watch) = (tally.origin, tally.step, tally.watch);
        let (lanes, heard) = (std::mem::take(&mut tally.lanes), std::mem::take(&mut tally.heard));
        Tally { origin, step, lanes, heard, watch }
    }
}

impl Tally {
    /// The close look's count and the piece of that time.
    fn place(&mut self, at: Duration, to: usize) -> Option<(&mut u64, &mut Piece)> {
        let lane = self.lanes.get_mut(to)?;
        // What is still under way at the end belongs to the last piece.
        let number = (at.as_nanos() / self.step.as_nanos().max(1)).min(u128::from(PIECES) - 1);
        let number = usize::try_from(number).unwrap_or_default();
        if lane.pieces.len() <= number {
            lane.pieces.resize(number + 1, Piece::default());
        }
        let Lane { pieces, watched, .. } = lane;
        Some((watched, pieces.get_mut(number)?))
    }
}
