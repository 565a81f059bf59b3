//! One leader, whom everybody can name.
//!
//! # Why
//! A lock says that one may work; an election also says who does, with what, and since when. It is
//! a queue of exclusive entries whose first one leads, so it has all that a lock has: a fencing
//! token that rises with each leader, a deadline, the news of its loss, fairness. Losing a leader
//! costs one session length; replacing one on purpose ([`Leader::resign`]) costs a message.
//!
//! # How
//! A candidate's entry holds a mark and its value: `?` while it stands, `!` once it is in office,
//! which it writes itself when it has had its turn *and* found its session still good. So an
//! observer never names somebody who is merely next in line, or whose session ended while the
//! good news was under way; and the time without a leader can be measured.
//!
//! # Limits
//! - The mark costs one more write per election, none per renewal.
//! - A leader that is cut off is named until its session ends: nobody can know earlier. Its writes
//!   are refused by the storage from the moment at which its successor has written.
//! - A value has at most [`ELECTION_VALUE_BYTES_MAX`] bytes.
//! - Election, lock and read-write lock of one name are the same queue. Give them names of their
//!   own: an observer that finds an entry of another kind in front says that it does not know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::watch::{Sight, Watch, ask};
use crate::client::{Client, Guard, Lost, Patience};
use crate::limits::ELECTION_VALUE_BYTES_MAX;
use crate::port::{Error, Listing, Mode, Name, SessionId};

/// The marks in front of a candidate's value.
const STANDING: u8 = b'?';
const IN_OFFICE: u8 = b'!';

/// An election. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Election {
    client: Client,
    name: Name,
}

impl Client {
    /// The election of that name.
    #[must_use]
    pub fn election(&self, name: &Name) -> Election {
        Election { client: self.clone(), name: name.clone() }
    }
}

impl Election {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Stands, and waits to be elected. `value` is what everybody can read: an address, as a rule.
    ///
    /// A candidate whose session is lost stands again, at the end of the line; also when that
    /// happens in the moment of its election.
    ///
    /// # Errors
    /// As [`Client::enter`]; [`Error::TooLarge`].
    pub async fn campaign(&self, value: &[u8], patience: Patience) -> Result<Leader, Error> {
        let (standing, in_office) = (marked(STANDING, value)?, marked(IN_OFFICE, value)?);
        let started = self.client.clock().monotonic();
        loop {
            let guard = self.client.enter(&self.name, Mode::Exclusive, &standing, patience).await?;
            match self.take_office(&guard, &in_office, patience, started).await {
                Ok(()) => return Ok(Leader { guard }),
                Err(Error::Over { .. }) if patience != Patience::Try => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells everybody, until that is done or there is nothing to tell.
    async fn take_office(
        &self,
        guard: &Guard,
        value: &[u8],
        patience: Patience,
        started: Monotonic,
    ) -> Result<(), Error> {
        let clock = self.client.clock();
        let mut failures = 0;
        loop {
            let told = guard.set(value);
            let told = match patience.end() {
                None => told.await,
                Some(end) => {
                    let left = end - clock.monotonic();
                    clock.timeout(left, told).await.unwrap_or_else(|_| Err(self.late(started)))
                }
            };
            match told {
                // Read late, perhaps: after the process had stood still.
                Ok(()) => return guard.check().map(drop).map_err(over),
                Err(Error::Unavailable { .. } | Error::Timeout { .. })
                    if patience != Patience::Try => {}
                Err(error) => return Err(error),
            }
            let mut again = clock.monotonic() + self.client.options().backoff(failures);
            if let Some(end) = patience.end() {
                if clock.monotonic() >= end {
                    return Err(self.late(started));
                }
                again = again.min(end);
            }
            failures += 1;
            clock.sleep_until(again).await;
        }
    }

    fn late(&self, started: Monotonic) -> Error {
        Error::Timeout {
            name: self.name.clone(),
            waited: self.client.clock().monotonic() - started,
        }
    }

    /// Who leads now.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn leader(&self) -> Result<Leadership, Error> {
        Ok(judge(&ask(&self.client, &self.name).await?))
    }

    /// Follows who leads, from now on.
    #[must_use]
    pub fn observe(&self) -> Observer {
        let watch = Watch::new(self.client.clone(), self.name.clone());
        Observer { watch, tracker: Tracker::default() }
    }
}

fn over(lost: Lost) -> Error {
    Error::Over { name: lost.name, token: lost.token }
}

fn marked(mark: u8, value: &[u8]) -> Result<Vec<u8>, Error> {
    let (bytes, limit) = (value.len(), ELECTION_VALUE_BYTES_MAX);
    if bytes > limit {
        return Err(Error::TooLarge { what: "the value of a candidate", bytes, limit });
    }
    Ok([&[mark], value].concat())
}

/// The lead. Dropping it resigns, without waiting.
///
/// Put [`Leader::token`] into every write; see [`Guard`].
#[must_use = "dropping it resigns"]
#[derive(Debug)]
pub struct Leader {
    guard: Guard,
}

impl Leader {
    /// What is led.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.guard.name()
    }

    /// The token that belongs into every write; higher than that of every leader before.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.guard.token()
    }

