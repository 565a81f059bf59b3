//! All `W` and `R`, with none, one and two replicas lost.
//!
//! Each cell is a small trial of its own: replicas are lost from the first moment on, and nothing
//! else goes wrong but what the scenario does to links all the time; so what is seen is the numbers'
//! doing alone.

use std::time::Duration;

use steadfast_coordination::quorum::{Partial, Quorum};

use super::measure::{self, Figures};
use super::play::Play;
use super::{Setup, broken};
use crate::fault::{Kind, Planned};
use crate::observed::Table;
use crate::quantity::Quantity;
use crate::system::Trial;
use crate::{Error, Observed};

/// How long a cell runs. With the built-in scenario's rate these are some hundreds of operations.
const LENGTH: Duration = Duration::from_secs(15);

/// The most replicas that are lost.
const LOST_MAX: u32 = 2;

/// The most replicas of which all `W` and `R` are tried: 75 cells.
const REPLICAS_MAX: u32 = 5;

/// Adds the table, and the indicators that come of it.
pub(super) fn add(observed: &mut Observed, setup: &Setup, trial: &Trial<'_>) -> Result<(), Error> {
    let n = setup.numbers.n;
    if n > REPLICAS_MAX {
        return Err(broken(format!("a matrix of {n} replicas; at most {REPLICAS_MAX}")));
    }
    let mut rows = Vec::new();
    let mut stale = 0;
    let mut available = Quantity::share(1.0);
    let always =
        |it: &&Planned| it.fault.kind() == Kind::Link && it.at.is_zero() && it.length.is_none();
    let links: Vec<_> = trial.schedule.iter().filter(always).cloned().collect();
    for w in 1..=n {
        for r in 1..=n {
            let numbers = Partial { n, w, r };
            let overlaps = w + r > n;
            let mut row = vec![format!("W={w} R={r}"), promise(numbers).to_owned()];
            for lost in 0..=LOST_MAX.min(n) {
                if trial.is_interrupted() {
                    return Err(Error::Interrupted);
                }
                let cell = cell(setup, numbers, lost, &links, trial.seed)?;
                row.push(cell.stale().to_string());
                row.push(cell.availability().to_string());
                if overlaps {
                    stale += cell.found.stale.len() as u64;
                }
                if lost == 1 && w < n && r < n && cell.availability().value < available.value {
                    available = cell.availability();
                }
            }
            rows.push(row);
        }
    }
    let mut head = vec!["numbers".to_owned(), "promise".to_owned()];
    for lost in 0..=LOST_MAX.min(n) {
        head.push(format!("stale reads, {lost} lost"));
        head.push(format!("available, {lost} lost"));
    }
    let title = format!("N={n}: stale reads and availability, with replicas lost");
    observed.tables.push(Table { title, head, rows });
    observed.indicator(measure::MATRIX_STALE, Quantity::count(stale));
    observed.indicator(measure::MATRIX_AVAILABILITY, available);
    Ok(())
}

fn promise(numbers: Partial) -> &'static str {
    match Quorum::try_from(numbers) {
        Ok(_) => "reads meet writes, writes meet",
        Err(_) if numbers.w + numbers.r > numbers.n => "reads meet writes",
        Err(_) => "none",
    }
}

fn cell(
    setup: &Setup,
    numbers: Partial,
    lost: u32,
    links: &[Planned],
    seed: u64,
) -> Result<Figures, Error> {
    let setup = Setup { numbers, ..setup.clone() };
    let mut play = Play::new(&setup, seed, LENGTH)?;
    play.direct(links);
    for number in 0..lost {
        // The last ones, so that the cells have the same replicas left.
        play.stage().host(&format!("replica-{}", numbers.n - number)).kill();
    }
    play.stage().settle(LENGTH);
    measure::figures(&play.end(&setup)?)
}
