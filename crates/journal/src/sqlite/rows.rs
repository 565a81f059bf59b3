//! From rows to values.

use std::borrow::Cow;

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::FromSqlError;
use steadfast_time::{Timestamp, Uuid};

use super::fault::{Result, damaged};
use super::names::{Names, id_text};
use crate::{
    Event, Hash, Message, MessageStatus, OutboxRow, Position, Recorded, StreamId, Version,
};

/// The columns that [`event`] expects.
pub(super) const EVENT: &str = "position, stream, version, kind, schema, at, payload, hash";

/// What [`outbox_row`] expects, up to the join with what the bus has said.
pub(super) const OUTBOX: &str = "SELECT m.seq, m.id, m.topic, m.created_at, m.aggregate_type, \
     m.aggregate_id, m.event_type, m.sequence, m.payload, \
     e.position, e.stream, e.version, e.kind, e.schema, e.at, e.payload, e.hash, \
     m.event, r.retry_count, p.first, p.at \
     FROM outbox_messages m \
     LEFT JOIN events e ON e.position = m.event \
     LEFT JOIN outbox_refused r ON r.seq = m.seq \
     LEFT JOIN outbox_published p \
     ON p.first = (SELECT max(first) FROM outbox_published WHERE first <= m.seq) \
     AND p.last >= m.seq ";

/// An array of a fixed length.
pub(super) fn fixed<const N: usize>(row: &Row<'_>, column: usize) -> Result<[u8; N]> {
    let bytes = row.get_ref(column)?.as_blob()?;
    match bytes.try_into() {
        Ok(bytes) => Ok(bytes),
        Err(_) => damaged(format!("a value of {N} bytes has {}", bytes.len())),
    }
}

/// A number that is stored as the integer with the same bits.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn payload(row: &Row<'_>, column: usize) -> Result<Bytes> {
    let bytes = row.get_ref(column)?.as_blob()?;
    Ok(Bytes::copy_from_slice(bytes))
}

fn stream(row: &Row<'_>, column: usize, names: &Names) -> Result<StreamId> {
    match StreamId::try_from(names.text(row.get_ref(column)?)?) {
        Ok(stream) => Ok(stream),
        Err(error) => damaged(error.to_string()),
    }
}

/// An event, from the columns starting at `at`.
pub(super) fn event(row: &Row<'_>, at: usize, names: &Names) -> Result<Event> {
    Ok(Event::new(Recorded {
        position: Position(unsigned(row, at)?),
        stream: stream(row, at + 1, names)?,
        version: Version(unsigned(row, at + 2)?),
        kind: Cow::Owned(row.get(at + 3)?),
        schema: row.get(at + 4)?,
        at: Timestamp::from_micros(row.get(at + 5)?),
        payload: payload(row, at + 6)?,
        hash: Hash(fixed(row, at + 7)?),
    }))
}

/// A row of the outbox.
pub(super) fn outbox_row(row: &Row<'_>, names: &Names) -> Result<OutboxRow> {
    let id = Uuid::from_bytes(fixed(row, 1)?);
    let topic = Cow::Owned(row.get(2)?);
    let seq = unsigned(row, 0)?;
    let (message, created_at) = match row.get::<_, Option<i64>>(17)? {
        Some(position) if row.get::<_, Option<i64>>(9)?.is_none() => {
            return damaged(format!("outbox row {seq} refers to the missing event {position}"));
        }
        Some(_) => {
            let event = event(row, 9, names)?;
            let message = Message {
                id,
                topic,
                aggregate_type: Cow::Owned(event.stream.category().to_owned()),
                aggregate_id: event.stream.key().to_owned(),
                event_type: event.kind.clone(),
                sequence: event.version.0,
                payload: event.payload.clone(),
            };
            (message, event.at)
        }
        None => {
            let message = Message {
                id,
                topic,
                aggregate_type: Cow::Owned(row.get(4)?),
                aggregate_id: id_text(row.get_ref(5)?)?,
                event_type: Cow::Owned(row.get(6)?),
                sequence: unsigned(row, 7)?,
                payload: payload(row, 8)?,
            };
            (message, Timestamp::from_micros(row.get(3)?))
        }
    };
    let retry_count: Option<u32> = row.get(18)?;
    let published = row.get::<_, Option<i64>>(19)?.is_some();
    let status = match (published, retry_count) {
        (true, _) => MessageStatus::Published,
        (false, Some(_)) => MessageStatus::Failed,
        (false, None) => MessageStatus::Pending,
    };
    Ok(OutboxRow {
        seq,
        message,
        status,
        retry_count: retry_count.unwrap_or(0),
        created_at,
        published_at: row.get::<_, Option<i64>>(20)?.map(Timestamp::from_micros),
    })
}

impl From<FromSqlError> for super::fault::Fault {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}
