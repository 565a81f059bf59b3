//! Figures and curves from what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::journal::{Entry, What};
use super::settings::{self, Settings};
use super::storage::{Grant, Operation};
use crate::Observed;
use crate::history::Event;
use crate::observed::{Series, Span};
use crate::quantity::{Quantity, Unit};

/// Points of a curve over time: half a second each in a trial of a minute.
const BUCKETS: u32 = 120;

/// What was seen in a trial.
pub(super) struct Watched<'a> {
    pub settings: &'a Settings,
    pub duration: Duration,
    pub history: Vec<Event>,
    pub journal: &'a [Entry],
    /// The document in the end.
    pub value: &'a [Operation],
    /// Reads and writes that the storage refused.
    pub refused: u64,
    /// Stale writes that it let in.
    pub stale: u64,
    pub spans: Vec<Span>,
}

/// Counts and draws.
pub(super) fn observe(watched: Watched<'_>) -> Observed {
    let Watched { settings, duration, journal, value, .. } = watched;
    let mut observed = Observed { spans: watched.spans, ..Observed::default() };
    let acknowledged: BTreeSet<Operation> = journal
        .iter()
        .filter_map(|entry| match entry.what {
            What::Acknowledged(operation) => Some(operation),
            _ => None,
        })
        .collect();
    let kept: BTreeSet<Operation> = value.iter().copied().collect();
    let (all, lost) = (acknowledged.len() as u64, acknowledged.difference(&kept).count() as u64);
    observed.indicator("acknowledged", Quantity::count(all));
    observed.indicator("lost.count", Quantity::count(lost));
    observed.indicator("lost.share", Quantity::share_of(lost, all));
    observed.indicator("refused.count", Quantity::count(watched.refused));
    observed.indicator("stale_leader_write.count", Quantity::count(watched.stale));
    let mut turns = Turns::default();
    for entry in journal {
        turns.see(entry);
    }
    observed.indicator("second_holder.count", Quantity::count(turns.second_holders));
    if let Some(time) = percentile(&mut turns.waits, 0.95) {
        observed.indicator("lock.acquire_time_ms.p95", Quantity::time(time));
    }
    if let Some(time) = percentile(&mut turns.takeovers, 0.99) {
        observed.indicator("consensus.leader_election_ms", Quantity::time(time));
    }
    if let Some(first) = journal.iter().find(|entry| entry.what == What::WritesStale) {
        observed.indicator("seconds_to_detect", Quantity::time(first.at));
        observed.note(format!(
            "The first stale write was let in after {:.1} s; it was {}'s.",
            first.at.as_secs_f64(),
            settings::worker(first.worker)
        ));
    }
    let takeovers = turns.takeovers.len();
    observed.note(match takeovers {
        0 => "Every holder let go before the next one had the lock.".to_owned(),
        1 => "Once the lock was taken from a holder that had not let go.".to_owned(),
        _ => format!("{takeovers} times the lock was taken from a holder that had not let go."),
    });
    observed.series = lanes(settings, journal);
    observed.series.extend(curves(duration, journal));
    observed.history = watched.history;
    observed
}

/// Turns at the lock, one entry after the other.
#[derive(Debug, Default)]
struct Turns {
    asked: BTreeMap<u32, Duration>,
    sessions: BTreeMap<u32, u64>,
    /// Who has the lock as far as they know.
    holders: BTreeSet<u32>,
    /// Who got it last, unless that one has let go.
    last: Option<Holder>,
    waits: Vec<Duration>,
    takeovers: Vec<Duration>,
    second_holders: u64,
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    worker: u32,
    /// Under which it got the lock.
    session: Option<u64>,
    /// The last that the server heard of that session.
    last_word: Duration,
}

impl Turns {
    fn see(&mut self, entry: &Entry) {
        let Entry { at, worker, ref what } = *entry;
        match *what {
            What::Asks => drop(self.asked.insert(worker, at)),
            What::Opened(session) => drop(self.sessions.insert(worker, session)),
            What::Renewed(session) => {
                let is_its =
                    |last: &&mut Holder| last.worker == worker && last.session == Some(session);
                if let Some(last) = self.last.as_mut().filter(is_its) {
                    last.last_word = at;
                }
            }
            What::Holds(_) => {
                self.waits.extend(self.asked.remove(&worker).map(|asked| at - asked));
                self.second_holders += u64::from(!self.holders.is_empty());
                self.holders.insert(worker);
                let session = self.sessions.get(&worker).copied();
                let silent = self.last.replace(Holder { worker, session, last_word: at });
                self.takeovers.extend(silent.map(|silent| at - silent.last_word));
            }
            What::LetsGo => {
                self.holders.remove(&worker);
                self.last = self.last.filter(|last| last.worker != worker);
            }
            // It has not let go.
            What::Gone => drop(self.holders.remove(&worker)),
            What::Acknowledged(_) | What::WritesStale | What::Refused => {}
        }
    }
}

/// The value that this share of them is not above: the nearest rank.
fn percentile(times: &mut [Duration], share: f64) -> Option<Duration> {
    times.sort_unstable();
    let rank = (times.len() as f64 * share).ceil() as usize;
    times.get(rank.max(1) - 1).copied()
}

