//! The list of sagas that somebody may want to look at.
//!
//! A list costs a row for each change of status. Orders come in by the thousand a second and
//! nearly all of them go well, so a saga that goes well leaves no row: running, waiting and
//! finished sagas are not listed. Only statuses off the happy path are: `retrying`, `unknown`,
//! `compensating`, `stuck`. (Waiting sagas have their timers; and whoever wants a list of orders
//! asks the domain, whose states say more.)
//!
//! The rows are records of the space `saga` with the key `<status>/<id>`. They change in the same
//! write as the saga, so the list is never behind.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_journal::{RecordChange, Store, Write};
use steadfast_time::Timestamp;

use crate::limits::LIST_PAGE_MAX;
use crate::{Error, Id, State, Status};

/// The space of the records.
pub(crate) const SPACE: &str = "saga";

/// A status that is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// See [`Status::Stuck`].
    Stuck,
    /// See [`Status::Unknown`].
    Unknown,
    /// See [`Status::Compensating`].
    Compensating,
    /// See [`Status::Retrying`].
    Retrying,
}

impl Attention {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Stuck, Self::Unknown, Self::Compensating, Self::Retrying];

    /// Whether a status is listed.
    #[must_use]
    pub const fn of(status: Status) -> Option<Self> {
        match status {
            Status::Stuck => Some(Self::Stuck),
            Status::Unknown => Some(Self::Unknown),
            Status::Compensating => Some(Self::Compensating),
            Status::Retrying => Some(Self::Retrying),
            Status::Running | Status::Waiting | Status::Completed | Status::Compensated => None,
        }
    }

    /// As a status.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Stuck => Status::Stuck,
            Self::Unknown => Status::Unknown,
            Self::Compensating => Status::Compensating,
            Self::Retrying => Status::Retrying,
        }
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The saga.
    pub id: Id,
    /// The name of its definition.
    pub saga: String,
    /// The step that it is at.
    pub step: Option<String>,
    /// How many attempts at it have failed.
    pub attempts: u32,
    /// What went wrong with the last of them.
    pub problem: Option<String>,
    /// Why the saga is being undone, if it is.
    pub fault: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// When this line was written.
    pub at: Timestamp,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The lines, by identifier.
    pub sagas: Vec<Listed>,
    /// Where the next page starts; nothing when this is the last one.
    pub next: Option<Id>,
}

/// Reads a page of the list: the sagas of *every* definition that stand at `attention`, those
/// after `after` (the [`Page::next`] of the page before), at most `limit` of them.
///
/// # Errors
/// Reading failed, or a line cannot be understood.
pub fn list(
    store: &dyn Store,
    attention: Attention,
    after: Option<Id>,
    limit: usize,
) -> Result<Page, Error> {
    let limit = limit.clamp(1, LIST_PAGE_MAX);
    let status = attention.status();
    let prefix = format!("{status}/");
    let after = after.map(|id| key(status, id));
    let rows = store.records(SPACE, &prefix, after.as_deref(), limit + 1)?;
    let more = rows.len() > limit;
    let sagas = rows
        .into_iter()
        .take(limit)
        .map(|(key, value)| serde_json::from_slice(&value).map_err(|_| Error::List { key }))
        .collect::<Result<Vec<Listed>, Error>>()?;
    let next = sagas.last().filter(|_| more).map(|last| last.id);
    Ok(Page { sagas, next })
}

/// Brings the list up to date with a saga that has changed.
pub(crate) fn update(
    before: Option<Status>,
    state: &State,
    now: Timestamp,
    write: &mut Write,
) -> Result<(), serde_json::Error> {
    let status = state.status();
    let mut change = |status, value| {
        let key = key(status, state.id());
        write.records.push(RecordChange { space: SPACE.into(), key, value });
    };
    if let Some(before) = before.filter(|&before| before != status)
        && Attention::of(before).is_some()
    {
        change(before, None);
    }
    if Attention::of(status).is_some() {
        let line = Listed {
            id: state.id(),
            saga: state.definition().name().to_owned(),
            step: state.step().map(|step| step.name().to_owned()),
            attempts: state.attempts(),
            problem: state.problem().map(str::to_owned),
            fault: state.fault().map(|fault| format!("{}: {}", fault.code, fault.reason)),
            retry_at: state.wakes_at(),
            at: now,
        };
        change(status, Some(Bytes::from(serde_json::to_vec(&line)?)));
    }
    Ok(())
}

fn key(status: Status, id: Id) -> String {
    format!("{status}/{id}")
}
