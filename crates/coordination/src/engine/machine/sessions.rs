//! Who is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use steadfast_fencing::FencingToken;

use super::MachineTime;
use crate::port::{EntryId, Name, SessionId};

/// A session and what goes with it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) length: Duration,
    pub(super) deadline: MachineTime,
    /// Its entries, under what makes a repetition the same one.
    pub(super) entries: BTreeMap<(EntryId, Name), FencingToken>,
}

/// All sessions, and the order in which they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    by_id: BTreeMap<SessionId, Session>,
    by_deadline: BTreeSet<(MachineTime, SessionId)>,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&SessionId, &Session)> {
        self.by_id.iter()
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: SessionId, length: Duration, deadline: MachineTime) {
        self.by_deadline.insert((deadline, id));
        self.by_id.insert(id, Session { length, deadline, entries: BTreeMap::new() });
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.by_deadline.remove(&(session.deadline, id));
        Some(session)
    }

    /// Starts its length anew; says whether there is such a session.
    pub(super) fn renew(&mut self, id: SessionId, now: MachineTime) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return false };
        let deadline = now + session.length;
        if deadline != session.deadline {
            self.by_deadline.remove(&(session.deadline, id));
            self.by_deadline.insert((deadline, id));
            session.deadline = deadline;
        }
        true
    }

    pub(super) fn renew_all(&mut self, now: MachineTime) {
        self.by_deadline.clear();
        for (id, session) in &mut self.by_id {
            session.deadline = now + session.length;
            self.by_deadline.insert((session.deadline, *id));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<MachineTime> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out one session that is over by `now`.
    pub(super) fn pop_due(&mut self, now: MachineTime) -> Option<(SessionId, Session)> {
        let &(deadline, id) = self.by_deadline.first()?;
        if deadline > now {
            return None;
        }
        self.by_deadline.pop_first();
        self.by_id.remove(&id).map(|session| (id, session))
    }
}
