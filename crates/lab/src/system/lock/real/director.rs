//! Who stops when, and for how long: as an adversary would have it.
//!
//! A trial's schedule stops workers at times that were fixed before; whether one of them holds the
//! lock then is chance. The director looks first: it stops a worker between its read and its write,
//! and lets it go on when another one has gone on.

use std::time::Duration;

use super::super::storage::Fence;
use super::hub::{Hub, Told};
use super::run::name_of;
use super::wire::What;
use crate::real::{Crew, Failure};

/// A wait that is shorter may be over before the signal arrives.
const WAIT_TO_HIT: Duration = Duration::from_millis(100);
/// How long a report may be on its way.
const ON_THE_WAY: Duration = Duration::from_millis(10);

/// How workers are stopped: so many times, one that has read, until another one has gone on.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// How often.
    pub times: u32,
    /// What ends each.
    pub until: Until,
}

/// What ends a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Another worker has written.
    AnotherWrote,
    /// Another worker has read, and is stopped before it writes.
    AnotherRead,
}

impl Until {
    /// The worst moment for a fence.
    #[must_use]
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
    /// Times that a worker was stopped.
    pub pauses: u32,
    /// Of those, how many stopped a worker between its read and its write until another had gone on.
    pub sure: u32,
}

/// Stops workers.
#[derive(Debug)]
pub struct Director<'a> {
    /// What it hears.
    pub hub: &'a Hub,
    /// Whom it stops.
    pub crew: &'a Crew<'a>,
    /// How long a session lives.
    pub length: Duration,
    /// What it has done.
    pub done: Done,
}

impl Director<'_> {
    /// Stops workers as often as it is to.
    ///
    /// # Errors
    /// When the crew does not do its part within some lengths of a session.
    pub async fn run(&mut self, pauses: Pauses) -> Result<(), Failure> {
        for _ in 0..pauses.times {
            self.sure(pauses.until).await?;
        }
        Ok(())
    }

    /// Stops one that has read and is about to write, and lets it go on when another has gone on.
    async fn sure(&mut self, until: Until) -> Result<(), Failure> {
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
        self.crew.go_on(&name_of(worker))?;
        let written = self.hub.report(0, self.patience(), by_itself).await;
        written.ok_or("a worker that was stopped did not go on")?;
        reader.map_or(Ok(()), |reader| self.crew.go_on(&name_of(reader)))?;
        self.done.sure += 1;
        Ok(())
    }

    /// How long the crew may take for what it does by itself.
    fn patience(&self) -> Duration {
        self.length * 10 + Duration::from_secs(20)
    }

    /// Stops a worker between its read and its write, but not that one. Which one, and the moment of
    /// its read.
    ///
    /// # Errors
    /// When nobody reads.
    pub async fn stop_a_reader(&mut self, but: Option<u64>) -> Result<(u64, u64), Failure> {
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
            self.crew.stop(&name_of(worker))?;
            self.done.pauses += 1;
            // What was on its way has time to arrive: was the signal in time?
            self.hub.clock().sleep(ON_THE_WAY).await;
            let wrote = |told: &Told| told.worker == worker && told.at > at && is_write(&told.what);
            if !self.hub.known().told.iter().any(wrote) {
                return Ok((worker, at));
            }
            self.crew.go_on(&name_of(worker))?;
        }
    }
}

/// Whether a worker has begun to write.
fn is_write(what: &What) -> bool {
    match what {
        What::Wrote { .. } => true,
        What::History(event) => event.f == "cas",
        _ => false,
    }
}
