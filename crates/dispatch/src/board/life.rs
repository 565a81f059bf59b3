//! Who is there: signs of life, and what their absence means.

use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::detector::{self, Monitor};
use steadfast_resilience::event::Events;
use steadfast_time::{Monotonic, Timestamp};

use super::Board;
use crate::courier::Liveness;
use crate::names::CourierId;

/// How often it is looked whose shift has ended while they were suspected.
const SWEEP: Duration = Duration::from_secs(60);

/// A moment on both clocks: the wall's, for what is recorded and shown, and the one that never
/// jumps, for silences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) monotonic: Monotonic,
}

/// How a courier has shown to be there.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Heartbeat,
    /// By doing something.
    Act,
    /// By setting a shift.
    Shift,
}

/// The watch over the couriers' signs of life.
pub(crate) struct Life {
    monitor: Monitor<CourierId>,
    tick: Duration,
    sweeps_at: Monotonic,
    /// There was no room for somebody, and it has been said.
    is_full: bool,
}

impl Life {
    pub(crate) fn new(options: detector::Options, events: Events) -> Result<Self, Invalid> {
        Ok(Self {
            monitor: Monitor::new(options, events)?,
            tick: options.tick,
            sweeps_at: Monotonic::default(),
            is_full: false,
        })
    }

    fn sign(&mut self, id: &CourierId, sign: Sign, now: Monotonic) {
        let signed = match sign {
            Sign::Heartbeat => self.monitor.heartbeat(now, id),
            // A suspected app that starts over had really gone.
            Sign::Shift if self.monitor.is_suspected(id) => self.monitor.restarted(now, id),
            Sign::Act | Sign::Shift => self.monitor.seen(now, id),
        };
        if let Err(error) = signed
            && !self.is_full
        {
            self.is_full = true;
            tracing::error!(%error, "further couriers count as present, whatever their silence");
        }
    }
}

impl Board {
    /// Notes a sign of life of a courier who is known.
    pub(super) fn sign(&mut self, id: &CourierId, sign: Sign, now: Moment) {
        let Some(courier) = self.couriers.get_mut(id) else { return };
        courier.seen_at = courier.seen_at.max(now.at);
        let was_there = std::mem::replace(&mut courier.is_there, true);
        if let Some(life) = &mut self.life {
            if courier.shift.ends_at < now.at {
                life.monitor.forget(now.monotonic, id);
            } else {
                life.sign(id, sign, now.monotonic);
            }
        }
        if !was_there {
            let zone = courier.shift.zone.clone();
            self.zone_mut(&zone).dirty = true;
        }
    }

    /// A courier has done something.
    pub(crate) fn acted(&mut self, id: &CourierId, now: Moment) {
        self.sign(id, Sign::Act, now);
    }

    /// Isolates those who have been silent for too long.
    pub(crate) fn watch(&mut self, now: Moment) {
        let Some(life) = &mut self.life else { return };
        let monitor = &mut life.monitor;
        for id in monitor.overdue(now.monotonic) {
            // Whoever does not work is silent for a good reason.
            let Some(courier) = self.couriers.get_mut(&id) else { continue };
            if !courier.is_on_shift(now.at) {
                courier.is_there = false;
                monitor.forget(now.monotonic, &id);
            }
        }
        for (id, _) in monitor.tick(now.monotonic) {
            if let Some(courier) = self.couriers.get_mut(&id) {
                courier.is_there = false;
            }
        }
        if now.monotonic >= life.sweeps_at {
            life.sweeps_at = now.monotonic + SWEEP;
            let at_work = |id: &CourierId| {
                self.couriers.get(id).is_some_and(|courier| courier.is_on_shift(now.at))
            };
            let gone: Vec<_> = monitor.suspects().filter(|id| !at_work(id)).cloned().collect();
            for id in gone {
                monitor.forget(now.monotonic, &id);
            }
        }
    }

    /// When to [watch](Board::watch) next, at the latest.
    pub(crate) fn watches_at(&self, now: Monotonic) -> Option<Monotonic> {
        let life = self.life.as_ref()?;
        let regular = now + life.tick;
        Some(life.monitor.due().map_or(regular, |due| due.min(regular)))
    }

    /// What the watch has come to; `None` when nobody is watched.
    pub(crate) fn liveness(&mut self, now: Monotonic) -> Option<Liveness> {
        let monitor = &mut self.life.as_mut()?.monitor;
        let false_suspect_rate = monitor.false_suspect_rate(now);
        Some(Liveness { counts: monitor.counts(), false_suspect_rate })
    }
}