    /// As [`Guard::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.guard.deadline()
    }

    /// Whether the lead may be relied on now. Cheap.
    ///
    /// # Errors
    /// [`Lost`], and from then on always.
    pub fn check(&self) -> Result<FencingToken, Lost> {
        self.guard.check()
    }

    /// Completes when the lead is lost.
    pub async fn lost(&self) -> Lost {
        self.guard.lost().await
    }

    /// Changes what everybody can read.
    ///
    /// # Errors
    /// As [`Guard::set`].
    pub async fn proclaim(&self, value: &[u8]) -> Result<(), Error> {
        self.guard.set(&marked(IN_OFFICE, value)?).await
    }

    /// Gives the lead to the next in line, who has it as soon as the news gets there. For a planned
    /// hand-over, resign first, and finish afterwards what does not need the lead.
    ///
    /// # Errors
    /// As [`Guard::release`].
    pub async fn resign(self) -> Result<(), Error> {
        self.guard.release().await
    }
}

/// Who leads, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody is in office.
    Led {
        /// Its token: who is in office under a higher one came later.
        token: FencingToken,
        /// Its session.
        session: SessionId,
        /// What it proclaims.
        value: Vec<u8>,
    },
    /// Nobody is in office.
    Vacant {
        /// How many stand.
        standing: usize,
    },
    /// It cannot be said. Whoever led before may lead still, or not.
    Unknown {
        /// Why.
        reason: Arc<str>,
    },
}

impl Leadership {
    /// The leader's token, if somebody is known to be in office.
    #[must_use]
    pub const fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Led { token, .. } => Some(*token),
            Self::Vacant { .. } | Self::Unknown { .. } => None,
        }
    }
}

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Led { token, value, .. } => {
                write!(f, "{} leads (token {token})", String::from_utf8_lossy(value))
            }
            Self::Vacant { standing } => write!(f, "nobody leads, {standing} stand"),
            Self::Unknown { reason } => write!(f, "it is not known who leads: {reason}"),
        }
    }
}

/// What a queue says of who leads.
fn judge(listing: &Listing) -> Leadership {
    let Some(first) = listing.entries.first() else {
        return Leadership::Vacant { standing: 0 };
    };
    match (first.mode, first.value.split_first()) {
        (Mode::Exclusive, Some((&IN_OFFICE, value))) => {
            let value = value.to_vec();
            Leadership::Led { token: first.token, session: first.session, value }
        }
        (Mode::Exclusive, Some((&STANDING, _))) => {
            Leadership::Vacant { standing: listing.entries.len() }
        }
        _ => {
            let token = first.token;
            let reason = format!("the entry {token} in front is no candidate's").into();
            Leadership::Unknown { reason }
        }
    }
}

/// A change in who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What is so now.
    pub leadership: Leadership,
    /// When this observer saw it.
    pub seen: Monotonic,
    /// With a new leader: how long there was none, from the first sight without the old one to the
    /// first sight of the new one. `consensus.leader_election_ms` is made of it. `None` for the
    /// first view, and when the leader is the same.
    pub vacancy: Option<Duration>,
}

/// Follows who leads: the present state first, then each change. Changes that follow each other
/// faster than they can be asked for are left out, the last one never is. It says when nobody
/// leads and when it does not know, and goes on by itself when it can see again.
#[derive(Debug)]
pub struct Observer {
    watch: Watch,
    tracker: Tracker,
}

