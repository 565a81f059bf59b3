//! How good a detector was: how soon, and how often wrong.
//!
//! These are the two measures of Chen, Toueg and Aguilera (*On the quality of service of failure
//! detectors*, 2002): the detection time, and the mistake rate.

use std::time::Duration;

use super::judge::Suspicions;
use super::record::Record;

/// What came of judging a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Score {
    /// Of each crash: which node, when, and how long until it was suspected.
    pub(super) detections: Vec<(usize, Duration, Duration)>,
    /// Crashes that nobody noticed before the node was back. They count as noticed then.
    pub(super) missed: u64,
    /// Suspicions of nodes that were up.
    pub(super) mistakes: Vec<(usize, Duration)>,
    /// Nodes times the time that they were up.
    pub(super) node_time: Duration,
}

impl Score {
    pub(super) fn of(record: &Record, suspicions: &Suspicions) -> Self {
        let mut score = Self::default();
        for (node, (downs, suspicions)) in record.downs.iter().zip(suspicions).enumerate() {
            let mut up = record.duration;
            for &(crash, back) in downs {
                up = up.saturating_sub(back.saturating_sub(crash));
                // Suspected already, or from some moment on while it is down.
                let noticed = suspicions.iter().find(|(from, to)| *to > crash && *from < back);
                score.missed += u64::from(noticed.is_none());
                let noticed = noticed.map_or(back, |(from, _)| (*from).max(crash));
                score.detections.push((node, crash, noticed.saturating_sub(crash)));
            }
            score.node_time += up;
            let is_up = |at: &Duration| !downs.iter().any(|(from, to)| from <= at && at < to);
            let wrong = suspicions.iter().map(|(from, _)| *from).filter(is_up);
            score.mistakes.extend(wrong.map(|at| (node, at)));
        }
        score
    }

    pub(super) fn node_hours(&self) -> f64 {
        self.node_time.as_secs_f64() / 3_600.0
    }

    /// Mistakes per node and hour.
    pub(super) fn mistake_rate(&self) -> f64 {
        let hours = self.node_hours();
        if hours > 0.0 { self.mistakes.len() as f64 / hours } else { 0.0 }
    }

    /// How long it took, of those nodes; sorted.
    fn lengths(&self, of: impl Fn(usize) -> bool) -> Vec<Duration> {
        let mut lengths: Vec<_> =
            self.detections.iter().filter(|(node, ..)| of(*node)).map(|it| it.2).collect();
        lengths.sort_unstable();
        lengths
    }

    /// How long it took on average, of those nodes; none when none of them crashed.
    pub(super) fn mean(&self, of: impl Fn(usize) -> bool) -> Option<Duration> {
        let lengths = self.lengths(of);
        let count = u32::try_from(lengths.len()).ok().filter(|count| *count > 0)?;
        Some(lengths.iter().sum::<Duration>() / count)
    }

    /// The nearest rank of all.
    pub(super) fn p99(&self) -> Option<Duration> {
        let lengths = self.lengths(|_| true);
        let rank = (lengths.len() * 99).div_ceil(100).checked_sub(1)?;
        lengths.get(rank).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_crash_is_noticed_by_the_suspicion_that_covers_it() {
        let downs = vec![vec![(s(100), s(160)), (s(300), s(360)), (s(500), s(560))]];
        let record = Record { inputs: Vec::new(), downs, duration: s(1_000) };
        // Wrong at 50; right at 104; suspected since 290 (wrongly) when it crashes; missed.
        let suspicions = vec![vec![(s(50), s(51)), (s(104), s(160)), (s(290), s(360))]];
        let score = Score::of(&record, &suspicions);
        let took: Vec<_> = score.detections.iter().map(|it| it.2).collect();
        assert_eq!(took, [s(4), s(0), s(60)]);
        assert_eq!((score.missed, score.mistakes), (1, vec![(0, s(50)), (0, s(290))]));
        assert_eq!(score.node_time, s(1_000 - 180));
    }

    #[test]
    fn who_is_suspected_at_the_moment_of_the_restart_was_down_no_longer() {
        let record = Record { inputs: Vec::new(), downs: vec![vec![(s(1), s(2))]], duration: s(9) };
        let score = Score::of(&record, &vec![vec![(s(2), s(3))]]);
        assert_eq!((score.missed, score.mistakes.len()), (1, 1));
        assert_eq!(score.mean(|_| true), Some(s(1)));
        assert_eq!(score.mean(|_| false), None);
        assert_eq!(score.p99(), Some(s(1)));
    }
}
