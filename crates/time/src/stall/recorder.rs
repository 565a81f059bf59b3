//! Beats in, stalls out.
//!
//! One writer beats; any number of readers ask, without locks. The last stalls stand in a ring
//! that the writer overwrites; a reader notices when it was overtaken and reads again. What has
//! left the ring is remembered as one: the longest of them, until the last of their ends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::limits::{BEATS_MAX, STALLS_MAX};

/// A time in which the process did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the late beat came.
    pub ended: Monotonic,
    /// How much later than due it came, with the time the machine was suspended.
    pub length: Duration,
}

#[derive(Debug, Default)]
struct Slot {
    ended: AtomicU64,
    length: AtomicU64,
    /// What of the length the machine was suspended, while the clock may have stood still.
    suspended: AtomicU64,
}

impl Slot {
    fn length_since(&self, ended: u64, since: u64) -> u64 {
        let (length, suspended) =
            (self.length.load(Ordering::Acquire), self.suspended.load(Ordering::Acquire));
        after(length.saturating_sub(suspended), suspended, ended.saturating_sub(since))
    }
}

/// What of a stall can lie after a moment at which the process ran, `passed` before the stall's
/// end. All of a suspension, since the clock does not tell when it was.
fn after(late: u64, suspended: u64, passed: u64) -> u64 {
    late.min(passed).saturating_add(suspended)
}

/// What the beats said so far. [`Recorder::beat`] is for one thread; everything else for all.
#[derive(Debug)]
pub struct Recorder {
    period: Duration,
    threshold: Duration,
    /// The last beat, in nanoseconds, and how long the machine had been suspended until then.
    last_beat: AtomicU64,
    suspended: AtomicU64,
    beats: AtomicU64,
    stalls: Box<[Slot]>,
    /// How many stalls there were; they are in the slots by this, modulo their number.
    count: AtomicU64,
    longest: AtomicU64,
    /// The end of the last stall that left the ring, and the longest of those.
    left_ended: AtomicU64,
    left_longest: AtomicU64,
    /// Lateness of the last beats, in microseconds.
    late: Box<[AtomicU32]>,
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

impl Recorder {
    /// A recorder whose beats are due each `period`, the first one a period after `start`. A beat
    /// later than due by more than `threshold` is a stall. `suspended` is how long the machine has
    /// been suspended so far (zero if that is not known).
    #[must_use]
    pub fn new(
        period: Duration,
        threshold: Duration,
        start: Monotonic,
        suspended: Duration,
    ) -> Self {
        Self {
            period,
            threshold,
            last_beat: AtomicU64::new(start.as_nanos()),
            suspended: AtomicU64::new(nanos(suspended)),
            beats: AtomicU64::new(0),
            stalls: (0..STALLS_MAX).map(|_| Slot::default()).collect(),
            count: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            left_ended: AtomicU64::new(0),
            left_longest: AtomicU64::new(0),
            late: (0..BEATS_MAX).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// A beat at `at`, the machine having been suspended for `suspended` so far. Answers the stall
    /// that it ended. One thread only.
    pub fn beat(&self, at: Monotonic, suspended: Duration) -> Option<Stall> {
        let (late, away) = self.lateness(at, suspended);
        let length = late + away;
        let micros = u32::try_from(length.as_micros()).unwrap_or(u32::MAX);
        let beat = self.beats.fetch_add(1, Ordering::Relaxed);
        self.late[beat as usize % BEATS_MAX].store(micros, Ordering::Relaxed);
        let stall = (length > self.threshold).then_some(Stall { ended: at, length });
        if let Some(stall) = stall {
            self.push(stall, away);
        }
        // Last: whoever sees this beat sees the stall that it ended.
        self.suspended.store(nanos(suspended), Ordering::Release);
        self.last_beat.store(at.as_nanos(), Ordering::Release);
        stall
    }

    fn push(&self, stall: Stall, suspended: Duration) {
        let count = self.count.load(Ordering::Relaxed);
        let slot = &self.stalls[count as usize % STALLS_MAX];
        if count >= STALLS_MAX as u64 {
            let length = slot.length.load(Ordering::Relaxed);
            self.left_longest.fetch_max(length, Ordering::Release);
            self.left_ended.store(slot.ended.load(Ordering::Relaxed), Ordering::Release);
        }
        slot.length.store(nanos(stall.length), Ordering::Release);
        slot.suspended.store(nanos(suspended), Ordering::Release);
        slot.ended.store(stall.ended.as_nanos(), Ordering::Release);
        self.longest.fetch_max(nanos(stall.length), Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Release);
    }

    /// How much later than due a beat would be now, and how long the machine has been suspended
    /// since the last one.
    fn lateness(&self, now: Monotonic, suspended: Duration) -> (Duration, Duration) {
        // In the reverse order of the writer's, so that a beat is not older than its suspension.
        let last = Monotonic::from_nanos(self.last_beat.load(Ordering::Acquire));
        let before = Duration::from_nanos(self.suspended.load(Ordering::Acquire));
        ((now - last).saturating_sub(self.period), suspended.saturating_sub(before))
    }

    /// The longest stall after `since`, ended or going on at `now`; zero when there was none above
    /// the threshold. Of one that began before `since`, what lies after it counts: whoever read
    /// the clock at `since` ran at that moment, and what it began then has not stood still for
    /// longer. It may be more than was, never less: all of a suspension counts, and beyond the last
    /// 255 stalls the longest of all.
    #[must_use]
    pub fn longest_since(&self, since: Monotonic, now: Monotonic, suspended: Duration) -> Duration {
        // First: if a beat comes in between, its stall is seen below.
        let (late, away) = self.lateness(now, suspended);
        let going_on = after(nanos(late), nanos(away), nanos(now - since));
        let longest = going_on.max(self.recorded_since(since.as_nanos()));
        Some(Duration::from_nanos(longest)).filter(|it| *it > self.threshold).unwrap_or_default()
    }

    fn recorded_since(&self, since: u64) -> u64 {
        loop {
            let count = self.count.load(Ordering::Acquire);
            // The slot after the newest is the one that may be overwritten.
            let readable = count.min(STALLS_MAX as u64 - 1);
            let (mut longest, mut all) = (0, true);
            for back in 1..=readable {
                let slot = &self.stalls[(count - back) as usize % STALLS_MAX];
                let ended = slot.ended.load(Ordering::Acquire);
                if ended <= since {
                    all = false;
                    break;
                }
                longest = longest.max(slot.length_since(ended, since));
            }
            if all && count > readable {
                // Older ones may count too: the one being overwritten, and those that have left.
                let oldest = &self.stalls[count as usize % STALLS_MAX];
                longest = longest.max(oldest.length.load(Ordering::Acquire));
                if self.left_ended.load(Ordering::Acquire) > since {
                    longest = longest.max(self.left_longest.load(Ordering::Acquire));
                }
            }
            if self.count.load(Ordering::Acquire) == count {
                return longest;
            }
        }
    }

    /// When the last beat came.
    #[must_use]
    pub fn last_beat_at(&self) -> Monotonic {
        Monotonic::from_nanos(self.last_beat.load(Ordering::Acquire))
    }

    /// How many stalls there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The longest stall ever.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Acquire))
    }

    /// The lateness that 99 of 100 of the last 4,096 beats (41 s at 10 ms) stayed within, to the
    /// microsecond. Zero before the first beat. Copies and sorts; for reports.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let beats = self.beats.load(Ordering::Relaxed).min(BEATS_MAX as u64) as usize;
        let mut late: Vec<u32> =
            self.late[..beats].iter().map(|late| late.load(Ordering::Relaxed)).collect();
        late.sort_unstable();
        let rank = (beats * 99).div_ceil(100).saturating_sub(1);
        Duration::from_micros(late.get(rank).copied().unwrap_or(0).into())
    }

