//! `register`: values on `N` replicas, written to `W` of them and read from `R`.
//!
//! Whether `W + R > N` is enough is a question with two answers. It is enough to *find* the latest
//! finished write; it is not enough for all clients to agree on when a write that is under way takes
//! effect. The first is counted here as a stale read, the second as an inversion (new, then old), and
//! the model `register` judges both at once.
//!
//! Replicas are hosts that keep what they took when they are killed. Clients are hosts, too; each
//! has a [`Register`](steadfast_coordination::quorum::Register) over the network. Numbers that do not
//! overlap are refused by that type, as they should be, so they get the register of this folder that
//! promises nothing. Operations come in an open loop: somebody who waits for a replica that is away
//! does not spare the others their work.
//!
//! # Settings
//! | key | |
//! |---|---|
//! | `n`, `w`, `r` | replicas; how many take a write, and answer a read |
//! | `read_repair` | whether a read brings what it found to a write quorum before it answers |
//! | `timeout` | of each half of an operation |
//! | `keys` | registers; clients draw one for each operation |
//! | `writes` | the share of operations that write |
//! | `delay`, `jitter` | of each message |
//! | `lies` | whether the schedule's `lie` faults reach this variant |
//! | `matrix` | whether to try all `W` and `R` besides, with none, one and two replicas lost |
//!
//! # Limits
//! A stale read is counted by what clients saw: with unique values a read is stale when another
//! write began after the write of its value had ended, and ended before the read began.

mod anomalies;
mod client;
mod loose;
mod matrix;
mod measure;
mod play;
mod replica;

use std::time::Duration;

use steadfast_coordination::limits::REPLICAS_MAX;
use steadfast_coordination::quorum::Partial;

use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{self, Kind};
use crate::scenario::{Load, Reader};
use crate::{Error, Observed};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Register;

/// How it is set up.
#[derive(Clone, Debug)]
struct Setup {
    numbers: Partial,
    read_repair: bool,
    timeout: Duration,
    keys: u64,
    writes: f64,
    link: fault::Link,
    lies: bool,
    matrix: bool,
    clients: u32,
    /// Operations a second, of all clients together.
    rate: f64,
}

impl Setup {
    fn read(load: Load, settings: &Reader<'_>) -> Self {
        let n = settings.count("n", 1..=REPLICAS_MAX as u64, 3);
        let w = settings.count("w", 1..=n, n / 2 + 1);
        let r = settings.count("r", 1..=n, n / 2 + 1);
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let ms = Duration::from_millis;
        let link = fault::Link {
            delay: settings.duration("delay", ms(2)),
            jitter: settings.duration("jitter", ms(12)),
            ..fault::Link::default()
        };
        let timeout = settings.duration("timeout", Duration::from_secs(1));
        if timeout.is_zero() {
            settings.problem("timeout", "must be longer than nothing");
        }
        Self {
            numbers: Partial { n: small(n), w: small(w), r: small(r) },
            read_repair: settings.flag("read_repair", true),
            timeout,
            keys: settings.count("keys", 1..=10_000, 3),
            writes: settings.share("writes", 0.4),
            link,
            lies: settings.flag("lies", false),
            matrix: settings.flag("matrix", false),
            clients: load.clients.unwrap_or(6),
            rate: load.rate.unwrap_or(40.0),
        }
    }

    fn replicas(&self) -> Vec<String> {
        (1..=self.numbers.n).map(|number| format!("replica-{number}")).collect()
    }

    fn clients(&self) -> Vec<String> {
        (1..=self.clients).map(|number| format!("client-{number}")).collect()
    }

    fn nodes(&self) -> Vec<String> {
        let mut nodes = self.replicas();
        nodes.extend(self.clients());
        nodes
    }
}

impl System for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn about(&self) -> &'static str {
        "Registers on N replicas, of which W take a write and R answer a read."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Pause, Kind::Kill, Kind::Lie]
    }

    fn indicators(&self) -> &'static [Indicator] {
        &measure::INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[Model::Register]
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        Setup::read(load, settings).nodes()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let setup = Setup::read(trial.load, &trial.settings.reader());
        let mut play = play::Play::new(&setup, trial.seed, trial.duration)?;
        let schedule = if setup.lies { trial.schedule.clone() } else { without_lies(trial) };
        play.direct(&schedule);
        play.stage().run(trial)?;
        let history = play.end(&setup)?;
        let mut observed = measure::observed(&history, trial.duration)?;
        observed.spans = play.stage().spans(trial.duration);
        observed.history = history;
        if setup.matrix {
            matrix::add(&mut observed, &setup, trial)?;
        }
        if schedule.len() < trial.schedule.len() {
            observed.note("no replica lies in this variant: it is not given the lie faults");
        }
        Ok(observed)
    }
}

fn without_lies(trial: &Trial<'_>) -> Vec<fault::Planned> {
    let honest = |planned: &&fault::Planned| planned.fault.kind() != Kind::Lie;
    trial.schedule.iter().filter(honest).cloned().collect()
}

/// What is wrong with the set-up; none of it can come from a scenario that was read.
fn broken(reason: impl std::fmt::Display) -> Error {
    Error::System { system: "register", reason: reason.to_string() }
}

#[cfg(test)]
mod tests;

/// Values are numbers. What a register holds before the first write is nothing.
fn number(value: &[u8]) -> serde_json::Value {
    match <[u8; 8]>::try_from(value) {
        Ok(bytes) => u64::from_be_bytes(bytes).into(),
        Err(_) => serde_json::Value::Null,
    }
}

/// What a lying replica makes up stands from here on; nobody writes so many values. Exact in 53
/// bits, so that every reader of a history can hold it.
const MADE_UP: u64 = 1 << 52;