/// One lane for each worker: whether it has the lock, and whether somebody else has it since.
fn lanes(settings: &Settings, journal: &[Entry]) -> Vec<Series> {
    const NOT: f64 = 0.0;
    const HOLDS: f64 = 1.0;
    const LATE: f64 = 2.0;
    let states = ["without", "holds", "holds, and another one does since"];
    let new = |number| Series::states("lease", &settings::worker(number), &states);
    let mut lanes: BTreeMap<u32, Series> =
        (1..=settings.workers).map(|number| (number, new(number))).collect();
    let mut set = |worker: u32, at: Duration, state: f64| {
        if let Some(lane) = lanes.get_mut(&worker)
            && lane.points.last().map_or(NOT, |&(_, last)| last) != state
        {
            lane.push(at, state);
        }
    };
    let mut holders: BTreeMap<u32, Grant> = BTreeMap::new();
    for entry in journal {
        match entry.what {
            What::Holds(grant) => {
                for &earlier in holders.keys() {
                    set(earlier, entry.at, LATE);
                }
                holders.insert(entry.worker, grant);
                set(entry.worker, entry.at, HOLDS);
            }
            What::LetsGo | What::Gone => {
                holders.remove(&entry.worker);
                set(entry.worker, entry.at, NOT);
            }
            _ => {}
        }
    }
    lanes.into_values().collect()
}

/// What is counted over time.
fn curves(duration: Duration, journal: &[Entry]) -> Vec<Series> {
    let width = (duration / BUCKETS).max(Duration::from_millis(1));
    let mut counts = [[0.0; 3]; BUCKETS as usize];
    for entry in journal {
        let kind = match entry.what {
            What::Acknowledged(_) => 0,
            What::WritesStale => 1,
            What::Refused => 2,
            _ => continue,
        };
        // What comes after the end is the workers' farewell.
        if let Some(bucket) = counts.get_mut((entry.at.as_nanos() / width.as_nanos()) as usize) {
            bucket[kind] += 1.0;
        }
    }
    let mut throughput = Series::new("throughput", "updates acknowledged", Unit::Rate);
    let mut stale = Series::new("late writes", "let in so far", Unit::Count);
    let mut refused = Series::new("late writes", "refused so far", Unit::Count);
    let mut so_far = [0.0; 2];
    for (number, [done, let_in, kept_out]) in (1..).zip(counts) {
        so_far = [so_far[0] + let_in, so_far[1] + kept_out];
        throughput.push(width * (number - 1), done / width.as_secs_f64());
        stale.push(width * number, so_far[0]);
        refused.push(width * number, so_far[1]);
    }
    vec![throughput, stale, refused]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(journal: &[(u64, u32, What)]) -> Turns {
        let mut turns = Turns::default();
        for (seconds, worker, what) in journal {
            let at = Duration::from_secs(*seconds);
            turns.see(&Entry { at, worker: *worker, what: what.clone() });
        }
        turns
    }

    #[test]
    fn the_nearest_rank_is_a_value_that_was_there() {
        let mut times: Vec<_> = (1..=20).rev().map(Duration::from_secs).collect();
        assert_eq!(percentile(&mut times, 0.95), Some(Duration::from_secs(19)));
        assert_eq!(percentile(&mut times, 0.99), Some(Duration::from_secs(20)));
        assert_eq!(percentile(&mut times[..1], 0.95), Some(Duration::from_secs(1)));
        assert_eq!(percentile(&mut [], 0.95), None);
    }

    #[test]
    fn a_lock_that_is_handed_over_has_one_holder_and_no_election() {
        use What::{Asks, Holds, LetsGo};
        let seen = turns(&[
            (0, 1, Asks),
            (1, 2, Asks),
            (2, 1, Holds(1)),
            (3, 1, LetsGo),
            (7, 2, Holds(2)),
        ]);
        assert_eq!(seen.waits, [2, 6].map(Duration::from_secs));
        assert_eq!((seen.second_holders, seen.takeovers), (0, vec![]));
    }

    #[test]
    fn an_election_counts_from_the_last_word_of_the_session_that_held() {
        use What::{Gone, Holds, LetsGo, Opened, Renewed};
        let stopped = [
            (0, 1, Opened(7)),
            (1, 1, Holds(1)),
            (2, 1, Renewed(7)),
            (3, 2, Renewed(8)),
            // A new session of the same worker says nothing about the one that held.
            (4, 1, Opened(9)),
            (5, 1, Renewed(9)),
            (6, 2, Holds(2)),
            // The late one lets go of what it does not have: the next is no takeover.
            (7, 1, LetsGo),
            (8, 2, LetsGo),
            (9, 3, Holds(3)),
        ];
        let seen = turns(&stopped);
        assert_eq!((seen.second_holders, seen.takeovers), (1, vec![Duration::from_secs(4)]));
        let killed = [(0, 1, Opened(7)), (1, 1, Holds(1)), (2, 1, Gone), (5, 2, Holds(2))];
        let seen = turns(&killed);
        assert_eq!((seen.second_holders, seen.takeovers), (0, vec![Duration::from_secs(4)]));
    }
}
