//! The judgement of one peer.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::history::{History, micros};
use super::{Distribution, Options};
use crate::Invalid;

/// The options, worked out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    distribution: Distribution,
    /// Where φ reaches its threshold: see [`Distribution::reach`].
    reach: f64,
    min_deviation: f64,
    pause: f64,
    silence_max: Duration,
    first: Duration,
    samples: usize,
}

impl Rule {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            distribution: options.distribution,
            reach: options.distribution.reach(options.threshold),
            min_deviation: in_micros(options.min_deviation),
            pause: in_micros(options.acceptable_pause),
            silence_max: options.silence_max.unwrap_or(Duration::MAX),
            first: options.first_heartbeat,
            samples: options.samples,
        }
    }

    fn deviation(&self, history: &History) -> f64 {
        history.deviation_micros().max(self.min_deviation)
    }

    fn phi(&self, silence: Duration, history: &History) -> f64 {
        let silence = in_micros(silence) - self.pause;
        self.distribution.phi(silence, history.mean_micros(), self.deviation(history))
    }

    /// The silence after which a peer with this history is suspected.
    fn allowance(&self, history: &History) -> Duration {
        let (mean, deviation) = (history.mean_micros(), self.deviation(history));
        let silence = self.distribution.silence(self.reach, mean, deviation) + self.pause;
        micros(silence.max(0.0)).min(self.silence_max)
    }

    /// What is known of a peer that nothing is known of.
    fn bootstrap(&self) -> History {
        let mut history = History::keeping(self.samples);
        history.push(self.first - self.first / 4);
        history.push(self.first + self.first / 4);
        history
    }
}

fn in_micros(length: Duration) -> f64 {
    length.as_secs_f64() * 1e6
}

/// What is known of one peer. Everything that a suspicion depends on is worked out when it
/// changes, so that to ask whether a silence is too long is one comparison.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    history: History,
    /// The silence that it is allowed.
    allowance: Duration,
    /// The last heartbeat.
    beat: Monotonic,
    /// The last sign of life.
    seen: Monotonic,
    /// How much of the time since then is not held against the peer.
    forgiven: Duration,
    /// This process has stood still since the last heartbeat.
    stalled: bool,
}

impl Pulse {
    /// A peer that is heard of for the first time.
    pub(super) fn new(rule: &Rule, now: Monotonic) -> Self {
        let history = rule.bootstrap();
        let allowance = rule.allowance(&history);
        let forgiven = Duration::ZERO;
        Self { history, allowance, beat: now, seen: now, forgiven, stalled: false }
    }

    pub(super) fn heartbeat(&mut self, rule: &Rule, now: Monotonic, learn: bool) {
        if learn && !self.stalled {
            self.history.push((now - self.beat).min(self.allowance));
            self.allowance = rule.allowance(&self.history);
        }
        (self.beat, self.stalled) = (self.beat.max(now), false);
        self.seen(now);
    }

    pub(super) fn seen(&mut self, now: Monotonic) {
        if now >= self.seen {
            (self.seen, self.forgiven) = (now, Duration::ZERO);
        }
    }

    pub(super) fn stall(&mut self, now: Monotonic, length: Duration) {
        if self.forgiven.is_zero() {
            self.forgiven = now - self.seen;
        } else {
            self.forgiven = self.forgiven.saturating_add(length).min(now - self.seen);
        }
        self.stalled = true;
    }

    pub(super) fn silence(&self, now: Monotonic) -> Duration {
        (now - self.seen).saturating_sub(self.forgiven)
    }

    /// From when on the peer is suspected if nothing is heard.
    pub(super) fn deadline(&self) -> Monotonic {
        self.seen + self.forgiven.saturating_add(self.allowance)
    }

    pub(super) fn phi(&self, rule: &Rule, now: Monotonic) -> f64 {
        rule.phi(self.silence(now), &self.history)
    }
}

/// Judges one peer by its heartbeats. For many, see [`super::Monitor`], which also notices when
/// this process itself stands still.
///
/// ```
/// use std::time::Duration;
/// use steadfast_resilience::detector::{Detector, Options};
/// use steadfast_time::Monotonic;
///
/// let at = |ms| Monotonic::from_start(Duration::from_millis(ms));
/// let options = Options { acceptable_pause: Duration::ZERO, ..Options::default() };
/// let mut peer = Detector::new(&options)?;
/// for beat in 0..=60 {
///     peer.heartbeat(at(beat * 1_000));
/// }
/// assert!(peer.phi(at(61_000)) < 1.0); // the next one is just due
/// assert!(!peer.is_suspected(at(61_500)));
/// assert!(peer.phi(at(61_700)) > 8.0); // late by seven deviations
/// assert!(peer.is_suspected(at(61_700)));
/// # Ok::<(), steadfast_resilience::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Detector {
    rule: Rule,
    pulse: Option<Pulse>,
}

impl Detector {
    /// For a peer that has not been heard of yet, and is not suspected for that.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { rule: Rule::new(options), pulse: None })
    }

    /// A heartbeat has come: a sign of life, and one more sample of the peer's rhythm.
    ///
    /// A sample counts as at most the silence that was allowed. So a long absence says no more
    /// than "longer than that" and does not blind the detector for the next thousand heartbeats;
    /// and a peer that has become slower for good is trusted again after a few. (Akka learns
    /// nothing from a heartbeat that ends a suspicion, and suspects such a peer forever.)
    pub fn heartbeat(&mut self, now: Monotonic) {
        match &mut self.pulse {
            Some(pulse) => pulse.heartbeat(&self.rule, now, true),
            None => self.pulse = Some(Pulse::new(&self.rule, now)),
        }
    }

    /// The peer has shown in another way that it is alive: it ends the silence and says nothing
    /// of the rhythm.
    pub fn seen(&mut self, now: Monotonic) {
        match &mut self.pulse {
            Some(pulse) => pulse.seen(now),
            None => self.heartbeat(now),
        }
    }

    /// This process itself stood still for `length`, until now, and could not hear anybody.
    ///
    /// What the peer sent meanwhile may be lost, so the first stall in a silence begins it anew:
    /// the next heartbeat is due within one interval from now. Later ones in the same silence
    /// only do not count. So a process that stands still time and again still notices the dead.
    /// The interval around a stall is not learnt.
    pub fn stalled(&mut self, now: Monotonic, length: Duration) {
        if let Some(pulse) = &mut self.pulse {
            pulse.stall(now, length);
        }
    }

    /// How strongly the peer is suspected; 0 before its first heartbeat.
    #[must_use]
    pub fn phi(&self, now: Monotonic) -> f64 {
        self.pulse.as_ref().map_or(0.0, |pulse| pulse.phi(&self.rule, now))
    }

    /// Whether φ has reached its threshold, or the silence its limit.
    #[must_use]
    pub fn is_suspected(&self, now: Monotonic) -> bool {
        self.pulse.as_ref().is_some_and(|pulse| now >= pulse.deadline())
    }

    /// How long nothing has been heard, without this process's own stalls.
    #[must_use]
    pub fn silence(&self, now: Monotonic) -> Duration {
        self.pulse.as_ref().map_or(Duration::ZERO, |pulse| pulse.silence(now))
    }

    /// The silence after which the peer is suspected, as far as is known now.
    #[must_use]
    pub fn allowance(&self) -> Option<Duration> {
        self.pulse.as_ref().map(|pulse| pulse.allowance)
    }

    /// What has been learnt of its rhythm.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        self.pulse.as_ref().map(|pulse| &pulse.history)
    }
}