impl Observer {
    /// The next change. May be dropped and called again; nothing is lost by it.
    ///
    /// # Errors
    /// What asking again cannot help, such as [`Error::Refused`].
    pub async fn next(&mut self) -> Result<View, Error> {
        loop {
            let leadership = match self.watch.next().await? {
                Sight::Seen(listing) => judge(&listing),
                Sight::Blind(error) => Leadership::Unknown { reason: error.to_string().into() },
            };
            let now = self.watch.client().clock().monotonic();
            if let Some(view) = self.tracker.see(now, leadership) {
                return Ok(view);
            }
        }
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<View, Error>> + Send {
        futures::stream::unfold(Some(self), |observer| async move {
            let mut observer = observer?;
            let view = observer.next().await;
            let rest = view.is_ok().then_some(observer);
            Some((view, rest))
        })
    }
}

/// Keeps the last view, and since when there is no leader.
#[derive(Debug, Default)]
struct Tracker {
    last: Option<Leadership>,
    /// Who led when last somebody was seen to.
    leader: Option<FencingToken>,
    vacant_since: Option<Monotonic>,
}

impl Tracker {
    /// Takes in what is so now; answers what is to be told.
    fn see(&mut self, now: Monotonic, leadership: Leadership) -> Option<View> {
        if self.last.as_ref() == Some(&leadership) {
            return None;
        }
        let is_first = self.last.replace(leadership.clone()).is_none();
        let mut vacancy = None;
        match &leadership {
            Leadership::Led { token, .. } => {
                let since = self.vacant_since.take();
                if self.leader.replace(*token) != Some(*token) && !is_first {
                    vacancy = Some(now - since.unwrap_or(now));
                }
            }
            Leadership::Vacant { .. } => {
                self.vacant_since.get_or_insert(now);
            }
            // Nothing is known, so nothing ends or begins.
            Leadership::Unknown { .. } => {}
        }
        Some(View { leadership, seen: now, vacancy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Entry;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn listing(entries: &[(u64, &str)]) -> Listing {
        let entry = |&(token, value): &(u64, &str)| Entry {
            token: FencingToken::new(token).unwrap(),
            session: SessionId(token),
            mode: Mode::Exclusive,
            value: value.into(),
        };
        Listing { version: 1, entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn whoever_is_only_next_in_line_is_not_named() {
        assert_eq!(judge(&listing(&[])), Leadership::Vacant { standing: 0 });
        assert_eq!(judge(&listing(&[(3, "?a"), (4, "?b")])), Leadership::Vacant { standing: 2 });
        let led = judge(&listing(&[(3, "!a"), (4, "?b")]));
        assert_eq!(led.to_string(), "a leads (token 3)");
        // A lock's holder in the same queue leads nothing.
        let foreign = judge(&listing(&[(3, "process 7"), (4, "?b")]));
        assert!(matches!(foreign, Leadership::Unknown { .. }), "{foreign}");
        let mut reader = listing(&[(3, "!a")]);
        reader.entries[0].mode = Mode::Shared;
        assert!(matches!(judge(&reader), Leadership::Unknown { .. }));
    }

    #[test]
    fn the_time_without_a_leader_is_measured() {
        let mut tracker = Tracker::default();
        let mut see = |now, entries: &[(u64, &str)]| {
            tracker.see(at(now), judge(&listing(entries))).map(|view| view.vacancy)
        };
        let ms = Duration::from_millis;
        assert_eq!(see(0, &[(1, "!a")]), Some(None));
        // Somebody joins the line, the leader proclaims something else.
        assert_eq!(see(10, &[(1, "!a"), (2, "?b")]), None);
        assert_eq!(see(20, &[(1, "!c"), (2, "?b")]), Some(None));
        // It goes; the next one takes office; a hand-over that is too fast to be seen.
        assert_eq!(see(100, &[(2, "?b")]), Some(None));
        assert_eq!(see(110, &[(2, "?b"), (3, "?d")]), Some(None));
        assert_eq!(see(130, &[(2, "!b"), (3, "?d")]), Some(Some(ms(30))));
        assert_eq!(see(140, &[(3, "!d")]), Some(Some(ms(0))));
        // Not to know is no vacancy.
        let unknown = || Leadership::Unknown { reason: "".into() };
        assert_eq!(tracker.see(at(200), unknown()).unwrap().vacancy, None);
        let again = tracker.see(at(900), judge(&listing(&[(3, "!d")]))).unwrap();
        assert_eq!(again.vacancy, None);
    }
}
