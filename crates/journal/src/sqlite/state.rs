//! What the writer knows by heart.

use std::sync::{Arc, RwLock};

use rusqlite::Connection;
use steadfast_time::Timestamp;

use super::cache::WriteBack;
use super::fault::{Result, damaged};
use super::names::{Key, Name, Names};
use super::ranges::Published;
use super::rows::{self, fixed, unsigned};
use crate::{Hash, Head, Position, hash};

/// Streams whose version is remembered, per generation. A day's busiest hour at 10,000 orders a
/// minute has about this many orders under way; an entry takes about 60 bytes.
const STREAMS: usize = 65_536;

/// Inbox keys, as many as streams: each order has one per consumer.
const SEQUENCES: usize = 65_536;

/// Counters and fenced resources: a few per zone.
const COUNTERS: usize = 16_384;

/// Each event whose version is a multiple of this has a mark of its own.
pub(super) const MARK_EVERY: u64 = 64;

/// Where a stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamEnd {
    /// Its version; zero for a stream without events.
    pub(super) version: u64,
    /// The position of its last event; zero for none.
    pub(super) position: u64,
    /// The version that the database has, until the batch ends.
    pub(super) stored: u64,
}

/// The tail of the journal and everything else that commits look at.
pub(super) struct State {
    pub(super) names: Arc<RwLock<Names>>,
    pub(super) head: Head,
    pub(super) outbox_seq: u64,
    pub(super) published: Published,
    /// Whether the row with the head has to be written.
    pub(super) moved: bool,
    pub(super) streams: WriteBack<Key, StreamEnd>,
    /// The highest token per resource; zero for none.
    pub(super) fences: WriteBack<String, u64>,
    pub(super) counters: WriteBack<String, i64>,
    /// The highest sequence per consumer and key; zero for none. The time is that of the write.
    pub(super) sequences: WriteBack<(Name, Key), (u64, Timestamp)>,
}

impl State {
    /// Reads the end of the journal, and checks that it is what was committed last.
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let names = load_names(connection)?;
        let (head, outbox_seq, published_up_to) = load_head(connection)?;
        check_tail(connection, &names, head, outbox_seq)?;
        let mut published = Published::up_to(published_up_to);
        let mut statement = connection
            .prepare("SELECT first, last FROM outbox_published WHERE first > ?1 ORDER BY first")?;
        let mut rows = statement.query([published_up_to.cast_signed()])?;
        while let Some(row) = rows.next()? {
            published.add(unsigned(row, 0)?..=unsigned(row, 1)?);
        }
        Ok(Self {
            names: Arc::new(RwLock::new(names)),
            head,
            outbox_seq,
            published,
            moved: false,
            streams: WriteBack::new(STREAMS),
            fences: WriteBack::new(COUNTERS),
            counters: WriteBack::new(COUNTERS),
            sequences: WriteBack::new(SEQUENCES),
        })
    }

    /// Keeps what the write at hand has changed.
    pub(super) fn accept(&mut self) {
        self.streams.accept();
        self.fences.accept();
        self.counters.accept();
        self.sequences.accept();
    }

    /// Takes back what the write at hand has changed.
    pub(super) fn refuse(&mut self) {
        self.streams.refuse();
        self.fences.refuse();
        self.counters.refuse();
        self.sequences.refuse();
    }
}

/// The numbered names.
pub(super) fn load_names(connection: &Connection) -> Result<Names> {
    let mut statement = connection.prepare("SELECT code, name FROM names ORDER BY code")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Names::load(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter())
}

/// The end of the journal, the last outbox row, and the outbox's low-water mark.
pub(super) fn load_head(connection: &Connection) -> Result<(Head, u64, u64)> {
    let mut statement = connection.prepare_cached(
        "SELECT position, hash, outbox_seq, published_up_to FROM head WHERE id = 1",
    )?;
    let mut rows = statement.query(())?;
    let Some(row) = rows.next()? else {
        return damaged("the row with the head is missing");
    };
    let head = Head { position: Position(unsigned(row, 0)?), hash: Hash(fixed(row, 1)?) };
    Ok((head, unsigned(row, 2)?, unsigned(row, 3)?))
}

/// Compares the head with the last event, and that one with its predecessor. A tail that is cut
/// off, or an old copy of a part of the file, shows here.
fn check_tail(connection: &Connection, names: &Names, head: Head, outbox_seq: u64) -> Result<()> {
    let text = format!("SELECT {} FROM events ORDER BY position DESC LIMIT 2", rows::EVENT);
    let mut statement = connection.prepare(&text)?;
    let mut rows = statement.query(())?;
    let mut tail = Vec::with_capacity(2);
    while let Some(row) = rows.next()? {
        tail.push(rows::event(row, 0, names)?);
    }
    let found = tail.first().map_or(Position::START, |event| event.position);
    if found != head.position {
        let expected = head.position;
        return damaged(format!("the last event is {found}, but {expected} was committed"));
    }
    if let Some(last) = tail.first() {
        if last.hash != head.hash {
            return damaged(format!("event {found} is not the one that was committed"));
        }
        let (before, at) = match tail.get(1) {
            Some(event) => (event.hash, event.position),
            None => (Hash::GENESIS, Position::START),
        };
        if let Err(error) = hash::check(before, at, last) {
            return damaged(error.to_string());
        }
    }
    let last_row = connection
        .query_row("SELECT max(seq) FROM outbox_messages", (), |row| row.get::<_, Option<i64>>(0))?
        .map_or(0, i64::cast_unsigned);
    if last_row > outbox_seq {
        return damaged(format!(
            "outbox row {last_row} exists, but {outbox_seq} was the last to be committed"
        ));
    }
    Ok(())
}
