//! What came of a run.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::super::storage::{Fence, Operation};
use super::director::Done;
use super::hub::{Known, Told};
use super::wire::What;
use crate::Verdict;
use crate::history::{Event, Kind as Step};
use crate::real::engine::Kind;

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// What coordinated.
    pub engine: Kind,
    /// What the storage did with tokens.
    pub fence: Fence,
    /// For the waits.
    pub seed: u64,
    /// How many there were.
    pub workers: u32,
    /// How long a session was to live.
    pub length_ms: u128,
    /// How long it took.
    pub seconds: f64,
    /// How often a worker was stopped.
    pub pauses: u32,
    /// Of the pauses, those that were sure to hit.
    pub sure: u32,
    /// Updates whose writer was told that they are written.
    pub acknowledged: usize,
    /// Of those, the ones that are not in the register in the end.
    pub lost: usize,
    /// The same as a share.
    pub lost_share: f64,
    /// Writes that were let in although another holder had read since their writer did.
    pub stale_writes: u64,
    /// Stale writes that the storage refused.
    pub refused_writes: u64,
    /// Stale reads of updates that it refused.
    pub refused_reads: u64,
    /// Times that a worker got the lock while another one thought that it had it.
    pub second_holders: usize,
    /// Writes by workers whose guard would have told them that it is lost, had they asked.
    pub known_late: usize,
    /// How often a worker came to the storage with a token that was another's.
    pub shared_tokens: u64,
    /// Workers that did not end by themselves.
    pub stuck: usize,
    /// Operations of the history with an answer.
    pub operations: usize,
    /// Whether the history is linearizable.
    pub history: Verdict,
}

/// What the rest is counted from.
pub(super) struct Ran {
    pub engine: Kind,
    pub seed: u64,
    pub workers: u32,
    pub length: Duration,
    pub seconds: f64,
    pub done: Done,
    pub stuck: usize,
    pub verdict: Verdict,
}

impl Figures {
    pub(super) fn new(ran: Ran, known: &Known, fence: Fence, history: &[Event]) -> Self {
        let Ran { engine, seed, workers, length, seconds, done, stuck, verdict } = ran;
        let acknowledged = acknowledged(history);
        let lost = lost(known, &acknowledged);
        let late = |told: &&Told| matches!(told.what, What::Wrote { believed: false, .. });
        Self {
            engine,
            fence,
            seed,
            workers,
            length_ms: length.as_millis(),
            seconds,
            pauses: done.pauses,
            sure: done.sure,
            acknowledged: acknowledged.len(),
            lost,
            lost_share: lost as f64 / acknowledged.len().max(1) as f64,
            stale_writes: known.storage.stale_writes(),
            refused_writes: known.storage.refused_writes(),
            refused_reads: known.storage.refused_reads(),
            second_holders: second_holders(&known.told),
            known_late: known.told.iter().filter(late).count(),
            shared_tokens: known.storage.shared_tokens(),
            stuck,
            operations: history.iter().filter(|event| event.kind != Step::Invoke).count(),
            history: verdict,
        }
    }

    /// Whether everything that was acknowledged is there, and nothing else is to be seen.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.lost == 0 && self.shared_tokens == 0 && self.history == Verdict::Holds
    }

    /// In a few words.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match (self.lost, self.history) {
            (0, Verdict::Holds) if self.shared_tokens == 0 => "holds",
            (0, Verdict::Unknown) => "not known",
            _ => "violated",
        }
    }
}

/// What the clients were told is written.
pub(crate) fn acknowledged(history: &[Event]) -> BTreeSet<Operation> {
    let written = history.iter().filter(|event| event.f == "cas" && event.kind == Step::Ok);
    written.filter_map(|event| event.value.get(1)?.as_u64()).collect()
}

/// Of those, how many are not in the register in the end.
pub(crate) fn lost(known: &Known, acknowledged: &BTreeSet<Operation>) -> usize {
    let kept: BTreeSet<_> = known.storage.value().into_iter().collect();
    acknowledged.difference(&kept).count()
}

/// How often somebody took what another one thought to have.
pub(crate) fn second_holders(told: &[Told]) -> usize {
    let mut changes: Vec<_> =
        told.iter().filter(|told| matches!(told.what, What::Held { .. } | What::LetsGo)).collect();
    changes.sort_by_key(|told| told.at);
    let mut holders = BTreeSet::new();
    let mut count = 0;
    for told in changes {
        if matches!(told.what, What::LetsGo) {
            holders.remove(&told.worker);
        } else {
            count += usize::from(!holders.is_empty());
            holders.insert(told.worker);
        }
    }
    count
}

const HEADINGS: [&str; 11] = [
    "engine",
    "storage",
    "pauses",
    "updates",
    "lost",
    "share",
    "refused",
    "held twice",
    "knew",
    "history",
    "verdict",
];

/// The figures of several runs, as a table for people.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Figures]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.0.iter().map(|it| {
            [
                it.engine.to_string(),
                it.fence.to_string(),
                it.pauses.to_string(),
                it.acknowledged.to_string(),
                it.lost.to_string(),
                format!("{:.1} %", it.lost_share * 100.0),
                (it.refused_writes + it.refused_reads).to_string(),
                it.second_holders.to_string(),
                it.known_late.to_string(),
                it.history.to_string(),
                it.verdict().to_owned(),
            ]
        }));
        let widths = std::array::from_fn::<_, 11, _>(|at| {
            rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)
        });
        for row in &rows {
            let cells: Vec<_> = row
                .iter()
                .enumerate()
                .map(|(at, cell)| match at {
                    0 | 1 | 9 | 10 => format!("{cell:<width$}", width = widths[at]),
                    _ => format!("{cell:>width$}", width = widths[at]),
                })
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
