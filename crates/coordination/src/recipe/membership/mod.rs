//! Who is there, and who seems not to be.
//!
//! # Why
//! A session says that a process's keeper runs. It does not say that the process works: the keeper
//! has a thread of its own, and a dispatcher whose runtime is stuck still has its session. And it
//! says so late: a session must be long enough for bad days. So members also send *heartbeats*, out
//! of the same runtime as their work, and each watcher judges by their rhythm. A suspicion comes
//! early, may be wrong, and is taken back; a departure is final.
//!
//! | event | means |
//! |---|---|
//! | `Joined` | it is there, under an incarnation that was never there before |
//! | `Updated` | it says something else about itself |
//! | `Suspected` | no heartbeat for too long: give it no new work |
//! | `Trusted` | a heartbeat after all |
//! | `Left` | this incarnation is gone for good: it left, or its session ended |
//! | `Blind` | the engine cannot be asked; nobody is suspected meanwhile |
//! | `Sighted` | it can again; what has changed follows |
//!
//! Neither is a safety argument: what a member alone may do is guarded by a lease and its token.
//!
//! # How
//! A member has a shared entry in the queue of the group's name, and changes its value with each
//! beat. Its *incarnation* is the token of that entry, so each life of a member has a higher one
//! than the last, across restarts, without anything to remember. A life that was seen beside a later
//! one of the same name is over, also when the later one goes first. A member whose session is lost
//! joins again by itself. [`Roster`] is the machine that turns listings into events; [`Suspicion`]
//! is the judgement, [`Missed`] the simple one.
//!
//! # Costs and limits
//! Each beat is one durable write, and each watcher lists the group once per beat at most, and not
//! more often than [`Options::look_every`]: n members cost n writes and up to n·w/[`look_every`]
//! entries read per second for w watchers. Good for some tens of members that watch each other. A
//! group has at most [`LIST_MAX`] members; a value at most [`MEMBER_VALUE_BYTES_MAX`] bytes.
//!
//! [`look_every`]: Options::look_every

mod beat;
mod member;
mod roster;
mod suspicion;
#[cfg(test)]
mod tests;
mod watcher;

use std::time::Duration;

use steadfast_time::Monotonic;

use crate::client::{Client, Patience};
use crate::limits::{LIST_MAX, MEMBER_VALUE_BYTES_MAX};
use crate::port::{Error, Listing, Mode, Name};

pub use member::{Heartbeat, Member};
pub use roster::{Change, Peer, Roster};
pub use suspicion::{Missed, Suspicion};
pub use watcher::Watcher;

use super::watch::ask;
use beat::Beat;

/// How often members beat, and watchers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The time between two heartbeats.
    pub interval: Duration,
    /// How often a watcher looks at most: what changes meanwhile comes in one.
    pub look_every: Duration,
}

impl Default for Options {
    /// A beat a second; ten looks a second at most.
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), look_every: Duration::from_millis(100) }
    }
}

/// A group of members. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Membership {
    client: Client,
    group: Name,
    options: Options,
}

impl Client {
    /// The group of that name.
    #[must_use]
    pub fn membership(&self, group: &Name, options: Options) -> Membership {
        // A beat without pause would be all that the engine has to do.
        let interval = options.interval.max(crate::limits::BEAT_MIN);
        Membership {
            client: self.clone(),
            group: group.clone(),
            options: Options { interval, ..options },
        }
    }
}

impl Membership {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.group
    }

    /// Joins, as `member`: a name that is this process's alone and the same after a restart. Of two
    /// that join under one name, the later is the member. `value` is what others read.
    ///
    /// Answers when the entry is there. From then on, [`Heartbeat::run`] must run, where the
    /// member's work runs.
    ///
    /// # Errors
    /// As [`Client::enter`]; [`Error::TooLarge`]; [`Error::Full`] when there are
    /// [`LIST_MAX`] members.
    pub async fn join(
        &self,
        member: &Name,
        value: &[u8],
        patience: Patience,
    ) -> Result<(Member, Heartbeat), Error> {
        let (bytes, limit) = (value.len(), MEMBER_VALUE_BYTES_MAX);
        if bytes > limit {
            return Err(Error::TooLarge { what: "the value of a member", bytes, limit });
        }
        let started = self.client.clock().monotonic();
        let first = Beat::encode(member, 0, value);
        let guard = self.client.enter(&self.group, Mode::Shared, &first, patience).await?;
        // Whoever is beyond the end of a listing would be a member whom nobody sees.
        let listing = self.list(patience, started).await?;
        if listing.entries.len() >= LIST_MAX
            && listing.entries.iter().all(|entry| entry.token != guard.token())
        {
            return Err(Error::Full { what: "members", limit: LIST_MAX });
        }
        Ok(member::pair(self, member, value, guard))
    }

    /// Asks who is there until there is an answer, while patience lasts.
    async fn list(&self, patience: Patience, started: Monotonic) -> Result<Listing, Error> {
        let (clock, options) = (self.client.clock(), self.client.options());
        let late = |waited| Error::Timeout { name: self.group.clone(), waited };
        let mut failures = 0;
        loop {
            let asked = ask(&self.client, &self.group);
            let answer = match patience.end() {
                None => asked.await,
                Some(end) => {
                    let left = end - clock.monotonic();
                    let answer = clock.timeout(left, asked).await;
                    answer.unwrap_or_else(|_| Err(late(clock.monotonic() - started)))
                }
            };
            match answer {
                Err(Error::Unavailable { .. }) if patience != Patience::Try => {}
                answer => return answer,
            }
            if let Some(refusal) = self.client.refusal() {
                return Err(refusal);
            }
            let again = clock.monotonic() + options.backoff(failures);
            failures += 1;
            clock.sleep_until(patience.end().map_or(again, |end| end.min(again))).await;
            if patience.is_over(clock.monotonic()) {
                return Err(late(clock.monotonic() - started));
            }
        }
    }

    /// Follows who is there, judging heartbeats with `suspicion`.
    pub fn watch<S: Suspicion>(&self, suspicion: S) -> Watcher<S> {
        Watcher::new(&self.client, &self.group, self.options, suspicion)
    }

    /// Follows who is there; suspects who misses three beats.
    #[must_use]
    pub fn watch_simply(&self) -> Watcher<Missed> {
        self.watch(Missed::beats(3, self.options.interval))
    }
}
