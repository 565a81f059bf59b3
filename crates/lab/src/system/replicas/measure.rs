//! Figures and curves.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::ledger::Ledger;
use super::replica::Cluster;
use crate::Observed;
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::sim::{Host, Stage};
use crate::system::Indicator;

/// Points of a curve.
const POINTS: u32 = 240;

pub(super) const INDICATORS: [Indicator; 8] = [
    Indicator {
        name: "lost_causal_writes.count",
        unit: Unit::Count,
        about: "Acknowledged writes that were dropped for one that their writer had seen.",
    },
    Indicator {
        name: "lost_concurrent_writes.count",
        unit: Unit::Count,
        about: "Acknowledged writes that were dropped for one that was written at the same time: \
                neither writer had seen the other.",
    },
    Indicator {
        name: "causal_regressions.count",
        unit: Unit::Count,
        about: "Reads that give a client what it knows to be overwritten.",
    },
    Indicator {
        name: "siblings.max",
        unit: Unit::Count,
        about: "The most versions of a value that one read gave.",
    },
    Indicator {
        name: "diverged_replicas.count",
        unit: Unit::Count,
        about: "Replicas that have something else than the first one in the end, when nothing \
                goes wrong any more and they had time to talk.",
    },
    Indicator {
        name: "acknowledged_writes.count",
        unit: Unit::Count,
        about: "Writes that a client was told were done.",
    },
    Indicator {
        name: "refused_stamps.count",
        unit: Unit::Count,
        about: "Stamps that a hybrid clock has refused for being too far ahead; the same one may \
                come again.",
    },
    Indicator {
        name: "unanswered.count",
        unit: Unit::Count,
        about: "Reads and writes that had no answer in time, or a refusal.",
    },
];

pub(super) fn observed(ledger: &Ledger, cluster: &Cluster, duration: Duration) -> Observed {
    let books = ledger.read();
    let (causal, concurrent) = (books.causal_losses(), books.concurrent_losses());
    let siblings = books.siblings().iter().map(|(_, number)| *number).max().unwrap_or(0);
    let contents = cluster.contents();
    let differs = |content: &&_| Some(*content) != contents.first();
    let diverged = contents.iter().filter(differs).count();
    let mut observed = Observed::default();
    let mut count = |name: &str, count: usize| {
        observed.indicator(name, Quantity::count(count as u64));
    };
    count("lost_causal_writes.count", causal.len());
    count("lost_concurrent_writes.count", concurrent.len());
    count("causal_regressions.count", books.regressions().len());
    count("siblings.max", siblings);
    count("diverged_replicas.count", diverged);
    observed.indicator("acknowledged_writes.count", Quantity::count(books.acknowledged_writes()));
    observed.indicator("refused_stamps.count", Quantity::count(books.refused()));
    observed.indicator("unanswered.count", Quantity::count(books.unanswered()));
    observed.series.push(sum("dropped for what they had seen", &causal, duration));
    observed.series.push(sum("dropped for one written at the same time", &concurrent, duration));
    observed.series.push(highest(books.siblings(), duration));
    if let Some(first) = causal.first() {
        observed.note(format!(
            "the first write that was dropped for one that it had seen, after {:.1} s",
            first.as_secs_f64()
        ));
    }
    observed
}

/// How many there were up to each moment.
fn sum(name: &str, moments: &[Duration], duration: Duration) -> Series {
    let mut series = Series::new("lost writes", name, Unit::Count);
    let mut moments = moments.to_vec();
    moments.sort_unstable();
    for number in 0..=POINTS {
        let at = duration / POINTS * number;
        series.push(at, moments.partition_point(|moment| *moment <= at) as f64);
    }
    series
}

/// The most siblings of any read around each moment.
fn highest(siblings: &[(Duration, usize)], duration: Duration) -> Series {
    let mut series = Series::new("siblings", "siblings", Unit::Count);
    let step = (duration / POINTS).max(Duration::from_millis(1));
    for number in 0..POINTS {
        let (from, to) = (step * number, step * (number + 1));
        // In order of time, as they were read.
        let first = siblings.partition_point(|(at, _)| *at < from);
        let last = siblings.partition_point(|(at, _)| *at < to);
        let most = siblings.get(first..last).unwrap_or_default().iter().map(|(_, n)| *n).max();
        if let Some(most) = most {
            series.push(from, most as f64);
        }
    }
    series
}

/// Curves that grow while the trial runs.
pub(super) struct Offsets(Rc<RefCell<Vec<Series>>>);

impl Offsets {
    pub(super) fn take(self) -> Vec<Series> {
        self.0.take()
    }
}

/// Watches how far each replica's clock is off the true date.
pub(super) fn offsets(stage: &Stage, hosts: &[Host], duration: Duration) -> Offsets {
    let curve = |host: &Host| Series::new("clock offset", host.name(), Unit::Time);
    let series = Rc::new(RefCell::new(hosts.iter().map(curve).collect::<Vec<_>>()));
    let (truth, log) = (stage.clock(), Rc::clone(&series));
    let clocks: Vec<_> = hosts.iter().map(Host::clock).collect();
    let step = (duration / POINTS).max(Duration::from_millis(1));
    stage.spawn(async move {
        for _ in 0..POINTS {
            let now = truth.monotonic().since_start();
            let date = truth.now().as_micros();
            for (series, clock) in log.borrow_mut().iter_mut().zip(&clocks) {
                series.push(now, (clock.now().as_micros() - date) as f64 / 1e6);
            }
            truth.sleep(step).await;
        }
    });
    Offsets(series)
}
