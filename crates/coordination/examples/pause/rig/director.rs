//! Who stops when, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::crew::Crew;
use super::hub::{Hub, Told};
use super::worker::What;
use super::{Fence, Outcome};

/// A wait that is shorter may be over before the signal arrives.
const WAIT_TO_HIT: Duration = Duration::from_millis(100);
/// How often the holder is stopped, and not anybody.
const HOLDER_SHARE: f64 = 0.9;

/// How workers are stopped.
#[derive(Clone, Copy, Debug)]
pub enum Pauses {
    /// As life does it: every so often, a holder most of the time, at any moment, for 1.25 to 2
    /// lengths of a session.
    AtRandom { every: Duration, run: Duration },
    /// As an adversary does it: so many times, a worker that has read, until another one has
    /// written, or only read.
    Sure { times: u32, until: Until },
}

/// What ends a sure pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    AnotherWrote,
    AnotherRead,
}

impl Until {
    /// The worst moment for a fence.
    pub const fn worst_for(fence: Fence) -> Self {
        match fence {
            Fence::Writes => Self::AnotherRead,
            Fence::None | Fence::Full => Self::AnotherWrote,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub pauses: u32,
    /// Of those, how many stopped a worker between its read and its write until another had gone on.
    pub sure: u32,
}

pub struct Director<'a> {
    pub hub: &'a Hub,
    pub crew: &'a Crew,
    /// How long a session lives.
    pub length: Duration,
    pub random: fastrand::Rng,
    pub done: Done,
}

impl Director<'_> {
    pub async fn run(&mut self, pauses: Pauses) -> Outcome<()> {
        match pauses {
            Pauses::AtRandom { every, run } => self.at_random(every, run).await,
            Pauses::Sure { times, until } => {
                for _ in 0..times {
                    self.sure(until).await?;
                }
                Ok(())
            }
        }
    }

    async fn at_random(&mut self, every: Duration, run: Duration) -> Outcome<()> {
        let clock = self.hub.clock().clone();
        let end = clock.monotonic() + run;
        let mut next: Monotonic = clock.monotonic() + every;
        while next < end {
            clock.sleep_until(next).await;
            next = next + every;
            let chance = self.random.f64();
            let holder = self.holder().filter(|_| chance < HOLDER_SHARE);
            let anybody = self.random.u32(..u32::try_from(self.crew.len())?);
            let worker = holder.unwrap_or(anybody);
            let pause = self.length.mul_f64(1.25 + 0.75 * self.random.f64());
            self.crew.stop(worker)?;
            clock.sleep(pause).await;
            self.crew.go_on(worker)?;
            self.done.pauses += 1;
        }
        clock.sleep_until(end).await;
        Ok(())
    }

    /// Somebody who holds the lock, as far as that one knows.
    fn holder(&self) -> Option<u32> {
        let known = self.hub.known();
        let mut holds = BTreeMap::new();
        for told in &known.told {
            match told.what {
                What::Held { .. } => holds.insert(told.worker, true),
                What::LetsGo => holds.insert(told.worker, false),
                _ => None,
            };
        }
        holds.into_iter().find_map(|(worker, holds)| holds.then_some(worker))
    }

    /// Stops one that has read and is about to write, and lets it go on when another has gone on.
    pub async fn sure(&mut self, until: Until) -> Outcome<()> {
        let limit = self.length * 10 + Duration::from_secs(20);
        loop {
            let (worker, at) = self.stop_a_reader(limit).await?;
            self.done.pauses += 1;
            let others = |told: &Told| match (&told.what, until) {
                _ if told.worker == worker => None,
                (What::Wrote { taken: true, .. }, Until::AnotherWrote) => Some(()),
                // It must not have written before the one that was stopped has.
                (What::HasRead { wait }, Until::AnotherRead) if *wait >= WAIT_TO_HIT => Some(()),
                _ => None,
            };
            let gone_on = self.hub.report(at, limit, others).await;
            self.crew.go_on(worker)?;
            gone_on.ok_or("nobody got the lock of a worker that was stopped")?;
            self.done.sure += 1;
            // What it does now belongs to this pause.
            let finishes = |told: &Told| {
                (told.worker == worker && matches!(told.what, What::Wrote { .. })).then_some(())
            };
            self.hub.report(at, limit, finishes).await.ok_or("a worker did not go on")?;
            return Ok(());
        }
    }

    /// The worker, and the position of the reports after which it stood still.
    pub async fn stop_a_reader(&mut self, limit: Duration) -> Outcome<(u32, usize)> {
        loop {
            let at = self.hub.position();
            let reader = |told: &Told| match told.what {
                What::HasRead { wait } if wait >= WAIT_TO_HIT => Some(told.worker),
                _ => None,
            };
            let worker = self.hub.report(at, limit, reader).await.ok_or("nobody reads")?;
            self.crew.stop(worker)?;
            // Give what was on its way the time to arrive: was the signal in time?
            self.hub.clock().sleep(Duration::from_millis(10)).await;
            let wrote = |told: &Told| told.worker == worker && is_write(&told.what);
            if !self.hub.known().told.iter().skip(at).any(wrote) {
                return Ok((worker, at));
            }
            self.crew.go_on(worker)?;
        }
    }
}

/// Whether a worker has begun to write.
fn is_write(what: &What) -> bool {
    match what {
        What::Wrote { .. } => true,
        What::History(line) => line.f == "cas",
        _ => false,
    }
}
