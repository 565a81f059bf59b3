//! Who stops when, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::crew::Crew;
use super::hub::{Hub, Told};
use super::wire::What;
use super::{Fence, Outcome};

/// A wait that is shorter may be over before the signal arrives.
const WAIT_TO_HIT: Duration = Duration::from_millis(100);
/// How long a report may be on its way.
const ON_THE_WAY: Duration = Duration::from_millis(10);
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
    async fn sure(&mut self, until: Until) -> Outcome<()> {
        let (worker, at) = self.stop_a_reader(None).await?;
        // What comes next belongs to this pause.
        let wrote = |told: &Told| match told.what {
            What::Wrote { taken, .. } if told.at > at => Some((told.worker, taken)),
            _ => None,
        };
        let by_another = |told: &Told| wrote(told).filter(|it| it.1 && it.0 != worker);
        let by_itself = |told: &Told| wrote(told).filter(|it| it.0 == worker);
        let reader = match until {
            Until::AnotherRead => Some(self.stop_a_reader(Some(worker)).await?.0),
            Until::AnotherWrote => {
                let written = self.hub.report(0, self.patience(), by_another).await;
                written.ok_or("nobody got the lock of a worker that was stopped")?;
                None
            }
        };
        self.crew.go_on(worker)?;
        let written = self.hub.report(0, self.patience(), by_itself).await;
        written.ok_or("a worker that was stopped did not go on")?;
        reader.map_or(Ok(()), |reader| self.crew.go_on(reader))?;
        self.done.sure += 1;
        Ok(())
    }

    /// How long the crew may take for what it does by itself.
    fn patience(&self) -> Duration {
        self.length * 10 + Duration::from_secs(20)
    }

    /// Stops a worker between its read and its write, but not that one. Which one, and the moment of
    /// its read.
    pub async fn stop_a_reader(&mut self, but: Option<u32>) -> Outcome<(u32, u64)> {
        loop {
            let position = self.hub.position();
            let reader = |told: &Told| match told.what {
                What::HasRead { wait } if wait >= WAIT_TO_HIT && Some(told.worker) != but => {
                    Some((told.worker, told.at))
                }
                _ => None,
            };
            let read = self.hub.report(position, self.patience(), reader).await;
            let (worker, at) = read.ok_or("nobody reads")?;
            self.crew.stop(worker)?;
            self.done.pauses += 1;
            // What was on its way has time to arrive: was the signal in time?
            self.hub.clock().sleep(ON_THE_WAY).await;
            let wrote = |told: &Told| told.worker == worker && told.at > at && is_write(&told.what);
            if !self.hub.known().told.iter().any(wrote) {
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