    /// The last stalls, newest first, 255 at most.
    #[must_use]
    pub fn recent(&self) -> Vec<Stall> {
        loop {
            let count = self.count.load(Ordering::Acquire);
            let readable = count.min(STALLS_MAX as u64 - 1);
            let stalls = (1..=readable)
                .map(|back| {
                    let slot = &self.stalls[(count - back) as usize % STALLS_MAX];
                    Stall {
                        ended: Monotonic::from_nanos(slot.ended.load(Ordering::Acquire)),
                        length: Duration::from_nanos(slot.length.load(Ordering::Acquire)),
                    }
                })
                .collect();
            if self.count.load(Ordering::Acquire) == count {
                return stalls;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn recorder() -> Recorder {
        Recorder::new(TEN, TEN, at(0), Duration::ZERO)
    }

    #[test]
    fn a_late_beat_is_a_stall_and_a_punctual_one_is_not() {
        let recorder = recorder();
        assert_eq!(recorder.beat(at(10), ms(0)), None);
        assert_eq!(recorder.beat(at(30), ms(0)), None, "ten late is not over the threshold");
        let stall = Stall { ended: at(2_040), length: ms(2_000) };
        assert_eq!(recorder.beat(at(2_040), ms(0)), Some(stall));
        assert_eq!((recorder.count(), recorder.max()), (1, ms(2_000)));
        assert_eq!(recorder.recent(), [stall]);
        let longest = |since: u64| recorder.longest_since(at(since), at(2_045), ms(0));
        assert_eq!(longest(0), ms(2_000));
        assert_eq!(longest(1_000), ms(1_040), "what lies after");
        assert_eq!(longest(2_040), ms(0));
    }

    /// A worker goes on before the heartbeat thread does, loses its lease for the stall, and takes
    /// another one. The late beat then tells of the same stall, which is none of the new lease's.
    #[test]
    fn a_stall_is_held_against_nothing_that_began_after_it() {
        let recorder = recorder();
        recorder.beat(at(10), ms(0));
        // Stopped until 5,000; the heartbeat comes at 5,006.
        assert_eq!(recorder.longest_since(at(5), at(5_000), ms(0)), ms(4_980));
        let taken = at(5_001);
        assert_eq!(recorder.longest_since(taken, at(5_005), ms(0)), ms(0), "before the late beat");
        assert_eq!(recorder.beat(at(5_006), ms(0)).unwrap().length, ms(4_986));
        for now in [5_007, 5_010, 9_000] {
            recorder.beat(at(now), ms(0));
            let later = recorder.longest_since(taken, at(now), ms(0));
            assert!(later <= ms(now - 5_001), "{now}: {later:?}");
        }
        let recorder = self::recorder();
        recorder.beat(at(5_006), ms(0));
        assert_eq!(recorder.longest_since(taken, at(5_010), ms(0)), ms(0));
        assert_eq!(recorder.longest_since(at(5), at(5_010), ms(0)), ms(4_996), "the old one's");
        // When a suspension was, the clock does not tell: it counts in full.
        recorder.beat(at(5_016), ms(700));
        assert_eq!(recorder.longest_since(at(5_015), at(5_017), ms(700)), ms(700));
    }

    #[test]
    fn a_stall_is_seen_before_the_heartbeat_wakes() {
        let recorder = recorder();
        recorder.beat(at(10), ms(0));
        assert_eq!(recorder.longest_since(at(12), at(25), ms(0)), ms(0));
        assert_eq!(recorder.longest_since(at(12), at(5_020), ms(0)), ms(5_000));
        assert_eq!(recorder.longest_since(at(1_020), at(5_020), ms(0)), ms(4_000));
        assert_eq!(recorder.count(), 0, "no beat has told of it: the broken twin sees nothing");
    }

    #[test]
    fn a_suspended_machine_is_seen_although_its_clock_stood_still() {
        let recorder = recorder();
        recorder.beat(at(10), ms(0));
        assert_eq!(recorder.longest_since(at(12), at(15), ms(3_000)), ms(3_000));
        assert_eq!(recorder.beat(at(20), ms(3_000)).unwrap().length, ms(3_000));
        assert_eq!(recorder.beat(at(30), ms(3_000)), None);
    }

    #[test]
    fn the_p99_is_of_beats() {
        let recorder = recorder();
        assert_eq!(recorder.p99(), ms(0));
        let mut now = 0;
        for beat in 0..100 {
            now += if beat == 0 {
                510
            } else if beat == 1 {
                17
            } else {
                10
            };
            recorder.beat(at(now), ms(0));
        }
        assert_eq!(recorder.p99(), ms(7));
    }

    proptest! {
        /// Against a list of everything; exact within the ring, never less outside of it.
        #[test]
        fn as_a_list_says(gaps in prop::collection::vec(1_u64..60, 1..900), since in 0_u64..30_000) {
            let recorder = recorder();
            let (mut now, mut all) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if gap > 20 {
                    all.push((now, gap - 10));
                }
                recorder.beat(at(now), ms(0));
            }
            let counted = all.iter().filter(|(ended, _)| *ended > since);
            let rest = counted.clone().map(|(ended, length)| *length.min(&(*ended - since)));
            let expected = ms(rest.filter(|rest| *rest > 10).max().unwrap_or(0));
            let found = recorder.longest_since(at(since), at(now), ms(0));
            if counted.count() < STALLS_MAX {
                prop_assert_eq!(found, expected);
            }
            prop_assert!(found >= expected);
            prop_assert_eq!(recorder.count(), all.len() as u64);
        }
    }

    #[test]
    fn readers_beside_the_writer_never_miss_a_stall() {
        let recorder = recorder();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        let last =
                            Monotonic::from_nanos(recorder.last_beat.load(Ordering::Acquire));
                        if last > at(0) {
                            // Every beat below is a stall of 20 ms at least.
                            let before = Monotonic::from_nanos(last.as_nanos() - 20_000_000);
                            assert!(recorder.longest_since(before, last, ms(0)) >= ms(20));
                        }
                    }
                });
            }
            for beat in 1..200_000 {
                recorder.beat(at(beat * 30), ms(0));
            }
            done.store(true, Ordering::Release);
        });
    }
}
