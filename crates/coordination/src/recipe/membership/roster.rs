//! The machine: listings and moments in, events out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::Suspicion;
use super::beat::Beat;
use crate::port::{Listing, Name, SessionId};

/// A member, as a watcher knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its life's number; each life has a higher one.
    pub incarnation: FencingToken,
    /// Its session at the engine.
    pub session: SessionId,
    /// What it says about itself.
    pub value: Vec<u8>,
    /// The number of its last heartbeat.
    pub beat: u64,
    /// Whether it is suspected.
    pub is_suspected: bool,
}

/// Something about a group has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A member is there, in a new life.
    Joined {
        /// Who.
        member: Name,
        /// Its life's number.
        incarnation: FencingToken,
        /// What it says about itself.
        value: Vec<u8>,
    },
    /// A member says something else about itself.
    Updated {
        /// Who.
        member: Name,
        /// What it says now.
        value: Vec<u8>,
    },
    /// A member has not been heard for too long.
    Suspected {
        /// Who.
        member: Name,
        /// Its life's number.
        incarnation: FencingToken,
    },
    /// A member that was suspected has been heard.
    Trusted {
        /// Who.
        member: Name,
        /// Its life's number.
        incarnation: FencingToken,
    },
    /// This life of a member is over.
    Left {
        /// Who.
        member: Name,
        /// Its life's number.
        incarnation: FencingToken,
    },
    /// An entry in the group's queue is not a member's: something else has the same name. It is
    /// left alone.
    Foreign {
        /// Its token.
        token: FencingToken,
    },
    /// The group cannot be seen. Nobody is suspected meanwhile.
    Blind {
        /// Why.
        reason: Arc<str>,
    },
    /// It can be seen again.
    Sighted,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { member, incarnation, .. } => {
                write!(f, "{member} joined ({incarnation})")
            }
            Self::Updated { member, .. } => write!(f, "{member} updated"),
            Self::Suspected { member, .. } => write!(f, "{member} suspected"),
            Self::Trusted { member, .. } => write!(f, "{member} trusted again"),
            Self::Left { member, incarnation } => write!(f, "{member} left ({incarnation})"),
            Self::Foreign { token } => write!(f, "the entry {token} is no member's"),
            Self::Blind { reason } => write!(f, "cannot be seen: {reason}"),
            Self::Sighted => f.write_str("can be seen again"),
        }
    }
}

/// Knows who is there. A deterministic machine: feed it what was listed and when.
#[derive(Debug)]
pub struct Roster<S> {
    suspicion: S,
    peers: BTreeMap<Name, Peer>,
    foreign: BTreeSet<FencingToken>,
    /// Earlier lives that are listed still. They are over, whatever becomes of the later ones.
    superseded: BTreeSet<FencingToken>,
    is_blind: bool,
    /// The last listing.
    seen: Monotonic,
    /// When it wants to be asked next.
    due: Option<Monotonic>,
}

impl<S: Suspicion> Roster<S> {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(suspicion: S) -> Self {
        let (peers, foreign, superseded) = Default::default();
        let seen = Monotonic::default();
        Self { suspicion, peers, foreign, superseded, is_blind: false, seen, due: None }
    }

    /// The members, by name.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<Name, Peer> {
        &self.peers
    }

    /// When to [`tick`](Self::tick) next; `None` while there is nothing to judge.
    #[must_use]
    pub const fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Takes in a listing. Departures are told first, then the rest by name.
    pub fn see(&mut self, now: Monotonic, listing: &Listing) -> Vec<Change> {
        let mut changes = Vec::new();
        if std::mem::take(&mut self.is_blind) {
            self.suspicion.deaf(now - self.seen, now);
            changes.push(Change::Sighted);
        }
        self.seen = now;
        let mut listed: BTreeMap<Name, (FencingToken, SessionId, Beat<'_>)> = BTreeMap::new();
        let (mut foreign, mut superseded) = (BTreeSet::new(), BTreeSet::new());
        for entry in &listing.entries {
            let Some(beat) = Beat::decode(&entry.value) else {
                foreign.insert(entry.token);
                continue;
            };
            if self.superseded.contains(&entry.token) {
                superseded.insert(entry.token);
                continue;
            }
            // They are in the order of their tokens: the last of a name is its latest life.
            let life = (entry.token, entry.session, beat);
            if let Some(earlier) = listed.insert(life.2.member.clone(), life) {
                superseded.insert(earlier.0);
            }
        }
        self.superseded = superseded;
        let news = foreign.difference(&self.foreign).map(|token| Change::Foreign { token: *token });
        changes.extend(news);
        self.foreign = foreign;

        let suspicion = &mut self.suspicion;
        self.peers.retain(|member, peer| {
            let is_there = listed.get(member).is_some_and(|listed| listed.0 == peer.incarnation);
            if !is_there {
                let incarnation = peer.incarnation;
                changes.push(Change::Left { member: member.clone(), incarnation });
                if !listed.contains_key(member) {
                    suspicion.forget(member, now);
                }
            }
            is_there
        });
        for (member, (incarnation, session, beat)) in listed {
            if let Some(known) = self.peers.get_mut(&member) {
                if known.beat != beat.number {
                    known.beat = beat.number;
                    self.suspicion.heartbeat(&member, incarnation, now);
                }
                if known.value != beat.value {
                    known.value = beat.value.to_vec();
                    changes.push(Change::Updated { member, value: beat.value.to_vec() });
                }
                continue;
            }
            self.suspicion.heartbeat(&member, incarnation, now);
            let (value, number) = (beat.value.to_vec(), beat.number);
            let peer = Peer { incarnation, session, value, beat: number, is_suspected: false };
            let value = peer.value.clone();
            self.peers.insert(member.clone(), peer);
            changes.push(Change::Joined { member, incarnation, value });
        }
        self.judge(now, &mut changes);
        changes
    }

    /// Whether somebody's silence has become too long. Then look once more, and
    /// [`see`](Self::see), before anybody is suspected: a process that stood still has not read
    /// what was written meanwhile, and one that cannot read must not judge.
    pub fn overdue(&mut self, now: Monotonic) -> bool {
        !self.is_blind && self.suspicion.overdue(now)
    }

    /// Lets time pass, by whoever has looked until now.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.is_blind {
            self.judge(now, &mut changes);
        }
        changes
    }

    /// Whether the group cannot be seen.
    #[must_use]
    pub const fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// The group cannot be seen from now on, until the next listing. Since the last one, nobody
    /// could be heard.
    pub fn blind(&mut self, reason: impl Into<Arc<str>>) -> Vec<Change> {
        if std::mem::replace(&mut self.is_blind, true) {
            return Vec::new();
        }
        self.due = None;
        vec![Change::Blind { reason: reason.into() }]
    }

    fn judge(&mut self, now: Monotonic, changes: &mut Vec<Change>) {
        let suspected: BTreeSet<Name> = self.suspicion.suspected(now).into_iter().collect();
        for (member, peer) in &mut self.peers {
            let is_suspected = suspected.contains(member);
            if std::mem::replace(&mut peer.is_suspected, is_suspected) == is_suspected {
                continue;
            }
            let (member, incarnation) = (member.clone(), peer.incarnation);
            changes.push(if is_suspected {
                Change::Suspected { member, incarnation }
            } else {
                Change::Trusted { member, incarnation }
            });
        }
        self.due = self.suspicion.due(now);
    }
}
