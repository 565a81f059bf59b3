//! The judgement of many peers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::accuracy::{Accuracy, Counts};
use super::pulse::{Pulse, Rule};
use super::{Options, Suspected, Trusted};
use crate::Invalid;
use crate::event::{Decision, Events};

/// There is no room for one more peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{watched} peers are watched already, and no more may be")]
pub struct Full {
    /// How many peers are watched.
    pub watched: usize,
}

/// Watches many peers, and notices when it is itself that stood still.
///
/// Call [`Monitor::tick`] every [`Options::tick`]; only there does anybody become suspected. A
/// tick costs one comparison unless somebody's time may be up, and a heartbeat a look-up in an
/// ordered map and a square root. Share it behind a lock.
///
/// **Own stalls.** When nothing at all has come in for longer than a tick and
/// [`Options::stall_tolerance`], this process was stopped, starved, or asleep, and heard nobody:
/// the silence is not held against anyone ([`super::Detector::stalled`] says how), and what comes
/// during the next tick, out of the buffers where it waited, is a sign of life but no sample of
/// anybody's rhythm. Heartbeats count as inputs beside the ticks: where they came in all the
/// time, a late tick is a busy ticker and no excuse.
///
/// ```
/// use std::time::Duration;
/// use steadfast_resilience::{detector::{Monitor, Options}, event::Events};
/// use steadfast_time::Monotonic;
///
/// let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
/// let mut peers = Monitor::new(Options::default(), Events::silent("couriers"))?;
/// for second in 0..60 {
///     peers.heartbeat(at(second), &"ada")?;
///     peers.tick(at(second));
/// }
/// // Silent since second 59; the default rhythm and pause allow about 4.6 s of that.
/// let suspected_at = (60..80).find(|second| !peers.tick(at(*second)).is_empty());
/// assert_eq!(suspected_at, Some(64));
///
/// let back = peers.heartbeat(at(65), &"ada")?.ok_or("she was suspected")?;
/// assert!(back.was_false);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Monitor<K> {
    options: Options,
    rule: Rule,
    events: Events,
    peers: BTreeMap<K, Peer>,
    suspects: BTreeSet<K>,
    /// Before then nobody's silence can be too long.
    due: Option<Monotonic>,
    /// The last input.
    heard: Option<Monotonic>,
    /// Until then, what comes in may have waited while this process stood still.
    settles: Monotonic,
    accuracy: Accuracy,
}

#[derive(Clone, Debug)]
struct Peer {
    pulse: Pulse,
    incarnation: u64,
    suspected_at: Option<Monotonic>,
}

/// How a peer has shown that it is alive.
#[derive(Clone, Copy)]
enum Sign {
    Heartbeat,
    Seen,
    Restarted,
}

impl<K: Ord + Clone + Display> Monitor<K> {
    /// Watches nobody yet; what it decides goes to `events`.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: Options, events: Events) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self {
            rule: Rule::new(&options),
            options,
            events,
            peers: BTreeMap::new(),
            suspects: BTreeSet::new(),
            due: None,
            heard: None,
            settles: Monotonic::default(),
            accuracy: Accuracy::new(),
        })
    }

    /// A heartbeat of a peer, which is watched from its first one on. Says if it was suspected:
    /// it was alive all the time then, and the suspicion false.
    ///
    /// # Errors
    /// [`Full`], for a peer that is not watched yet.
    pub fn heartbeat(&mut self, now: Monotonic, peer: &K) -> Result<Option<Trusted>, Full> {
        self.sign(now, peer, Sign::Heartbeat)
    }

    /// A heartbeat that names the peer's incarnation: a number that changes when it starts anew,
    /// such as its start time. A suspected peer that comes back as another one had really gone.
    ///
    /// # Errors
    /// [`Full`], for a peer that is not watched yet.
    pub fn heartbeat_of(
        &mut self,
        now: Monotonic,
        peer: &K,
        incarnation: u64,
    ) -> Result<Option<Trusted>, Full> {
        let known = self.peers.get(peer).map(|known| known.incarnation);
        let sign = match known {
            Some(known) if known != incarnation => Sign::Restarted,
            _ => Sign::Heartbeat,
        };
        let trusted = self.sign(now, peer, sign)?;
        if known != Some(incarnation)
            && let Some(watched) = self.peers.get_mut(peer)
        {
            watched.incarnation = incarnation;
        }
        Ok(trusted)
    }

    /// Another sign of life: it ends the silence (and a suspicion, which was false), and says
    /// nothing of the peer's rhythm.
    ///
    /// # Errors
    /// [`Full`], for a peer that is not watched yet.
    pub fn seen(&mut self, now: Monotonic, peer: &K) -> Result<Option<Trusted>, Full> {
        self.sign(now, peer, Sign::Seen)
    }

    /// The peer says that it has started anew: what was learnt of it does not hold any more, and
    /// if it was suspected, it had really gone.
    ///
    /// # Errors
    /// [`Full`], for a peer that is not watched yet.
    pub fn restarted(&mut self, now: Monotonic, peer: &K) -> Result<Option<Trusted>, Full> {
        self.sign(now, peer, Sign::Restarted)
    }

    /// Suspects those whose silence is too long.
    pub fn tick(&mut self, now: Monotonic) -> Vec<(K, Suspected)> {
        let now = self.notice(now);
        self.accuracy.settle(now);
        let mut suspected = Vec::new();
        if self.due.is_none_or(|due| now < due) {
            return suspected;
        }
        self.due = None;
        for (key, peer) in &mut self.peers {
            if peer.suspected_at.is_some() {
                continue;
            }
            let deadline = peer.pulse.deadline();
            if now < deadline {
                self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
                continue;
            }
            peer.suspected_at = Some(now);
            let (phi, silent) = (peer.pulse.phi(&self.rule, now), peer.pulse.silence(now));
            suspected.push((key.clone(), Suspected { peer: key.to_string(), phi, silent }));
        }
        for (key, _) in &suspected {
            self.suspects.insert(key.clone());
            self.accuracy.suspected(now);
        }
        // When the books are done: a listener may panic.
        for (_, suspicion) in &suspected {
            self.events.emit(now, || Decision::Suspected(suspicion.clone()));
        }
        suspected
    }

    /// Those whom a [`Monitor::tick`] would suspect now; so whoever is silent for a good reason
    /// can be [forgotten](Monitor::forget) first.
    pub fn overdue(&mut self, now: Monotonic) -> Vec<K> {
        let now = self.notice(now);
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let late = |peer: &Peer| peer.suspected_at.is_none() && now >= peer.pulse.deadline();
        self.peers.iter().filter(|(_, peer)| late(peer)).map(|(key, _)| key.clone()).collect()
    }

    /// When a tick may next find somebody; `None` while there is nobody to find.
    #[must_use]
    pub const fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Whether the peer is suspected; one that is not watched is not.
    #[must_use]
    pub fn is_suspected(&self, peer: &K) -> bool {
        self.suspects.contains(peer)
    }

    /// Whether the peer is watched.
    #[must_use]
    pub fn is_watched(&self, peer: &K) -> bool {
        self.peers.contains_key(peer)
    }

    /// How strongly the peer is suspected; `None` when it is not watched.
    #[must_use]
    pub fn phi(&self, now: Monotonic, peer: &K) -> Option<f64> {
        Some(self.peers.get(peer)?.pulse.phi(&self.rule, now))
    }

    /// Those who are suspected.
    pub fn suspects(&self) -> impl Iterator<Item = &K> {
        self.suspects.iter()
    }

    /// Watches the peer no longer. Says whether it was watched.
    pub fn forget(&mut self, now: Monotonic, peer: &K) -> bool {
        let now = self.notice(now);
        let was_watched = self.peers.remove(peer).is_some();
        if was_watched {
            let was_suspected = self.suspects.remove(peer);
            self.accuracy.forgotten(now, was_suspected);
        }
        was_watched
    }

    /// What has been counted since it was made, as of the last change or tick.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.accuracy.counts()
    }

    /// `fd.false_suspect_rate`: false suspicions per peer-hour, over the last 24 hours.
    ///
    /// - A *false suspicion* is one that ended by a heartbeat or another sign of life of the same
    ///   incarnation: the peer had been alive all the time. It counts when that becomes known.
    ///   Nothing is known of a peer that never came back, or was forgotten meanwhile.
    /// - *Peer-hours* are counted while a peer is watched and trusted, that is, while it could be
    ///   suspected wrongly; not while this process stood still.
    ///
    /// It is the mistake rate of Chen, Toueg and Aguilera (*On the quality of service of failure
    /// detectors*, 2002), per hour. The sources demand less than
    /// [0.001](super::FALSE_SUSPECT_RATE_MAX), and mind that this says nothing before some
    /// thousands of peer-hours: a single mistake in the first hour of ten peers is 0.1.
    pub fn false_suspect_rate(&mut self, now: Monotonic) -> f64 {
        let now = self.notice(now);
        self.accuracy.false_suspect_rate(now)
    }

    fn sign(&mut self, now: Monotonic, key: &K, sign: Sign) -> Result<Option<Trusted>, Full> {
        let now = self.notice(now);
        let Some(peer) = self.peers.get_mut(key) else {
            self.watch(now, key)?;
            return Ok(None);
        };
        match sign {
            Sign::Heartbeat => peer.pulse.heartbeat(&self.rule, now, now >= self.settles),
            Sign::Seen => peer.pulse.seen(now),
            Sign::Restarted => peer.pulse = Pulse::new(&self.rule, now),
        }
        // A peer that was more regular than thought may be missed earlier than before.
        let deadline = peer.pulse.deadline();
        self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
        let Some(suspected_at) = peer.suspected_at.take() else { return Ok(None) };
        self.suspects.remove(key);
        let was_false = !matches!(sign, Sign::Restarted);
        self.accuracy.trusted(now, was_false);
        let trusted = Trusted { peer: key.to_string(), suspected: now - suspected_at, was_false };
        self.events.emit(now, || Decision::Trusted(trusted.clone()));
        Ok(Some(trusted))
    }

    fn watch(&mut self, now: Monotonic, key: &K) -> Result<(), Full> {
        let watched = self.peers.len();
        if watched >= self.options.peers_max {
            return Err(Full { watched });
        }
        let pulse = Pulse::new(&self.rule, now);
        let deadline = pulse.deadline();
        self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
        self.peers.insert(key.clone(), Peer { pulse, incarnation: 0, suspected_at: None });
        self.accuracy.watched(now);
        Ok(())
    }

    /// Takes note of an input; when it comes after a stall of this process, nobody is to blame
    /// for it. Returns the time, which never runs backwards here, whatever order the readings of
    /// several threads come in.
    fn notice(&mut self, now: Monotonic) -> Monotonic {
        let Some(before) = self.heard.replace(now) else { return now };
        if now <= before {
            self.heard = Some(before);
            return before;
        }
        let late = (now - before).saturating_sub(self.options.tick);
        if late > self.options.stall_tolerance {
            self.stalled(now, late);
        }
        now
    }

    fn stalled(&mut self, now: Monotonic, length: Duration) {
        for peer in self.peers.values_mut() {
            peer.pulse.stall(now, length);
        }
        self.settles = now + self.options.tick;
        self.accuracy.stalled(now, length);
    }
}
